package main

import (
	"context"
	"errors"
	"io"
	"net/url"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	// One in streamEvery requests is a stream of streamLength messages.
	streamEvery  = 10
	streamLength = 5
)

// grpcClient repeats nothing by policy. The library itself sends a request again that provably never reached a server, as
// every gRPC client does.
type grpcClient struct {
	mutex sync.Mutex
	// kept is one connection for each target.
	kept map[string]*grpc.ClientConn
}

func newGRPCClient(load, *report) client { return &grpcClient{kept: map[string]*grpc.ClientConn{}} }

func (c *grpcClient) close() {
	for _, connection := range c.kept {
		_ = connection.Close()
	}
}

func (c *grpcClient) fire(s shot) (string, error) {
	connection, err := c.connection(s)
	if err != nil {
		return "", err
	}
	if !s.kept {
		defer func() { _ = connection.Close() }()
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	if s.slow > 0 {
		return answerAfter(ctx, connection, s.slow)
	}
	if s.n%streamEvery == streamEvery/2 {
		return shortStream(ctx, connection)
	}
	return answerAfter(ctx, connection, 0)
}

func (c *grpcClient) connection(s shot) (*grpc.ClientConn, error) {
	if !s.kept {
		return connect(s.target)
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if found := c.kept[s.target]; found != nil {
		return found, nil
	}
	made, err := connect(s.target)
	c.kept[s.target] = made
	return made, err
}

// connect leaves name resolution to the dialer and reconnects soon, so that what is measured is the mesh.
func connect(target string) (*grpc.ClientConn, error) {
	parsed, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	return grpc.NewClient("passthrough:///"+parsed.Host,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableRetry(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.2, MaxDelay: 500 * time.Millisecond},
			MinConnectTimeout: dialTimeout,
		}))
}

func answerAfter(ctx context.Context, connection *grpc.ClientConn, after time.Duration) (string, error) {
	hostname := new(wrapperspb.StringValue)
	err := connection.Invoke(ctx, answerMethod, durationpb.New(after), hostname)
	return hostname.Value, err
}

// shortStream counts as served when every message came.
func shortStream(ctx context.Context, connection *grpc.ClientConn) (string, error) {
	stream, err := connection.NewStream(ctx, &echoService.Streams[0], streamMethod)
	if err != nil {
		return "", err
	}
	if err := stream.SendMsg(wrapperspb.Int32(streamLength)); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if err := stream.CloseSend(); err != nil {
		return "", err
	}
	hostname := new(wrapperspb.StringValue)
	for received := 0; ; received++ {
		err := stream.RecvMsg(hostname)
		if errors.Is(err, io.EOF) && received == streamLength {
			return hostname.Value, nil
		}
		if err != nil {
			return "", err
		}
	}
}
