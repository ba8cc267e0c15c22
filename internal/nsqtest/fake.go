package nsqtest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/compress"
	"github.com/seed893f581e/nsq/internal/wire"
)

// Negotiated is what a fake nsqd answers to IDENTIFY unless told otherwise.
const Negotiated = `{"max_rdy_count":2500,"version":"1.4.0","msg_timeout":60000,"auth_required":false}`

// A Fake is an nsqd that accepts connections, and leaves it to the test to play
// the server on each of them: what a healthy nsqd does and what none ever does.
type Fake struct {
	TB       testing.TB
	Listener net.Listener
	Addr     string        // to connect to
	Conns    chan net.Conn // that were accepted and that the test has not asked for yet
}

// NewFake starts a fake nsqd on a port of its own that ends with the test.
func NewFake(tb testing.TB) *Fake {
	tb.Helper()
	return ListenFake(tb, "127.0.0.1:0")
}

// ListenFake starts a fake nsqd at an address; it ends with the test.
func ListenFake(tb testing.TB, addr string) *Fake {
	tb.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	f := &Fake{TB: tb, Listener: ln, Addr: ln.Addr().String(), Conns: make(chan net.Conn, 100)}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			f.Conns <- nc
		}
	})
	tb.Cleanup(func() {
		ln.Close()
		accepting.Wait()
		close(f.Conns)
		for nc := range f.Conns { // which the test did not ask for
			nc.Close()
		}
	})
	return f
}

// Raw waits for a connection, on which nothing has been read or written yet. It
// is closed at the end of the test.
func (f *Fake) Raw() *FakeConn {
	f.TB.Helper()
	select {
	case nc := <-f.Conns:
		f.TB.Cleanup(func() { nc.Close() })
		return NewFakeConn(f.TB, nc)
	case <-time.After(Patience):
		f.TB.Fatal("no connection")
		return nil
	}
}

// Accept waits for a connection and negotiates.
func (f *Fake) Accept() *FakeConn {
	f.TB.Helper()
	c := f.Raw()
	c.Magic()
	c.Expect("IDENTIFY")
	c.Respond(Negotiated)
	return c
}

// Subscribed waits for the connection of a consumer of channel t/c, answers its
// SUB and expects its first RDY.
func (f *Fake) Subscribed(rdy int) *FakeConn {
	f.TB.Helper()
	c := f.Accept()
	c.Expect("SUB t c")
	c.Respond(wire.OK)
	c.Expect(fmt.Sprintf("RDY %d", rdy))
	return c
}

// Layered waits for a connection, which must ask for TLS and snappy, and puts
// both onto it.
func (f *Fake) Layered(config *tls.Config) *FakeConn {
	f.TB.Helper()
	c := f.Raw()
	c.Magic()
	if body := string(c.Expect("IDENTIFY")); !strings.Contains(body, `"snappy":true`) || !strings.Contains(body, `"tls_v1":true`) {
		f.TB.Errorf("IDENTIFY asks for %s", body)
	}
	c.Respond(`{"tls_v1":true,"snappy":true}`)
	c.StartTLS(config)
	c.Respond(wire.OK)
	c.StartSnappy()
	c.Respond(wire.OK)
	return c
}

// A FakeConn is the server's end of a connection. One goroutine reads and one
// writes; what fails ends the test unless a method returns an error.
type FakeConn struct {
	TB     testing.TB
	Conn   net.Conn      // to write to and close
	Reader *bufio.Reader // to read from
}

// NewFakeConn returns a FakeConn on what may be a pipe.
func NewFakeConn(tb testing.TB, nc net.Conn) *FakeConn {
	return &FakeConn{TB: tb, Conn: nc, Reader: bufio.NewReader(nc)}
}

// Magic waits for the magic that every connection begins with.
func (c *FakeConn) Magic() {
	c.TB.Helper()
	c.Conn.SetReadDeadline(time.Now().Add(Patience))
	b, err := c.Reader.Peek(len(wire.MagicV2))
	if err != nil || string(b) != wire.MagicV2 {
		c.TB.Fatalf("got magic %q, %v", b, err)
	}
	c.Reader.Discard(len(wire.MagicV2))
}

// Read reads a command, for as long as the deadline of Conn says. The line is
// without its end; the body is nil if the command has none.
func (c *FakeConn) Read() (line string, body []byte, err error) {
	b, err := c.Reader.ReadSlice('\n')
	if err != nil {
		return "", nil, err
	}
	line = strings.TrimSuffix(string(b), "\n")
	switch name, _, _ := strings.Cut(line, " "); name {
	case "IDENTIFY", "AUTH", "PUB", "MPUB", "DPUB":
		var size int32
		if size, err = wire.ReadSize(c.Reader); err == nil {
			body, err = wire.ReadBody(c.Reader, nil, int(size))
		}
	}
	return line, body, err
}

// Next waits for a command.
func (c *FakeConn) Next() (line string, body []byte) {
	c.TB.Helper()
	c.Conn.SetReadDeadline(time.Now().Add(Patience))
	line, body, err := c.Read()
	if err != nil {
		c.TB.Fatalf("waiting for a command: %v", err)
	}
	return line, body
}

// Expect waits for a command and compares it, without its body.
func (c *FakeConn) Expect(want string) (body []byte) {
	c.TB.Helper()
	line, body := c.Next()
	if line != want {
		c.TB.Fatalf("got command %q, want %q", line, want)
	}
	return body
}

// ExpectEnd waits until the client has sent its last byte, which must not be
// preceded by others.
func (c *FakeConn) ExpectEnd() {
	c.TB.Helper()
	c.Conn.SetReadDeadline(time.Now().Add(Patience))
	if b, err := c.Reader.ReadByte(); err == nil {
		c.TB.Fatalf("got byte %q, want the end", b)
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		c.TB.Fatal("the connection was not closed")
	}
}

// Write sends bytes as they are.
func (c *FakeConn) Write(b []byte) {
	c.TB.Helper()
	if _, err := c.Conn.Write(b); err != nil {
		c.TB.Error(err)
	}
}

// Respond sends a response.
func (c *FakeConn) Respond(data string) {
	c.TB.Helper()
	c.Write(wire.AppendFrame(nil, wire.FrameResponse, data))
}

// Fail sends an error.
func (c *FakeConn) Fail(data string) {
	c.TB.Helper()
	c.Write(wire.AppendFrame(nil, wire.FrameError, data))
}

// Message sends a message.
func (c *FakeConn) Message(id uint64, attempts uint16, body string) {
	c.TB.Helper()
	c.Write(wire.AppendMessageFrame(nil, 1234567890, attempts, id, []byte(body)))
}

// Publishing answers every publish with OK until the client goes away, from a
// goroutine of its own. The bodies arrive in the returned channel, if that has
// room.
func (c *FakeConn) Publishing() <-chan string {
	bodies := make(chan string, 1000)
	var serving sync.WaitGroup
	serving.Go(func() {
		defer c.Conn.Close()
		c.Conn.SetReadDeadline(time.Time{})
		var replies []byte
		for {
			line, body, err := c.Read()
			if err != nil {
				return
			}
			if line != "NOP" {
				select {
				case bodies <- string(body):
				default:
				}
				replies = wire.AppendFrame(replies, wire.FrameResponse, wire.OK)
			}
			if c.Reader.Buffered() == 0 {
				c.Conn.Write(replies)
				replies = replies[:0]
			}
		}
	})
	c.TB.Cleanup(func() { c.Conn.Close(); serving.Wait() })
	return bodies
}

// StartTLS does the server's part of the handshake; what follows is inside.
func (c *FakeConn) StartTLS(config *tls.Config) {
	c.TB.Helper()
	c.Conn.SetDeadline(time.Now().Add(Patience))
	server := tls.Server(c.Conn, config)
	if err := server.Handshake(); err != nil {
		c.TB.Fatal(err)
	}
	c.Conn, c.Reader = server, bufio.NewReader(server)
}

// StartSnappy puts snappy onto what there is.
func (c *FakeConn) StartSnappy() {
	c.Conn = &compressedConn{c.Conn, compress.NewSnappyReader(c.Reader), compress.NewSnappyWriter(c.Conn)}
	c.Reader = bufio.NewReader(c.Conn)
}

type compressedConn struct {
	net.Conn
	in  io.Reader
	out io.Writer
}

func (c *compressedConn) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *compressedConn) Write(p []byte) (int, error) { return c.out.Write(p) }

// ID returns the form in which a message id stands in a command.
func ID(n uint64) string { return string(wire.AppendID(nil, n)) }
