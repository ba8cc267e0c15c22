package nsq

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// negotiated is what a fake nsqd answers to IDENTIFY unless told otherwise.
const negotiated = `{"max_rdy_count":2500,"version":"1.4.0","msg_timeout":60000,"auth_required":false}`

// fakeNSQD accepts connections, and leaves it to the test to play the server
// on each of them.
type fakeNSQD struct {
	t     testing.TB
	ln    net.Listener
	addr  string
	conns chan net.Conn
}

func newFakeNSQD(t testing.TB) *fakeNSQD {
	t.Helper()
	return listenFake(t, "127.0.0.1:0")
}

func listenFake(t testing.TB, addr string) *fakeNSQD {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeNSQD{t: t, ln: ln, addr: ln.Addr().String(), conns: make(chan net.Conn, 100)}
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			f.conns <- nc
		}
	})
	t.Cleanup(func() {
		ln.Close()
		accepting.Wait()
		close(f.conns)
		for nc := range f.conns { // which the test did not ask for
			nc.Close()
		}
	})
	return f
}

// raw waits for a connection.
func (f *fakeNSQD) raw() *fakeConn {
	f.t.Helper()
	select {
	case nc := <-f.conns:
		f.t.Cleanup(func() { nc.Close() })
		return &fakeConn{t: f.t, nc: nc, br: bufio.NewReader(nc)}
	case <-time.After(patience):
		f.t.Fatal("no connection")
		return nil
	}
}

// accept waits for a connection and negotiates.
func (f *fakeNSQD) accept() *fakeConn {
	f.t.Helper()
	c := f.raw()
	c.magic()
	c.expect("IDENTIFY")
	c.respond(negotiated)
	return c
}

// subscribed waits for the connection of a consumer, answers its SUB and
// expects its first RDY.
func (f *fakeNSQD) subscribed(rdy int) *fakeConn {
	f.t.Helper()
	c := f.accept()
	c.expect("SUB t c")
	c.respond(wire.OK)
	c.expect(fmt.Sprintf("RDY %d", rdy))
	return c
}

// fakeConn is the server's end of a connection.
type fakeConn struct {
	t  testing.TB
	nc net.Conn
	br *bufio.Reader
}

func (c *fakeConn) magic() {
	c.t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(patience))
	b, err := c.br.Peek(4)
	if err != nil || string(b) != wire.MagicV2 {
		c.t.Fatalf("got magic %q, %v", b, err)
	}
	c.br.Discard(4)
}

// read reads a command; the body is nil if it has none.
func (c *fakeConn) read() (line string, body []byte, err error) {
	b, err := c.br.ReadSlice('\n')
	if err != nil {
		return "", nil, err
	}
	line = strings.TrimSuffix(string(b), "\n")
	switch name, _, _ := strings.Cut(line, " "); name {
	case "IDENTIFY", "AUTH", "PUB", "MPUB", "DPUB":
		var size int32
		if size, err = wire.ReadSize(c.br); err == nil {
			body, err = wire.ReadBody(c.br, nil, int(size))
		}
	}
	return line, body, err
}

// next waits for a command.
func (c *fakeConn) next() (line string, body []byte) {
	c.t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(patience))
	line, body, err := c.read()
	if err != nil {
		c.t.Fatalf("waiting for a command: %v", err)
	}
	return line, body
}

// expect waits for a command and compares it, without its body.
func (c *fakeConn) expect(want string) (body []byte) {
	c.t.Helper()
	line, body := c.next()
	if line != want {
		c.t.Fatalf("got command %q, want %q", line, want)
	}
	return body
}

// expectEnd waits until the client has sent its last byte.
func (c *fakeConn) expectEnd() {
	c.t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(patience))
	if b, err := c.br.ReadByte(); err == nil {
		c.t.Fatalf("got byte %q, want the end", b)
	} else if ne, ok := err.(net.Error); ok && ne.Timeout() {
		c.t.Fatal("the connection was not closed")
	}
}

func (c *fakeConn) write(b []byte) {
	c.t.Helper()
	if _, err := c.nc.Write(b); err != nil {
		c.t.Error(err)
	}
}

func (c *fakeConn) respond(data string) {
	c.t.Helper()
	c.write(wire.AppendFrame(nil, wire.FrameResponse, data))
}

func (c *fakeConn) fail(data string) {
	c.t.Helper()
	c.write(wire.AppendFrame(nil, wire.FrameError, data))
}

func (c *fakeConn) message(id uint64, attempts uint16, body string) {
	c.t.Helper()
	c.write(wire.AppendMessageFrame(nil, 1234567890, attempts, id, []byte(body)))
}

// publishing answers every publish with OK until the client goes away, from a
// goroutine of its own. The bodies arrive in the returned channel, if that has
// room.
func (c *fakeConn) publishing() <-chan string {
	bodies := make(chan string, 1000)
	var serving sync.WaitGroup
	serving.Go(func() {
		defer c.nc.Close()
		c.nc.SetReadDeadline(time.Time{})
		var replies []byte
		for {
			line, body, err := c.read()
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
			if c.br.Buffered() == 0 {
				c.nc.Write(replies)
				replies = replies[:0]
			}
		}
	})
	c.t.Cleanup(func() { c.nc.Close(); serving.Wait() })
	return bodies
}

// id is the form in which a message id stands in a command.
func id(n uint64) string { return string(wire.AppendID(nil, n)) }

// within fails the test if f does not return in time.
func within(t testing.TB, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	receive(t, what, done)
}

// receive waits for a value, or for the channel to be closed.
func receive[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// eventually waits until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// testLog passes log lines to the test.
type testLog struct{ t testing.TB }

func (l testLog) Output(_ int, s string) error {
	l.t.Log(s)
	return nil
}

func newTestProducer(t testing.TB, addr string, change func(*Config)) *Producer {
	t.Helper()
	cfg := NewConfig()
	if change != nil {
		change(cfg)
	}
	p, err := NewProducer(addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.SetLogger(testLog{t}, LogLevelDebug)
	t.Cleanup(p.Stop)
	return p
}

// newTestConsumer returns a consumer of channel t/c that is stopped with the
// test.
func newTestConsumer(t testing.TB, change func(*Config)) *Consumer {
	t.Helper()
	cfg := NewConfig()
	if change != nil {
		change(cfg)
	}
	r, err := NewConsumer("t", "c", cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.SetLogger(testLog{t}, LogLevelDebug)
	t.Cleanup(func() {
		r.Stop()
		receive(t, "StopChan", r.StopChan)
	})
	return r
}
