package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

func handler(hostname string, wrong *faults) http.Handler {
	mux := http.NewServeMux()
	echo := func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, map[string]any{
			"hostname":            hostname,
			"path":                r.URL.Path,
			"method":              r.Method,
			"forwardedClientCert": r.Header.Get("X-Forwarded-Client-Cert"),
			"remoteAddress":       r.RemoteAddr,
		})
	}
	mux.HandleFunc("/", wrong.around(echo))
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		milliseconds, err := strconv.Atoi(r.URL.Query().Get("ms"))
		if err != nil {
			answer(w, http.StatusBadRequest, map[string]any{"error": "ms must be a number of milliseconds"})
			return
		}
		select {
		case <-time.After(time.Duration(milliseconds) * time.Millisecond):
			echo(w, r)
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, map[string]any{"status": "ok"}) })
	mux.HandleFunc("/call", call)
	registerLoads(mux)
	return mux
}

var callClient = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// call makes one request from where the app stands: a GET of an http url, answered with its status and body, or one request
// of a grpc, tcp or greeting url, answered with the hostname that served it; 502 with the error where it fails.
func call(w http.ResponseWriter, r *http.Request) {
	address := r.URL.Query().Get("url")
	if parsed, err := url.Parse(address); err == nil && parsed.Scheme != "http" {
		callOnce(w, address)
		return
	}
	response, err := callClient.Get(address)
	if err != nil {
		answer(w, http.StatusBadGateway, map[string]any{"error": err.Error()})
		return
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		answer(w, http.StatusBadGateway, map[string]any{"error": err.Error()})
		return
	}
	answer(w, http.StatusOK, map[string]any{"status": response.StatusCode, "body": string(body)})
}

func callOnce(w http.ResponseWriter, address string) {
	l, err := newLoad([]string{address}, 1, 1, defaultSlow, 0)
	if err != nil {
		answer(w, http.StatusBadRequest, map[string]any{"error": err.Error()})
		return
	}
	client := l.client(newReport(l.targets))
	defer client.close()
	hostname, err := client.fire(shot{target: address, due: time.Now(), timeout: callClient.Timeout})
	if err != nil {
		answer(w, http.StatusBadGateway, map[string]any{"error": err.Error()})
		return
	}
	answer(w, http.StatusOK, map[string]any{"hostname": hostname})
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}
