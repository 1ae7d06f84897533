package main

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// runningLoad is a load that was started over HTTP, so that traffic can leave from where the app stands.
type runningLoad struct {
	report *report
	stop   context.CancelFunc
	done   chan struct{}
}

// registerLoads adds: POST /load?url=&rate=&connections=&slow=&duration= starts (201 with id), GET /load/{id} reports, POST /load/{id}/stop
// stops, waits for the answers under way and reports.
func registerLoads(mux *http.ServeMux) {
	var mutex sync.Mutex
	loads := map[string]*runningLoad{}
	find := func(w http.ResponseWriter, r *http.Request) *runningLoad {
		mutex.Lock()
		defer mutex.Unlock()
		found := loads[r.PathValue("id")]
		if found == nil {
			answer(w, http.StatusNotFound, map[string]any{"error": "no load " + r.PathValue("id")})
		}
		return found
	}
	mux.HandleFunc("POST /load", func(w http.ResponseWriter, r *http.Request) {
		l, err := loadOf(r)
		if err != nil {
			answer(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
			return
		}
		ctx, stop := context.WithCancel(context.Background())
		started := &runningLoad{newReport(l.targets), stop, make(chan struct{})}
		mutex.Lock()
		id := strconv.Itoa(len(loads) + 1)
		loads[id] = started
		mutex.Unlock()
		go func() { l.run(ctx, started.report); close(started.done) }()
		answer(w, http.StatusCreated, map[string]any{"id": id})
	})
	mux.HandleFunc("GET /load/{id}", func(w http.ResponseWriter, r *http.Request) {
		if found := find(w, r); found != nil {
			answer(w, http.StatusOK, found.report.summary())
		}
	})
	mux.HandleFunc("POST /load/{id}/stop", func(w http.ResponseWriter, r *http.Request) {
		if found := find(w, r); found != nil {
			found.stop()
			<-found.done
			answer(w, http.StatusOK, found.report.summary())
		}
	})
}

func loadOf(r *http.Request) (load, error) {
	query := r.URL.Query()
	rate, err := strconv.Atoi(query.Get("rate"))
	if err != nil {
		return load{}, err
	}
	connections := defaultConnections
	if text := query.Get("connections"); text != "" {
		if connections, err = strconv.Atoi(text); err != nil {
			return load{}, err
		}
	}
	slow, duration := defaultSlow, time.Duration(0)
	if text := query.Get("slow"); text != "" {
		if slow, err = time.ParseDuration(text); err != nil {
			return load{}, err
		}
	}
	if text := query.Get("duration"); text != "" {
		if duration, err = time.ParseDuration(text); err != nil {
			return load{}, err
		}
	}
	return newLoad(query["url"], rate, connections, slow, duration)
}
