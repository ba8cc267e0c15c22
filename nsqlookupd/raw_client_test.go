package nsqlookupd_test

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// patience is how long a client waits for what must come.
const patience = 20 * time.Second

// A rawClient is a connection that speaks the protocol byte by byte. Its
// methods that return an error may be used in any goroutine; the others end the
// test when things are not as they say.
type rawClient struct {
	tb   testing.TB
	conn net.Conn
	br   *bufio.Reader
}

// connect opens a connection and says nothing yet. It is closed with the test.
func connect(tb testing.TB, addr net.Addr) *rawClient {
	tb.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		tb.Fatal(err)
	}
	return newRawClient(tb, conn)
}

func newRawClient(tb testing.TB, conn net.Conn) *rawClient {
	tb.Cleanup(func() { conn.Close() })
	return &rawClient{tb, conn, bufio.NewReader(conn)}
}

// dial opens a connection and sends the magic.
func dial(tb testing.TB, d *nsqtest.Lookupd) *rawClient {
	tb.Helper()
	c := connect(tb, d.RealTCPAddr())
	c.send(wire.MagicV1)
	return c
}

// dialProducer opens a connection that identifies itself as a node of that name.
func dialProducer(tb testing.TB, d *nsqtest.Lookupd, name string) *rawClient {
	tb.Helper()
	c := dial(tb, d)
	c.identify(identifyBody(name))
	return c
}

// identifyBody is what an nsqd says of itself, with sorted keys.
func identifyBody(name string) string {
	return fmt.Sprintf(`{"broadcast_address":"%s.example","hostname":"%s","http_port":4151,"tcp_port":4150,`+
		`"topology_region":"r1","topology_zone":"z1","version":"1.3.0"}`, name, name)
}

func (c *rawClient) close() { c.conn.Close() }

// addr is what the server knows it as.
func (c *rawClient) addr() string { return c.conn.LocalAddr().String() }

func (c *rawClient) send(text string) {
	c.tb.Helper()
	if err := c.trySend([]byte(text)); err != nil {
		c.tb.Fatal(err)
	}
}

func (c *rawClient) trySend(b []byte) error {
	_, err := c.conn.Write(b)
	return err
}

func (c *rawClient) tryNext() (string, error) {
	c.conn.SetReadDeadline(time.Now().Add(patience))
	data, err := wire.ReadResponse(c.br, nil, 1<<20)
	return string(data), err
}

// next returns the next response.
func (c *rawClient) next() string {
	c.tb.Helper()
	data, err := c.tryNext()
	if err != nil {
		c.tb.Fatalf("no response: %v", err)
	}
	return data
}

// want reads responses, which must be these.
func (c *rawClient) want(responses ...string) {
	c.tb.Helper()
	for _, want := range responses {
		if got := c.next(); got != want {
			c.tb.Fatalf("got %.300q, want %.300q", got, want)
		}
	}
}

// wantClosed checks that the server closes the connection without another
// response.
func (c *rawClient) wantClosed() {
	c.tb.Helper()
	if err := c.tryClosed(); err != nil {
		c.tb.Fatal(err)
	}
}

func (c *rawClient) tryClosed() error {
	got, err := c.tryNext()
	if err == nil {
		return fmt.Errorf("got %.300q, want the end of the connection", got)
	}
	if !nsqtest.IsClosed(err) {
		return fmt.Errorf("want the end of the connection, got %w", err)
	}
	return nil
}

// identify returns the answer to IDENTIFY.
func (c *rawClient) identify(body string) string {
	c.tb.Helper()
	c.send(string(wire.AppendIdentify(nil, []byte(body))))
	answer := c.next()
	if answer[0] != '{' {
		c.tb.Fatalf("IDENTIFY was answered %.300q", answer)
	}
	return answer
}

func (c *rawClient) register(topic, channel string) {
	c.tb.Helper()
	c.send(string(wire.AppendRegister(nil, topic, channel)))
	c.want(wire.OK)
}

func (c *rawClient) unregister(topic, channel string) {
	c.tb.Helper()
	c.send(string(wire.AppendUnregister(nil, topic, channel)))
	c.want(wire.OK)
}

func (c *rawClient) ping() {
	c.tb.Helper()
	c.send(string(wire.AppendPing(nil)))
	c.want(wire.OK)
}

// registerMany registers n topics with long names, in one go.
func (c *rawClient) registerMany(n int) {
	c.tb.Helper()
	var b []byte
	for i := range n {
		b = wire.AppendRegister(b, fmt.Sprintf("%050d", i), "")
	}
	sent := make(chan error, 1)
	go func() { sent <- c.trySend(b) }()
	for range n {
		c.want(wire.OK)
	}
	if err := <-sent; err != nil {
		c.tb.Fatal(err)
	}
}
