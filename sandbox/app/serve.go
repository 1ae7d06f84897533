package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// graceful is how long what is in flight may take once the app is told to stop.
const graceful = 10 * time.Second

// serve answers on every port it is given until it is told to stop, and then lets what is in flight end.
func serve(args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	wrong := faults{}
	apps := []struct {
		address *string
		serve   func(ctx context.Context, listener net.Listener, hostname string) error
	}{
		{flags.String("listen", ":8080", "address and port for HTTP; none when empty"), serveHTTP(&wrong)},
		{flags.String("grpc", "", "address and port for gRPC"), serveGRPC},
		{flags.String("tcp", "", "address and port for lines that are echoed over plain TCP"), serveEcho},
		{flags.String("greeting", "", "address and port of a server that speaks first, as SMTP does"), serveGreeting},
	}
	flags.IntVar(&wrong.failEvery, "fail-every", 0, "answer every n-th HTTP request with 500; none when 0")
	flags.IntVar(&wrong.capacity, "capacity", 0, "HTTP requests a second that are answered in time; no bound when 0")
	flags.DurationVar(&wrong.late, "late", 500*time.Millisecond, "by how much those above the capacity are late")
	if err := flags.Parse(args); err != nil {
		return err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ended := make(chan error)
	running := 0
	for _, app := range apps {
		if *app.address == "" {
			continue
		}
		listener, err := net.Listen("tcp", *app.address)
		if err != nil {
			return err
		}
		running++
		go func() { ended <- app.serve(ctx, listener, hostname) }()
	}
	if running == 0 {
		return errors.New("serve needs at least one port")
	}
	for ; running > 0; running-- {
		if err := <-ended; err != nil {
			return err
		}
	}
	return nil
}

func serveHTTP(wrong *faults) func(ctx context.Context, listener net.Listener, hostname string) error {
	return func(ctx context.Context, listener net.Listener, hostname string) error {
		server := &http.Server{Handler: handler(hostname, wrong)}
		drained := make(chan struct{})
		go func() {
			<-ctx.Done()
			deadline, cancel := context.WithTimeout(context.Background(), graceful)
			defer cancel()
			_ = server.Shutdown(deadline)
			close(drained)
		}()
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		<-drained
		return nil
	}
}

// serveConnections hands each connection to its own goroutine; connections end with the process.
func serveConnections(ctx context.Context, listener net.Listener, answer func(io.ReadWriter)) error {
	go func() {
		<-ctx.Done()
		_ = listener.Close()
	}()
	for {
		connection, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		go func() {
			defer func() { _ = connection.Close() }()
			answer(connection)
		}()
	}
}
