package main

import (
	"maps"
	"math"
	"slices"
	"sync"
	"time"
)

// Only so many lost requests are kept word by word; all are counted.
const keptFailures = 50

// lateAfter is the delay from which a request counts as sent late: the generator itself could not keep its rate.
const lateAfter = 200 * time.Millisecond

type failure struct {
	At         time.Time `json:"at"`
	Target     string    `json:"target"`
	Connection string    `json:"connection"`
	Slow       bool      `json:"slow"`
	Reason     string    `json:"reason"`
	Message    string    `json:"message"`
	Seconds    float64   `json:"seconds"`
}

// latency is in milliseconds, of answered requests that did not ask for a slow answer.
type latency struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

type target struct {
	URL    string `json:"url"`
	Sent   int    `json:"sent"`
	Failed int    `json:"failed"`
}

// connections counts those that a tcp load keeps; one is cut when anyone but the load ended it.
type connections struct {
	Open   int `json:"open"`
	Opened int `json:"opened"`
	Cut    int `json:"cut"`
}

// summary is what the load generator prints and answers. GapSeconds is the longest time between two answers, or to the
// first or from the last one, slow ones left out.
type summary struct {
	Running     bool           `json:"running"`
	Seconds     float64        `json:"seconds"`
	Sent        int            `json:"sent"`
	Succeeded   int            `json:"succeeded"`
	Failed      int            `json:"failed"`
	InFlight    int            `json:"inFlight"`
	SentLate    int            `json:"sentLate"`
	GapSeconds  float64        `json:"gapSeconds"`
	Connections connections    `json:"connections"`
	Reasons     map[string]int `json:"reasons"`
	AnsweredBy  map[string]int `json:"answeredBy"`
	Targets     []target       `json:"targets"`
	LatencyMs   latency        `json:"latencyMs"`
	Failures    []failure      `json:"failures"`
}

type report struct {
	mutex         sync.Mutex
	started       time.Time
	lastSentBy    time.Time
	lastSucceeded time.Time
	gap           time.Duration
	endedAt       time.Time
	sent          int
	succeeded     int
	failed        int
	late          int
	connections   connections
	reasons       map[string]int
	answeredBy    map[string]int
	targets       []target
	latencies     []float64
	failures      []failure
}

func newReport(targets []string) *report {
	now := time.Now()
	r := &report{started: now, lastSucceeded: now, reasons: map[string]int{}, answeredBy: map[string]int{}, failures: []failure{}}
	for _, url := range targets {
		r.targets = append(r.targets, target{URL: url})
	}
	return r
}

func (r *report) target(url string) *target {
	return &r.targets[slices.IndexFunc(r.targets, func(t target) bool { return t.URL == url })]
}

func (r *report) began(s shot) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.sent++
	r.target(s.target).Sent++
	if time.Since(s.due) > lateAfter {
		r.late++
	}
}

func (r *report) ended(s shot, hostname string, err error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	took := time.Since(s.due)
	if err == nil {
		r.succeeded++
		r.answeredBy[hostname]++
		if s.slow == 0 {
			now := time.Now()
			r.gap = max(r.gap, now.Sub(r.lastSucceeded))
			r.lastSucceeded = now
			r.latencies = append(r.latencies, float64(took.Microseconds())/1000)
		}
		return
	}
	r.failed++
	r.target(s.target).Failed++
	r.reasons[reason(err)]++
	if len(r.failures) < keptFailures {
		r.failures = append(r.failures, failure{s.due, s.target, s.connection(), s.slow > 0, reason(err), err.Error(), took.Seconds()})
	}
}

func (r *report) connectionOpened() { r.count(func(c *connections) { c.Open++; c.Opened++ }) }
func (r *report) connectionCut()    { r.count(func(c *connections) { c.Open--; c.Cut++ }) }
func (r *report) connectionClosed() { r.count(func(c *connections) { c.Open-- }) }

func (r *report) count(change func(*connections)) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	change(&r.connections)
}

func (r *report) sendingEnded() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.lastSentBy = time.Now()
}

func (r *report) close() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.endedAt = time.Now()
}

func (r *report) summary() summary {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	until := r.endedAt
	if until.IsZero() {
		until = time.Now()
	}
	sentUntil := r.lastSentBy
	if sentUntil.IsZero() {
		sentUntil = time.Now()
	}
	return summary{
		Running:     r.endedAt.IsZero(),
		Seconds:     inSeconds(until.Sub(r.started)),
		GapSeconds:  inSeconds(max(r.gap, sentUntil.Sub(r.lastSucceeded))),
		Connections: r.connections,
		Sent:        r.sent,
		Succeeded:   r.succeeded,
		Failed:      r.failed,
		InFlight:    r.sent - r.succeeded - r.failed,
		SentLate:    r.late,
		Reasons:     maps.Clone(r.reasons),
		AnsweredBy:  maps.Clone(r.answeredBy),
		Targets:     slices.Clone(r.targets),
		LatencyMs:   latencyOf(slices.Clone(r.latencies)),
		Failures:    slices.Clone(r.failures),
	}
}

func inSeconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }

func latencyOf(values []float64) latency {
	if len(values) == 0 {
		return latency{}
	}
	slices.Sort(values)
	at := func(share float64) float64 { return values[int(share*float64(len(values)-1))] }
	return latency{P50: at(0.5), P90: at(0.9), P99: at(0.99), Max: at(1)}
}
