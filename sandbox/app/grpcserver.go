package main

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	// answerMethod takes as long as it is asked to and answers the hostname.
	answerMethod = "/sandbox.Echo/Answer"
	// streamMethod answers the hostname as often as it is asked to, with streamPause between.
	streamMethod = "/sandbox.Echo/Stream"
	streamPause  = 20 * time.Millisecond
)

// echoService is written by hand over well-known messages, so that no code generator is needed. The server is the hostname.
var echoService = grpc.ServiceDesc{
	ServiceName: "sandbox.Echo",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Answer", Handler: func(hostname any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		after := new(durationpb.Duration)
		if err := decode(after); err != nil {
			return nil, err
		}
		select {
		case <-time.After(after.AsDuration()):
			return wrapperspb.String(hostname.(string)), nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}},
	Streams: []grpc.StreamDesc{{StreamName: "Stream", ServerStreams: true, Handler: func(hostname any, stream grpc.ServerStream) error {
		times := new(wrapperspb.Int32Value)
		if err := stream.RecvMsg(times); err != nil {
			return err
		}
		for range times.Value {
			if err := stream.SendMsg(wrapperspb.String(hostname.(string))); err != nil {
				return err
			}
			time.Sleep(streamPause)
		}
		return nil
	}}},
}

// serveGRPC also answers the standard health check, for probes.
func serveGRPC(ctx context.Context, listener net.Listener, hostname string) error {
	server := grpc.NewServer()
	server.RegisterService(&echoService, hostname)
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	drained := make(chan struct{})
	go func() {
		<-ctx.Done()
		late := time.AfterFunc(graceful, server.Stop)
		server.GracefulStop()
		late.Stop()
		close(drained)
	}()
	if err := server.Serve(listener); err != nil {
		return err
	}
	<-drained
	return nil
}
