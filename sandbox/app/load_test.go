package main

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func TestLoadCountsEveryAnswer(t *testing.T) {
	server := httptest.NewServer(handler("here"))
	defer server.Close()
	report := newReport([]string{server.URL})
	load{[]string{server.URL}, 100, 600 * time.Millisecond}.run(t.Context(), report)
	s := report.summary()
	if s.Running || s.Failed != 0 || s.Sent < 55 || s.Sent > 60 || s.AnsweredBy["here"] != s.Sent {
		t.Errorf("want about 60 requests, all answered by here, got %+v", s)
	}
	if s.Seconds < slowFor.Seconds() {
		t.Errorf("want the slow request awaited, the load ended after %v s", s.Seconds)
	}
}

func TestLoadCountsLossesWithReasonAndRepeatsNothing(t *testing.T) {
	var served atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch served.Add(1) % 3 {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 1:
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	report := newReport([]string{server.URL})
	load{[]string{server.URL}, 100, 300 * time.Millisecond}.run(t.Context(), report)
	s := report.summary()
	if int(served.Load()) != s.Sent {
		t.Errorf("want each request sent once, sent %d, served %d", s.Sent, served.Load())
	}
	if s.Reasons["status 503"] != s.Sent/3 || s.Failed != s.Reasons["status 503"]+s.Reasons["connection closed"] {
		t.Errorf("want two thirds lost to 503 and closed connections, got %+v", s.Reasons)
	}
}

func TestLoadOfNothingListening(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	report := newReport([]string{server.URL})
	load{[]string{server.URL}, 50, 100 * time.Millisecond}.run(t.Context(), report)
	if s := report.summary(); s.Reasons["connection refused"] != s.Sent {
		t.Errorf("want every request refused, got %+v", s.Reasons)
	}
}
