package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	// One in slowEvery requests asks for an answer after slowFor.
	slowEvery = 50
	slowFor   = 3 * time.Second
	timeout   = 15 * time.Second
)

// load describes an open-loop load: requests leave at a constant rate whether or not earlier ones were answered. Every
// second request uses a kept connection, the others a fresh one. Nothing is repeated: requests are POST without an
// Idempotency-Key, which Go's client never sends twice.
type load struct {
	targets  []string
	rate     int
	duration time.Duration
}

func newLoad(targets []string, rate int, duration time.Duration) (load, error) {
	if len(targets) == 0 {
		return load{}, errors.New("a load needs at least one url")
	}
	for _, target := range targets {
		if parsed, err := url.Parse(target); err != nil || parsed.Scheme != "http" || parsed.Host == "" {
			return load{}, errors.New("not an http url: " + target)
		}
	}
	if rate < 1 || rate > 10000 {
		return load{}, errors.New("rate must be 1 to 10000 requests per second, is " + strconv.Itoa(rate))
	}
	return load{targets, rate, duration}, nil
}

// run sends until the duration is over or ctx ends, waits for the answers still under way, and closes the report.
func (l load) run(ctx context.Context, report *report) {
	if l.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.duration)
		defer cancel()
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	kept := &http.Client{Timeout: timeout, Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 32}}
	fresh := &http.Client{Timeout: timeout, Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	start := time.Now()
	var underWay sync.WaitGroup
	for n := 0; ; n++ {
		due := start.Add(time.Duration(n) * time.Second / time.Duration(l.rate))
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(due)):
		}
		if ctx.Err() != nil {
			break
		}
		shot := shot{target: l.targets[n%len(l.targets)], due: due, client: fresh, connection: "fresh", slow: n%slowEvery == slowEvery-1}
		if n/len(l.targets)%2 == 0 {
			shot.client, shot.connection = kept, "kept"
		}
		report.began(shot)
		underWay.Go(func() {
			hostname, err := shot.fire()
			report.ended(shot, hostname, err)
		})
	}
	underWay.Wait()
	kept.CloseIdleConnections()
	report.close()
}

// shot is one request of a load.
type shot struct {
	target     string
	due        time.Time
	client     *http.Client
	connection string
	slow       bool
}

// fire answers who served the request, or why it counts as lost.
func (s shot) fire() (string, error) {
	address := s.target
	if s.slow {
		parsed, err := url.Parse(s.target)
		if err != nil {
			return "", err
		}
		address = parsed.JoinPath("slow").String() + "?ms=" + strconv.FormatInt(slowFor.Milliseconds(), 10)
	}
	response, err := s.client.Post(address, "", nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", statusError(response.StatusCode)
	}
	var answer struct {
		Hostname string `json:"hostname"`
	}
	_ = json.Unmarshal(body, &answer)
	return answer.Hostname, nil
}

type statusError int

func (e statusError) Error() string { return "status " + strconv.Itoa(int(e)) }

// reason folds an error into a short word to count by.
func reason(err error) string {
	var status statusError
	var network net.Error
	switch {
	case errors.As(err, &status):
		return status.Error()
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return "name not resolved"
	}
	return "other"
}
