package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/seed893f581e/nsq/internal/process"
	"github.com/seed893f581e/nsq/internal/wire"
)

// httpConnection publishes by requests, one after the other.
type httpConnection struct {
	ctx    context.Context
	in     *instance
	client http.Client
	post   poster
	out    []byte
}

// A poster publishes a round.
type poster func(c *httpConnection, p *publisher, first uint64) error

func dialHTTP(post poster) func(context.Context, *instance) (connection, error) {
	return func(ctx context.Context, in *instance) (connection, error) {
		return &httpConnection{ctx: ctx, in: in, client: http.Client{Transport: &http.Transport{}, Timeout: patience}, post: post}, nil
	}
}

func (c *httpConnection) close() { c.client.CloseIdleConnections() }

func (c *httpConnection) publish(p *publisher, first uint64) error { return c.post(c, p, first) }

// postText publishes a batch of lines.
func postText(c *httpConnection, p *publisher, first uint64) error {
	return c.request(p, first, len(p.bodies), "/mpub?topic="+p.ledger.topic, bytes.Join(p.bodies, []byte("\n")))
}

// postBinary publishes a batch as MPUB does.
func postBinary(c *httpConnection, p *publisher, first uint64) error {
	c.out = wire.AppendBatch(c.out[:0], p.bodies)
	return c.request(p, first, len(p.bodies), "/mpub?binary=true&topic="+p.ledger.topic, c.out)
}

func postEach(c *httpConnection, p *publisher, first uint64) error {
	return c.each(p, first, func(uint64) string { return "/pub?topic=" + p.ledger.topic })
}

func postEachDeferred(c *httpConnection, p *publisher, first uint64) error {
	return c.each(p, first, func(n uint64) string {
		return fmt.Sprintf("/pub?topic=%s&defer=%d", p.ledger.topic, p.delayOf(n)/time.Millisecond)
	})
}

// each publishes every message by a request of its own. What follows one that failed
// is not sent.
func (c *httpConnection) each(p *publisher, first uint64, path func(n uint64) string) error {
	for i, body := range p.bodies {
		n := first + uint64(i)
		if err := c.request(p, n, 1, path(n), body); err != nil {
			if rest := len(p.bodies) - i - 1; rest > 0 {
				p.ledger.note(n+1, rest, refused, c.in.incarnation)
			}
			return err
		}
	}
	return nil
}

// request makes a request and notes what became of its messages.
func (c *httpConnection) request(p *publisher, first uint64, count int, path string, body []byte) error {
	status, answer, err := c.do(path, body)
	o := acked
	switch {
	case err != nil:
		o = doubtful
	case status != http.StatusOK:
		o = refused
		err = &process.StatusError{Request: "POST " + path, Code: status, Body: answer}
	}
	p.ledger.note(first, count, o, c.in.incarnation)
	return err
}

func (c *httpConnection) do(path string, body []byte) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(c.ctx, "POST", c.in.server.URL(path), bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}
