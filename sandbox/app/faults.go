package main

import (
	"net/http"
	"sync"
	"time"
)

// faults are what an app does wrong because a test asks for it; an app without any answers as it should.
type faults struct {
	failEvery int
	capacity  int
	late      time.Duration

	lock   sync.Mutex
	served int
	second int64
	within int
}

// around lets a handler answer, unless it is this request's turn to go wrong.
func (f *faults) around(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		fails, isLate := f.turn(time.Now().Unix())
		if isLate {
			select {
			case <-time.After(f.late):
			case <-r.Context().Done():
				return
			}
		}
		if fails {
			answer(w, http.StatusInternalServerError, map[string]any{"error": "this one was to fail"})
			return
		}
		next(w, r)
	}
}

// turn counts a request, and says what goes wrong with it.
func (f *faults) turn(second int64) (fails, isLate bool) {
	f.lock.Lock()
	defer f.lock.Unlock()
	f.served++
	if second != f.second {
		f.second, f.within = second, 0
	}
	f.within++
	return f.failEvery > 0 && f.served%f.failEvery == 0, f.capacity > 0 && f.within > f.capacity
}
