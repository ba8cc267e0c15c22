package nsq

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/compress"
	"github.com/seed893f581e/nsq/internal/wire"
)

// startTLS does the server's part of the handshake.
func (c *fakeConn) startTLS(config *tls.Config) {
	c.t.Helper()
	c.nc.SetDeadline(time.Now().Add(patience))
	server := tls.Server(c.nc, config)
	if err := server.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	c.nc, c.br = server, bufio.NewReader(server)
}

// startSnappy puts snappy onto what there is.
func (c *fakeConn) startSnappy() {
	c.nc = &compressedConn{c.nc, compress.NewSnappyReader(c.br), compress.NewSnappyWriter(c.nc)}
	c.br = bufio.NewReader(c.nc)
}

type compressedConn struct {
	net.Conn
	in  io.Reader
	out io.Writer
}

func (c *compressedConn) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *compressedConn) Write(p []byte) (int, error) { return c.out.Write(p) }

// What an nsqd may answer that does not do what it said.
func TestBrokenUpgrades(t *testing.T) {
	ca := certstest.NewCA(t)
	server := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t).Certificate}}
	ok := string(wire.AppendFrame(nil, wire.FrameResponse, wire.OK))
	const granted = `{"tls_v1":true}`
	for _, tt := range []struct {
		name   string
		answer string // to IDENTIFY
		then   func(c *fakeConn)
		want   string // after "failed to IDENTIFY - "
	}{
		{"an OK in clear", granted, func(c *fakeConn) { c.respond(wire.OK) }, "tls: first record does not look like a TLS handshake"},
		{"an error in clear", granted, func(c *fakeConn) { c.fail("E_IDENTIFY_FAILED") }, "tls: first record does not look like a TLS handshake"},
		{"the end", granted, func(c *fakeConn) { c.nc.Close() }, ""},
		{"garbage inside TLS", granted, func(c *fakeConn) { c.startTLS(server); c.write([]byte("HTTP/1.1 400")) }, "unexpected HTTP response, a nsqd TCP endpoint is required"},
		{"another answer inside TLS", granted, func(c *fakeConn) { c.startTLS(server); c.respond("NO") }, "invalid response from TLS upgrade"},
		{"an error inside TLS", granted, func(c *fakeConn) { c.startTLS(server); c.fail("E_INVALID") }, "invalid response from TLS upgrade"},
		{"the end inside TLS", granted, func(c *fakeConn) { c.startTLS(server); c.nc.Close() }, "EOF"},
		{"TLS not granted", `{"snappy":true}`, func(*fakeConn) {}, "nsqd does not offer TLS"},
		{"TLS not known", wire.OK, func(*fakeConn) {}, "nsqd does not offer TLS"},
		{"two compressions", `{"tls_v1":true,"snappy":true,"deflate":true}`, func(*fakeConn) {}, "nsqd granted both deflate and snappy"},
		{"snappy in clear", `{"tls_v1":true,"snappy":true}`, func(c *fakeConn) { c.startTLS(server); c.respond(wire.OK); c.respond(wire.OK) }, "corrupt input"},
		{"another answer inside snappy", `{"tls_v1":true,"snappy":true}`, func(c *fakeConn) {
			c.startTLS(server)
			c.respond(wire.OK)
			c.startSnappy()
			c.respond("NO")
		}, "invalid response from Snappy upgrade"},
		{"another answer inside deflate", `{"tls_v1":true,"deflate":true}`, func(c *fakeConn) {
			c.startTLS(server)
			c.respond(wire.OK)
			if _, err := compress.NewDeflateWriter(c.nc, 6).Write([]byte(strings.Replace(ok, "OK", "NO", 1))); err != nil {
				c.t.Error(err)
			}
		}, "invalid response from Deflate upgrade"},
		{"deflate in clear", `{"tls_v1":true,"deflate":true}`, func(c *fakeConn) {
			c.startTLS(server)
			c.respond(wire.OK)
			c.write([]byte("\xff\xff\xff\xff"))
		}, "flate: corrupt input before offset 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFakeNSQD(t)
			p := newTestProducer(t, f.addr, func(c *Config) {
				c.TlsV1, c.TlsConfig = true, &tls.Config{RootCAs: ca.Pool()}
			})
			result := make(chan error, 1)
			go func() { result <- p.Publish("t", []byte("x")) }()
			c := f.raw()
			raw := c.nc
			c.magic()
			c.expect("IDENTIFY")
			c.respond(tt.answer)
			tt.then(c)
			err := receive(t, "the error", result)
			var identify ErrIdentify
			if !errors.As(err, &identify) || !strings.Contains(identify.Reason, tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			raw.Close()
		})
	}
}

// layered waits for a connection and puts TLS and snappy onto it.
func (f *fakeNSQD) layered(config *tls.Config) *fakeConn {
	f.t.Helper()
	c := f.raw()
	c.magic()
	if body := string(c.expect("IDENTIFY")); !strings.Contains(body, `"snappy":true`) || !strings.Contains(body, `"tls_v1":true`) {
		f.t.Errorf("IDENTIFY asks for %s", body)
	}
	c.respond(`{"tls_v1":true,"snappy":true}`)
	c.startTLS(config)
	c.respond(wire.OK)
	c.startSnappy()
	c.respond(wire.OK)
	return c
}

// Deadlines, losses and the end come through the layers.
func TestLayeredConnectionsEnd(t *testing.T) {
	ca := certstest.NewCA(t)
	server := &tls.Config{Certificates: []tls.Certificate{ca.Issue(t).Certificate}}
	f := newFakeNSQD(t)
	p := newTestProducer(t, f.addr, func(c *Config) {
		c.TlsV1, c.TlsConfig, c.Snappy = true, &tls.Config{RootCAs: ca.Pool()}, true
		c.ReadTimeout, c.HeartbeatInterval = time.Second, time.Second
	})
	publish := func() <-chan error {
		result := make(chan error, 1)
		go func() { result <- p.Publish("t", []byte("x")) }()
		return result
	}

	result := publish()
	c := f.layered(server)
	c.expect("PUB t") // and no answer ever
	if err := receive(t, "a read time-out", result); !errors.Is(err, ErrNotConnected) {
		t.Errorf("nsqd is silent: %v", err)
	}

	result = publish()
	c = f.layered(server)
	c.expect("PUB t")
	c.nc.Close()
	if err := receive(t, "the loss", result); !errors.Is(err, ErrNotConnected) {
		t.Errorf("the connection was lost: %v", err)
	}

	result = publish()
	c = f.layered(server)
	c.expect("PUB t")
	c.respond(wire.Heartbeat)
	c.expect("NOP")
	c.respond(wire.OK)
	if err := receive(t, "OK", result); err != nil {
		t.Error(err)
	}
	result = publish()
	c.expect("PUB t")
	stopped := make(chan struct{})
	go func() { defer close(stopped); p.Stop() }()
	if _, _, err := c.read(); !errors.Is(err, io.EOF) {
		t.Errorf("Stop ended what it sends with %v", err)
	}
	c.respond(wire.OK) // still gets through
	c.nc.Close()
	if err := receive(t, "the last OK", result); err != nil {
		t.Error(err)
	}
	receive(t, "Stop", stopped)
}

// nsqd begins a layer as soon as it has answered, so that both may arrive at once.
func TestLayerRightBehindTheAnswer(t *testing.T) {
	f := newFakeNSQD(t)
	p := newTestProducer(t, f.addr, func(c *Config) { c.Snappy = true })
	result := make(chan error, 1)
	go func() { result <- p.Publish("t", []byte("x")) }()
	c := f.raw()
	c.magic()
	c.expect("IDENTIFY")
	b := &strings.Builder{}
	b.Write(wire.AppendFrame(nil, wire.FrameResponse, `{"snappy":true}`))
	snappy := compress.NewSnappyWriter(b)
	if _, err := snappy.Write(wire.AppendFrame(nil, wire.FrameResponse, wire.OK)); err != nil {
		t.Fatal(err)
	}
	c.write([]byte(b.String()))
	c.nc = &compressedConn{c.nc, compress.NewSnappyReader(c.br), snappy}
	c.br = bufio.NewReader(c.nc)
	c.expect("PUB t")
	b.Reset()
	if _, err := snappy.Write(wire.AppendFrame(nil, wire.FrameResponse, wire.OK)); err != nil {
		t.Fatal(err)
	}
	c.nc.(*compressedConn).Conn.Write([]byte(b.String()))
	if err := receive(t, "OK", result); err != nil {
		t.Error(err)
	}
	c.nc.Close()
}
