package nsqd_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/s2"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

// A way is how a client reaches the broker: the network, and what it then
// negotiates, in this order.
type way struct {
	name       string
	unix       bool
	layers     []string // tls, snappy, deflate
	durability nsqd.Durability
}

var ways = []way{
	{name: "tcp"},
	{name: "unix", unix: true},
	{name: "tls", layers: []string{"tls"}},
	{name: "snappy", layers: []string{"snappy"}},
	{name: "deflate", layers: []string{"deflate"}},
	{name: "tls+snappy", layers: []string{"tls", "snappy"}},
	{name: "tls+deflate", layers: []string{"tls", "deflate"}},
}

// serverPair is the certificate of every broker in these tests that has one.
var serverPair = sync.OnceValue(func() certstest.Pair { return certstest.SelfSigned(new(noTest)) })

// noTest is for what outlives the test that needs it first.
type noTest struct{ testing.TB }

func (*noTest) Helper()           {}
func (*noTest) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// withCertificate gives the broker a certificate.
func withCertificate(tb testing.TB, opts *nsqd.Options) {
	tb.Helper()
	opts.TLSCert, opts.TLSKey = serverPair().Write(tb, tb.TempDir(), "server")
}

// configure has the broker serve this way.
func (w way) configure(tb testing.TB, opts *nsqd.Options) {
	tb.Helper()
	opts.Durability = w.durability
	if w.unix {
		opts.TCPAddress = filepath.Join(opts.DataPath, "s")
	}
	if len(w.layers) > 0 && w.layers[0] == "tls" {
		withCertificate(tb, opts)
	}
}

// negotiate puts the layers onto a connection that has sent the magic.
func (w way) negotiate(c *rawClient) error {
	if len(w.layers) == 0 {
		return nil
	}
	request := map[string]bool{"feature_negotiation": true}
	for _, layer := range w.layers {
		request[strings.Replace(layer, "tls", "tls_v1", 1)] = true
	}
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	if err := c.trySend(wire.AppendIdentify(nil, body)); err != nil {
		return err
	}
	f, err := c.tryNext()
	if err != nil {
		return err
	}
	for field := range request {
		if field != "feature_negotiation" && !strings.Contains(f.data, fmt.Sprintf(`%q:true`, field)) {
			return fmt.Errorf("asked for %s and got %v", field, f)
		}
	}
	for _, layer := range w.layers {
		if err := c.upgrade(layer); err != nil {
			return err
		}
		if f, err := c.tryNext(); f != ok {
			return fmt.Errorf("the first frame in %s is %v, %w", layer, f, err)
		}
	}
	return nil
}

// dial opens a connection, sends the magic and negotiates.
func (w way) dial(tb testing.TB, addr net.Addr) *rawClient {
	tb.Helper()
	c := connect(tb, addr)
	c.send([]byte(wire.MagicV2))
	if err := w.negotiate(c); err != nil {
		tb.Fatal(err)
	}
	return c
}

// upgrade puts a layer onto the client's end. They are other implementations
// than the broker's where there are any.
func (c *rawClient) upgrade(layer string) error {
	switch layer {
	case "tls":
		return c.startTLS(&tls.Config{InsecureSkipVerify: true})
	case "snappy":
		w := s2.NewWriter(c.conn, s2.WriterSnappyCompat(), s2.WriterConcurrency(1))
		c.layer(s2.NewReader(c.br), w)
	case "deflate":
		w, err := flate.NewWriter(c.conn, flate.BestSpeed)
		if err != nil {
			return err
		}
		c.layer(flate.NewReader(c.br), w)
	default:
		return fmt.Errorf("no such layer: %s", layer)
	}
	return nil
}

func (c *rawClient) startTLS(config *tls.Config) error {
	if c.br.Buffered() > 0 {
		return fmt.Errorf("%d bytes came together with the answer to IDENTIFY", c.br.Buffered())
	}
	conn := tls.Client(c.conn, config)
	if err := conn.Handshake(); err != nil {
		return err
	}
	c.conn = &layeredConn{Conn: conn, r: conn, w: conn}
	c.br = bufio.NewReader(c.conn)
	return nil
}

type flushWriter interface {
	io.Writer
	Flush() error
}

func (c *rawClient) layer(r io.Reader, w flushWriter) {
	c.conn = &layeredConn{Conn: c.conn, r: r, w: w, flush: w.Flush}
	c.br = bufio.NewReader(c.conn)
}

// A layeredConn is a connection in a layer of another. Close closes the
// innermost, without a word.
type layeredConn struct {
	net.Conn
	r     io.Reader
	w     io.Writer
	flush func() error // nil where nothing is held back
}

// Read reports the end of the connection as such, wherever in the layer's
// stream it comes.
func (c *layeredConn) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

func (c *layeredConn) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	if err == nil && c.flush != nil {
		err = c.flush()
	}
	return n, err
}

func (c *layeredConn) Close() error {
	if conn, ok := c.Conn.(*tls.Conn); ok {
		return conn.NetConn().Close()
	}
	return c.Conn.Close()
}

func (c *layeredConn) CloseWrite() error {
	return c.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

// compressed returns the start of a client's stream in a layer.
func compressed(layer string, b []byte) ([]byte, error) {
	var stream bytes.Buffer
	var w flushWriter = s2.NewWriter(&stream, s2.WriterSnappyCompat(), s2.WriterConcurrency(1))
	if layer == "deflate" {
		var err error
		if w, err = flate.NewWriter(&stream, flate.BestSpeed); err != nil {
			return nil, err
		}
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	err := w.Flush()
	return stream.Bytes(), err
}
