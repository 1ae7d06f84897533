package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

func runLoad(t *testing.T, target string, rate int, duration time.Duration) summary {
	t.Helper()
	l, err := newLoad([]string{target}, rate, 10, defaultSlow, duration)
	if err != nil {
		t.Fatal(err)
	}
	report := newReport(l.targets)
	l.run(t.Context(), report)
	return report.summary()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

func TestLoadOfEachProtocolIsServed(t *testing.T) {
	for scheme, serve := range map[string]func(context.Context, net.Listener, string) error{
		"http": serveHTTP(&faults{}), "grpc": serveGRPC, "tcp": serveEcho, "greeting": serveGreeting,
	} {
		listener := listen(t)
		ended := make(chan error)
		ctx, stop := context.WithCancel(t.Context())
		go func() { ended <- serve(ctx, listener, "here") }()
		s := runLoad(t, scheme+"://"+listener.Addr().String(), 100, 600*time.Millisecond)
		if s.Failed != 0 || s.Sent < 55 || s.AnsweredBy["here"] != s.Sent || s.GapSeconds > 0.5 {
			t.Errorf("%s: want about 60 requests, all answered by here, got %+v", scheme, s)
		}
		if scheme == "tcp" && s.Connections != (connections{Opened: 10}) {
			t.Errorf("want 10 connections, none cut, got %+v", s.Connections)
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("%s: want an orderly end, got %v", scheme, err)
		}
	}
}

func TestLoadCountsCutConnectionsAndTheGap(t *testing.T) {
	listener := listen(t)
	began := time.Now()
	go func() {
		_ = serveConnections(t.Context(), listener, func(connection io.ReadWriter) {
			if time.Since(began) < 600*time.Millisecond {
				time.AfterFunc(300*time.Millisecond, func() { _ = connection.(net.Conn).Close() })
				for lines := bufio.NewScanner(connection); lines.Scan() && time.Since(began) < 300*time.Millisecond; {
					_, _ = fmt.Fprintf(connection, "here %s\n", lines.Text())
				}
				return
			}
			for lines := bufio.NewScanner(connection); lines.Scan(); {
				_, _ = fmt.Fprintf(connection, "here %s\n", lines.Text())
			}
		})
	}()
	s := runLoad(t, "tcp://"+listener.Addr().String(), 100, 1200*time.Millisecond)
	if s.Connections.Cut < 10 || s.Failed < s.Connections.Cut || s.GapSeconds < 0.2 || s.GapSeconds > 0.9 {
		t.Errorf("want each connection cut and a gap of about 0.3 s, got %+v", s)
	}
}

func TestLoadCountsEveryAnswer(t *testing.T) {
	server := httptest.NewServer(handler("here", &faults{}))
	defer server.Close()
	s := runLoad(t, server.URL, 100, 600*time.Millisecond)
	if s.Running || s.Failed != 0 || s.Sent < 55 || s.Sent > 61 || s.AnsweredBy["here"] != s.Sent {
		t.Errorf("want about 60 requests, all answered by here, got %+v", s)
	}
	if s.Seconds < defaultSlow.Seconds() {
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
	s := runLoad(t, server.URL, 100, 300*time.Millisecond)
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
	if s := runLoad(t, server.URL, 50, 100*time.Millisecond); s.Reasons["connection refused"] != s.Sent {
		t.Errorf("want every request refused, got %+v", s.Reasons)
	}
}
