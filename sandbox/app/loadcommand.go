package main

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type urls []string

func (u *urls) String() string         { return "" }
func (u *urls) Set(value string) error { *u = append(*u, value); return nil }

// loadCommand runs one load, prints progress once a second on standard error and the summary on standard output.
func loadCommand(args []string) error {
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	var targets urls
	flags.Var(&targets, "url", "http, grpc, tcp or greeting address to send to; repeatable, taken in turn")
	rate := flags.Int("rate", 200, "requests per second")
	connections := flags.Int("connections", defaultConnections, "connections that a tcp load keeps")
	slow := flags.Duration("slow", defaultSlow, "how long one in fifty requests takes, of http and grpc")
	duration := flags.Duration("duration", 0, "how long to send; until SIGTERM when 0")
	if err := flags.Parse(args); err != nil {
		return err
	}
	l, err := newLoad(targets, *rate, *connections, *slow, *duration)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	report := newReport(targets)
	done := make(chan struct{})
	go func() { l.run(ctx, report); close(done) }()
	progress := json.NewEncoder(os.Stderr)
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-second.C:
			s := report.summary()
			_ = progress.Encode(map[string]any{"seconds": s.Seconds, "sent": s.Sent, "failed": s.Failed, "inFlight": s.InFlight})
		case <-done:
			return json.NewEncoder(os.Stdout).Encode(report.summary())
		}
	}
}
