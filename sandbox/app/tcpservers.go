package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
)

// serveEcho answers each line with the hostname and the line, for as long as the client keeps the connection.
func serveEcho(ctx context.Context, listener net.Listener, hostname string) error {
	return serveConnections(ctx, listener, func(connection io.ReadWriter) {
		for lines := bufio.NewScanner(connection); lines.Scan(); {
			if _, err := fmt.Fprintf(connection, "%s %s\n", hostname, lines.Text()); err != nil {
				return
			}
		}
	})
}

// serveGreeting speaks first, as SMTP servers do, then answers each line until QUIT.
func serveGreeting(ctx context.Context, listener net.Listener, hostname string) error {
	return serveConnections(ctx, listener, func(connection io.ReadWriter) {
		if _, err := fmt.Fprintf(connection, "220 %s ready\r\n", hostname); err != nil {
			return
		}
		for lines := bufio.NewScanner(connection); lines.Scan(); {
			if strings.EqualFold(lines.Text(), "QUIT") {
				_, _ = io.WriteString(connection, "221 bye\r\n")
				return
			}
			if _, err := io.WriteString(connection, "250 ok\r\n"); err != nil {
				return
			}
		}
	})
}
