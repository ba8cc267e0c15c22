package load

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/compress"
	"github.com/seed893f581e/nsq/internal/wire"
)

const (
	handshakeTimeout = 10 * time.Second
	readBufferSize   = 256 << 10
	maxFrame         = 64 << 20
)

// Settings are what a connection asks for. The zero value is a plain connection
// with the settings that nsqd gives to a client that asks for nothing.
type Settings struct {
	TLS     *tls.Config // nil for none
	Snappy  bool
	Deflate int  // level, 0 for none
	Small   bool // the connection will see little traffic: its buffer is small

	Heartbeat time.Duration // how often nsqd sends one, 0 for its default
}

// A Conn is a connection to nsqd. One goroutine reads; any may write.
type Conn struct {
	nc net.Conn
	r  io.Reader

	writing sync.Mutex // w, of which a layer may need it
	w       io.Writer

	in         []byte
	start, end int // of what was read and not yet handled
}

// Dial connects and negotiates. The connection is closed when ctx ends.
func Dial(ctx context.Context, addr string, s Settings) (*Conn, error) {
	nc, err := (&net.Dialer{Timeout: handshakeTimeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := NewConn(nc)
	if s.Small {
		c.in = make([]byte, 1<<10)
	}
	if err := c.negotiate(ctx, s); err != nil {
		nc.Close()
		return nil, fmt.Errorf("%s: %w", addr, err)
	}
	context.AfterFunc(ctx, func() { nc.Close() })
	return c, nil
}

// NewConn returns a connection on which nothing is negotiated.
func NewConn(nc net.Conn) *Conn {
	return &Conn{nc: nc, r: nc, w: nc, in: make([]byte, readBufferSize)}
}

// Close closes the connection.
func (c *Conn) Close() error { return c.nc.Close() }

func (c *Conn) negotiate(ctx context.Context, s Settings) error {
	if err := c.nc.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return err
	}
	request, err := json.Marshal(map[string]any{
		"client_id": "bench", "user_agent": "nsq_bench", "feature_negotiation": true,
		"tls_v1": s.TLS != nil, "snappy": s.Snappy, "deflate": s.Deflate > 0, "deflate_level": s.Deflate,
		"heartbeat_interval": s.Heartbeat.Milliseconds(),
	})
	if err != nil {
		return err
	}
	if _, err := c.nc.Write(wire.AppendIdentify([]byte(wire.MagicV2), request)); err != nil {
		return err
	}
	answer, err := c.response()
	if err != nil {
		return err
	}
	var granted struct {
		TLS     bool `json:"tls_v1"`
		Snappy  bool `json:"snappy"`
		Deflate bool `json:"deflate"`
	}
	if err := json.Unmarshal(answer, &granted); err != nil {
		return fmt.Errorf("IDENTIFY was answered %q: %w", answer, err)
	}
	if granted.TLS != (s.TLS != nil) || granted.Snappy != s.Snappy || granted.Deflate != (s.Deflate > 0) {
		return fmt.Errorf("IDENTIFY was answered %q, which is not what was asked for", answer)
	}
	if err := c.addLayers(ctx, s); err != nil {
		return err
	}
	return c.nc.SetDeadline(time.Time{})
}

// addLayers puts TLS and compression onto the connection; each layer begins with
// an OK inside.
func (c *Conn) addLayers(ctx context.Context, s Settings) error {
	if s.TLS != nil {
		conn := tls.Client(c.nc, s.TLS)
		if err := conn.HandshakeContext(ctx); err != nil {
			return err
		}
		c.r, c.w = conn, conn
		if err := c.expectOK(); err != nil {
			return err
		}
	}
	switch {
	case s.Snappy:
		c.r, c.w = compress.NewSnappyReader(c.r), compress.NewSnappyWriter(c.w)
	case s.Deflate > 0:
		c.r, c.w = compress.NewDeflateReader(c.r), compress.NewDeflateWriter(c.w, s.Deflate)
	default:
		return nil
	}
	return c.expectOK()
}

// response reads one response, and nothing beyond it.
func (c *Conn) response() ([]byte, error) {
	t, data, err := wire.ReadFrame(c.r, nil, maxFrame)
	switch {
	case err != nil:
		return nil, err
	case t == wire.FrameError:
		return nil, wire.ParseError(data)
	case t != wire.FrameResponse:
		return nil, fmt.Errorf("a frame of type %d where a response was expected", t)
	}
	return data, nil
}

func (c *Conn) expectOK() error {
	data, err := c.response()
	if err == nil && string(data) != wire.OK {
		err = fmt.Errorf("response %q, not OK", data)
	}
	return err
}

// Write writes all of p at once.
func (c *Conn) Write(p []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.w.Write(p)
	return err
}

// read reads once and returns what is there to be handled.
func (c *Conn) read() ([]byte, error) {
	if c.start == c.end {
		c.start, c.end = 0, 0
	}
	if c.end == len(c.in) {
		if c.start == 0 {
			c.in = append(c.in, make([]byte, len(c.in))...)
		}
		c.end = copy(c.in, c.in[c.start:c.end])
		c.start = 0
	}
	n, err := c.r.Read(c.in[c.end:])
	c.end += n
	if n == 0 && err != nil {
		return nil, err
	}
	return c.in[c.start:c.end], nil
}

// frames reads once and gives every message that is then there whole to message; it
// returns how many responses were OK. Heartbeats are answered, errors returned.
func (c *Conn) frames(message func(data []byte) error) (oks int, err error) {
	b, err := c.read()
	if err != nil {
		return 0, err
	}
	for {
		t, data, rest, err := wire.ParseFrame(b, maxFrame)
		if errors.Is(err, wire.ErrShort) {
			return oks, nil
		}
		if err != nil {
			return oks, err
		}
		b = rest
		c.start = c.end - len(rest)
		switch {
		case t == wire.FrameMessage && message != nil:
			err = message(data)
		case t == wire.FrameResponse && string(data) == wire.OK:
			oks++
		case t == wire.FrameResponse && string(data) == wire.Heartbeat:
			err = c.Write(wire.AppendNop(nil))
		case t == wire.FrameError:
			err = wire.ParseError(data)
		default:
			err = fmt.Errorf("nobody waits for a frame of type %d with %q", t, data)
		}
		if err != nil {
			return oks, err
		}
	}
}
