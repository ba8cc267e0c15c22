package httpapi

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/sockets"
)

// A listener knows the connections that it accepted, of which each write has a
// deadline. net/http closes one as soon as it has refused what is no HTTP; here
// the peer is given a moment to read why.
type listener struct {
	net.Listener
	hurry atomic.Bool // no moment for anybody any more

	mu    sync.Mutex // conns
	conns map[*conn]struct{}
}

func newListener(l net.Listener) *listener {
	return &listener{Listener: l, conns: make(map[*conn]struct{})}
}

// Accept waits for the next connection.
func (l *listener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, of: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = struct{}{}
	if l.hurry.Load() {
		inner.Close()
	}
	return c, nil
}

// abort closes every connection at once. What a TLS connection would send
// before it is closed, and so wait for its peer, is not sent.
func (l *listener) abort() {
	l.hurry.Store(true)
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.Conn.Close()
	}
}

// tellIdle tells a connection of package netlimit whether it is idle.
func tellIdle(c net.Conn, state http.ConnState) {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	if own, ok := c.(*conn); ok {
		own.setIdle(state == http.StateIdle)
	}
}

type conn struct {
	net.Conn
	of     *listener
	closed atomic.Bool
	timed  atomic.Bool // a deadline for writes was set

	unreadBytes []byte    // what a front has read and Read returns again
	headBy      time.Time // the latest deadline that the next one for reads may be; zero for any
}

// setIdle tells a connection of package netlimit whether it is idle.
func (c *conn) setIdle(idle bool) {
	if limited, ok := c.Conn.(interface{ SetIdle(bool) }); ok {
		limited.SetIdle(idle)
	}
}

// unread has Read return b first. All of a head must have come by headBy, if that
// is not zero.
func (c *conn) unread(b []byte, headBy time.Time) {
	c.unreadBytes, c.headBy = b, headBy
}

// Read returns what was unread, and then what comes.
func (c *conn) Read(b []byte) (int, error) {
	if len(c.unreadBytes) == 0 {
		return c.Conn.Read(b)
	}
	n := copy(b, c.unreadBytes)
	if c.unreadBytes = c.unreadBytes[n:]; len(c.unreadBytes) == 0 {
		c.unreadBytes = nil // not kept as long as the connection
	}
	return n, nil
}

// SetReadDeadline sets the deadline for reads.
func (c *conn) SetReadDeadline(t time.Time) error {
	if !c.headBy.IsZero() {
		if c.headBy.Before(t) {
			t = c.headBy
		}
		c.headBy = time.Time{} // net/http sets the deadline for a head first
	}
	return c.Conn.SetReadDeadline(t)
}

// Write gives the peer writeTimeout to take b, unless another deadline was set:
// what net/http writes by itself has none.
func (c *conn) Write(b []byte) (int, error) {
	if !c.timed.Load() {
		c.Conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	}
	return c.Conn.Write(b)
}

// SetWriteDeadline sets a deadline in place of Write's; the zero time brings
// that back.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.timed.Store(!t.IsZero())
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline sets both deadlines, that of writes as SetWriteDeadline does.
func (c *conn) SetDeadline(t time.Time) error {
	c.timed.Store(!t.IsZero())
	return c.Conn.SetDeadline(t)
}

// Close lets the peer read what was written last, unless the server is in a
// hurry. A second call ends the wait of the first.
func (c *conn) Close() error {
	if c.closed.Swap(true) {
		return c.Conn.Close()
	}
	defer c.forget()
	if c.of.hurry.Load() {
		return c.Conn.Close()
	}
	return sockets.LingerClose(c.Conn)
}

func (c *conn) forget() {
	c.of.mu.Lock()
	delete(c.of.conns, c)
	c.of.mu.Unlock()
}
