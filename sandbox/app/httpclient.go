package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
)

// httpClient repeats nothing: requests are POST without an Idempotency-Key, which Go's client never sends twice.
type httpClient struct{ kept, fresh *http.Client }

func newHTTPClient(load, *report) client {
	dialer := &net.Dialer{Timeout: dialTimeout}
	return httpClient{
		kept:  &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, MaxIdleConnsPerHost: 32}},
		fresh: &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}},
	}
}

func (c httpClient) close() { c.kept.CloseIdleConnections() }

func (c httpClient) fire(s shot) (string, error) {
	address := s.target
	if s.slow > 0 {
		parsed, err := url.Parse(s.target)
		if err != nil {
			return "", err
		}
		address = parsed.JoinPath("slow").String() + "?ms=" + strconv.FormatInt(s.slow.Milliseconds(), 10)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		return "", err
	}
	client := c.fresh
	if s.kept {
		client = c.kept
	}
	response, err := client.Do(request)
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
