package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/status"
)

const (
	// One in slowEvery requests asks for an answer after defaultSlow unless told otherwise, where the protocol can.
	slowEvery   = 50
	defaultSlow = 3 * time.Second
	timeout     = 15 * time.Second
	// dialTimeout bounds the making of a connection.
	dialTimeout = 5 * time.Second
	// defaultConnections is how many a tcp load keeps unless told otherwise.
	defaultConnections = 50
)

// load describes an open-loop load: requests leave at a constant rate whether or not earlier ones were answered.
type load struct {
	scheme  string
	targets []string
	rate    int
	// connections is how many are kept, over all targets; tcp alone.
	connections int
	// slow is how long one in slowEvery requests takes.
	slow     time.Duration
	duration time.Duration
}

// client sends the requests of one protocol.
type client interface {
	// fire answers who served the request, or why it counts as lost.
	fire(shot) (string, error)
	close()
}

// shot is one request of a load.
type shot struct {
	n      int
	target string
	due    time.Time
	kept   bool
	// slow is how long the answer is asked to take; 0 but for a slow one.
	slow    time.Duration
	timeout time.Duration
}

func (s shot) connection() string {
	if s.kept {
		return "kept"
	}
	return "fresh"
}

// schemes: a scheme's load keeps connections, makes fresh ones, or takes turns, and knows slow requests or not.
var schemes = map[string]struct {
	kept, fresh, slow bool
	client            func(load, *report) client
}{
	"http":     {kept: true, fresh: true, slow: true, client: newHTTPClient},
	"grpc":     {kept: true, fresh: true, slow: true, client: newGRPCClient},
	"tcp":      {kept: true, client: newTCPClient},
	"greeting": {fresh: true, client: newGreetingClient},
}

func newLoad(targets []string, rate, connections int, slow, duration time.Duration) (load, error) {
	if len(targets) == 0 {
		return load{}, errors.New("a load needs at least one url")
	}
	l := load{targets: targets, rate: rate, connections: connections, slow: slow, duration: duration}
	for _, target := range targets {
		parsed, err := url.Parse(target)
		if err != nil || parsed.Host == "" || schemes[parsed.Scheme].client == nil {
			return load{}, errors.New("not an http, grpc, tcp or greeting url: " + target)
		}
		if l.scheme != "" && l.scheme != parsed.Scheme {
			return load{}, errors.New("all urls of a load must have one scheme, not " + l.scheme + " and " + parsed.Scheme)
		}
		l.scheme = parsed.Scheme
	}
	if rate < 1 || rate > 10000 {
		return load{}, errors.New("rate must be 1 to 10000 requests per second, is " + strconv.Itoa(rate))
	}
	if connections < 1 || connections > 1000 {
		return load{}, errors.New("connections must be 1 to 1000, is " + strconv.Itoa(connections))
	}
	if slow <= 0 || slow >= timeout {
		return load{}, errors.New("slow must be above 0 and below " + timeout.String() + ", is " + slow.String())
	}
	return l, nil
}

func (l load) client(report *report) client { return schemes[l.scheme].client(l, report) }

func (l load) shot(n int, due time.Time) shot {
	kind := schemes[l.scheme]
	var slow time.Duration
	if kind.slow && n%slowEvery == slowEvery-1 {
		slow = l.slow
	}
	return shot{
		n:      n,
		target: l.targets[n%len(l.targets)],
		due:    due,
		// In turn, and the other way round after each slow one, so that slow ones take turns as well.
		kept:    kind.kept && (!kind.fresh || (n/len(l.targets)+n/slowEvery)%2 == 0),
		slow:    slow,
		timeout: timeout,
	}
}

// run sends until the duration is over or ctx ends, waits for the answers still under way, and closes the report.
func (l load) run(ctx context.Context, report *report) {
	if l.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.duration)
		defer cancel()
	}
	client := l.client(report)
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
		shot := l.shot(n, due)
		report.began(shot)
		underWay.Go(func() {
			hostname, err := client.fire(shot)
			report.ended(shot, hostname, err)
		})
	}
	report.sendingEnded()
	underWay.Wait()
	client.close()
	report.close()
}

// reason folds an error into a short word to count by.
func reason(err error) string {
	var httpStatus statusError
	var network net.Error
	if grpcStatus, isGRPC := status.FromError(err); isGRPC {
		return "grpc " + grpcStatus.Code().String()
	}
	switch {
	case errors.As(err, &httpStatus):
		return httpStatus.Error()
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
