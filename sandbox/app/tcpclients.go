package main

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"
)

// tcpClient keeps its connections and sends a line over each in turn; one that is cut is counted and made again for its
// next line.
type tcpClient struct {
	load   load
	report *report
	kept   map[string][]*keptConnection
}

type keptConnection struct {
	mutex      sync.Mutex
	connection net.Conn
	lines      *bufio.Reader
}

func newTCPClient(l load, report *report) client {
	c := tcpClient{load: l, report: report, kept: map[string][]*keptConnection{}}
	for n := range max(l.connections, len(l.targets)) {
		target := l.targets[n%len(l.targets)]
		c.kept[target] = append(c.kept[target], &keptConnection{})
	}
	return c
}

func (c tcpClient) close() {
	for _, connections := range c.kept {
		for _, kept := range connections {
			if kept.connection != nil {
				_ = kept.connection.Close()
				c.report.connectionClosed()
			}
		}
	}
}

func (c tcpClient) fire(s shot) (string, error) {
	connections := c.kept[s.target]
	kept := connections[s.n/len(c.load.targets)%len(connections)]
	kept.mutex.Lock()
	defer kept.mutex.Unlock()
	if kept.connection == nil {
		connection, err := dial(s.target, dialTimeout)
		if err != nil {
			return "", err
		}
		kept.connection, kept.lines = connection, bufio.NewReader(connection)
		c.report.connectionOpened()
	}
	hostname, err := kept.echo(fmt.Sprintf("line %d", s.n), s.timeout)
	if err != nil {
		_ = kept.connection.Close()
		kept.connection = nil
		c.report.connectionCut()
	}
	return hostname, err
}

func (k *keptConnection) echo(line string, within time.Duration) (string, error) {
	if err := k.connection.SetDeadline(time.Now().Add(within)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(k.connection, "%s\n", line); err != nil {
		return "", err
	}
	answer, err := k.lines.ReadString('\n')
	if err != nil {
		return "", err
	}
	hostname, echoed, _ := strings.Cut(strings.TrimSuffix(answer, "\n"), " ")
	if echoed != line {
		return "", fmt.Errorf("sent %q, got %q", line, answer)
	}
	return hostname, nil
}

// greetingClient waits for the server's first words on a fresh connection, and takes its leave.
type greetingClient struct{}

func newGreetingClient(load, *report) client { return greetingClient{} }

func (greetingClient) close() {}

func (greetingClient) fire(s shot) (string, error) {
	connection, err := dial(s.target, dialTimeout)
	if err != nil {
		return "", err
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(s.timeout)); err != nil {
		return "", err
	}
	lines := bufio.NewReader(connection)
	greeting, err := lines.ReadString('\n')
	if err != nil {
		return "", err
	}
	words := strings.Fields(greeting)
	if len(words) < 2 || words[0] != "220" {
		return "", fmt.Errorf("not a greeting: %q", greeting)
	}
	if _, err := fmt.Fprint(connection, "QUIT\r\n"); err != nil {
		return "", err
	}
	_, err = lines.ReadString('\n')
	return words[1], err
}

func dial(target string, within time.Duration) (net.Conn, error) {
	parsed, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	return net.DialTimeout("tcp", parsed.Host, within)
}
