package nsq

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/compress"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// What an nsqd may answer that does not do what it said.
func TestBrokenUpgrades(t *testing.T) {
	ca := certstest.NewCA(t)
	server := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t).Certificate}}
	ok := string(wire.AppendFrame(nil, wire.FrameResponse, wire.OK))
	const granted = `{"tls_v1":true}`
	for _, tt := range []struct {
		name   string
		answer string // to IDENTIFY
		then   func(c *nsqtest.FakeConn)
		want   string // after "failed to IDENTIFY - "
	}{
		{"an OK in clear", granted, func(c *nsqtest.FakeConn) { c.Respond(wire.OK) }, "tls: first record does not look like a TLS handshake"},
		{"an error in clear", granted, func(c *nsqtest.FakeConn) { c.Fail("E_IDENTIFY_FAILED") }, "tls: first record does not look like a TLS handshake"},
		{"the end", granted, func(c *nsqtest.FakeConn) { c.Conn.Close() }, ""},
		{"garbage inside TLS", granted, func(c *nsqtest.FakeConn) { c.StartTLS(server); c.Write([]byte("HTTP/1.1 400")) }, "unexpected HTTP response, a nsqd TCP endpoint is required"},
		{"another answer inside TLS", granted, func(c *nsqtest.FakeConn) { c.StartTLS(server); c.Respond("NO") }, "invalid response from TLS upgrade"},
		{"an error inside TLS", granted, func(c *nsqtest.FakeConn) { c.StartTLS(server); c.Fail("E_INVALID") }, "invalid response from TLS upgrade"},
		{"the end inside TLS", granted, func(c *nsqtest.FakeConn) { c.StartTLS(server); c.Conn.Close() }, "EOF"},
		{"TLS not granted", `{"snappy":true}`, func(*nsqtest.FakeConn) {}, "nsqd does not offer TLS"},
		{"TLS not known", wire.OK, func(*nsqtest.FakeConn) {}, "nsqd does not offer TLS"},
		{"two compressions", `{"tls_v1":true,"snappy":true,"deflate":true}`, func(*nsqtest.FakeConn) {}, "nsqd granted both deflate and snappy"},
		{"snappy in clear", `{"tls_v1":true,"snappy":true}`, func(c *nsqtest.FakeConn) { c.StartTLS(server); c.Respond(wire.OK); c.Respond(wire.OK) }, "corrupt input"},
		{"another answer inside snappy", `{"tls_v1":true,"snappy":true}`, func(c *nsqtest.FakeConn) {
			c.StartTLS(server)
			c.Respond(wire.OK)
			c.StartSnappy()
			c.Respond("NO")
		}, "invalid response from Snappy upgrade"},
		{"another answer inside deflate", `{"tls_v1":true,"deflate":true}`, func(c *nsqtest.FakeConn) {
			c.StartTLS(server)
			c.Respond(wire.OK)
			if _, err := compress.NewDeflateWriter(c.Conn, 6).Write([]byte(strings.Replace(ok, "OK", "NO", 1))); err != nil {
				c.TB.Error(err)
			}
		}, "invalid response from Deflate upgrade"},
		{"deflate in clear", `{"tls_v1":true,"deflate":true}`, func(c *nsqtest.FakeConn) {
			c.StartTLS(server)
			c.Respond(wire.OK)
			c.Write([]byte("\xff\xff\xff\xff"))
		}, "flate: corrupt input before offset 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := nsqtest.NewFake(t)
			p := newTestProducer(t, f.Addr, func(c *Config) {
				c.TlsV1, c.TlsConfig = true, &tls.Config{RootCAs: ca.Pool()}
			})
			result := make(chan error, 1)
			go func() { result <- p.Publish("t", []byte("x")) }()
			c := f.Raw()
			raw := c.Conn
			c.Magic()
			c.Expect("IDENTIFY")
			c.Respond(tt.answer)
			tt.then(c)
			err := nsqtest.Receive(t, "the error", result)
			var identify ErrIdentify
			if !errors.As(err, &identify) || !strings.Contains(identify.Reason, tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			raw.Close()
		})
	}
}

// Deadlines, losses and the end come through the layers.
func TestLayeredConnectionsEnd(t *testing.T) {
	t.Parallel()
	ca := certstest.NewCA(t)
	server := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t).Certificate}}
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, func(c *Config) {
		c.TlsV1, c.TlsConfig, c.Snappy = true, &tls.Config{RootCAs: ca.Pool()}, true
		c.ReadTimeout, c.HeartbeatInterval = time.Second, time.Second
	})
	publish := func() <-chan error {
		result := make(chan error, 1)
		go func() { result <- p.Publish("t", []byte("x")) }()
		return result
	}

	result := publish()
	c := f.Layered(server)
	c.Expect("PUB t") // and no answer ever
	if err := nsqtest.Receive(t, "a read time-out", result); !errors.Is(err, ErrNotConnected) {
		t.Errorf("nsqd is silent: %v", err)
	}

	result = publish()
	c = f.Layered(server)
	c.Expect("PUB t")
	c.Conn.Close()
	if err := nsqtest.Receive(t, "the loss", result); !errors.Is(err, ErrNotConnected) {
		t.Errorf("the connection was lost: %v", err)
	}

	result = publish()
	c = f.Layered(server)
	c.Expect("PUB t")
	c.Respond(wire.Heartbeat)
	c.Expect("NOP")
	c.Respond(wire.OK)
	if err := nsqtest.Receive(t, "OK", result); err != nil {
		t.Error(err)
	}
	result = publish()
	c.Expect("PUB t")
	stopped := make(chan struct{})
	go func() { defer close(stopped); p.Stop() }()
	if _, _, err := c.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("Stop ended what it sends with %v", err)
	}
	c.Respond(wire.OK) // still gets through
	c.Conn.Close()
	if err := nsqtest.Receive(t, "the last OK", result); err != nil {
		t.Error(err)
	}
	nsqtest.Receive(t, "Stop", stopped)
}

// nsqd begins a layer as soon as it has answered, so that both may arrive at once.
func TestLayerRightBehindTheAnswer(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, func(c *Config) { c.Snappy = true })
	result := make(chan error, 1)
	go func() { result <- p.Publish("t", []byte("x")) }()
	c := f.Raw()
	c.Magic()
	c.Expect("IDENTIFY")
	b := &strings.Builder{}
	b.Write(wire.AppendFrame(nil, wire.FrameResponse, `{"snappy":true}`))
	snappy := compress.NewSnappyWriter(b)
	if _, err := snappy.Write(wire.AppendFrame(nil, wire.FrameResponse, wire.OK)); err != nil {
		t.Fatal(err)
	}
	c.Write([]byte(b.String()))
	c.Reader = bufio.NewReader(compress.NewSnappyReader(c.Reader))
	c.Expect("PUB t")
	b.Reset()
	if _, err := snappy.Write(wire.AppendFrame(nil, wire.FrameResponse, wire.OK)); err != nil {
		t.Fatal(err)
	}
	c.Write([]byte(b.String()))
	if err := nsqtest.Receive(t, "OK", result); err != nil {
		t.Error(err)
	}
	c.Conn.Close()
}
