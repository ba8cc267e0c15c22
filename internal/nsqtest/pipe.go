package nsqtest

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// A PipeListener accepts connections that never leave the process. Its address is
// "pipe".
type PipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

// NewPipeListener returns a listener to which nobody is connected yet.
func NewPipeListener() *PipeListener {
	l := &PipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	return l
}

// Dial opens a connection and returns the client's end.
func (l *PipeListener) Dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- &pipeConn{Conn: server, writing: make(chan struct{}, 1)}
	return client
}

// Offer has the server accept a connection of which this is its end.
func (l *PipeListener) Offer(server net.Conn) { l.conns <- server }

// TryDial is Dial for a listener that may be closed meanwhile.
func (l *PipeListener) TryDial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case l.conns <- &pipeConn{Conn: server, writing: make(chan struct{}, 1)}:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// HTTPClient returns a client whose requests all go through l, whatever their
// host, each over a connection of its own.
func (l *PipeListener) HTTPClient() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return l.Dial(), nil },
		DisableKeepAlives: true,
	}}
}

// A pipeConn is the server's end of a pipe. Who waits for another's write does
// so in a way that a bubble's clock goes on: a pipe's own mutex would stop it.
type pipeConn struct {
	net.Conn
	writing chan struct{}
}

func (c *pipeConn) Write(b []byte) (int, error) {
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	return c.Conn.Write(b)
}

// Accept implements net.Listener.
func (l *PipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *PipeListener) Close() error { l.close(); return nil }

// Addr implements net.Listener.
func (l *PipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// streamPatience is how long a server has for one stream.
const streamPatience = 20 * time.Second

// Serve has the server accept a connection on which a stream comes. It returns
// false if the server did not close it in time.
func (l *PipeListener) Serve(s ByteStream) bool {
	c := &streamConn{pieces: s, closed: make(chan struct{})}
	l.conns <- c
	select {
	case <-c.closed:
		return true
	case <-time.After(streamPatience):
		return false
	}
}

// A streamConn is the server's end of a connection on which a whole stream is
// there from the start. Each read gets a piece at most.
type streamConn struct {
	pieces ByteStream
	read   sync.Mutex // pieces: a server may read ahead while it writes
	once   sync.Once
	closed chan struct{}
}

func (c *streamConn) Read(p []byte) (int, error) {
	c.read.Lock()
	defer c.read.Unlock()
	for len(c.pieces) > 0 && len(c.pieces[0]) == 0 {
		c.pieces = c.pieces[1:]
	}
	if len(c.pieces) == 0 || c.isClosed() {
		return 0, io.EOF
	}
	n := copy(p, c.pieces[0])
	c.pieces[0] = c.pieces[0][n:]
	return n, nil
}

func (c *streamConn) Write(b []byte) (int, error) {
	if c.isClosed() {
		return 0, net.ErrClosed
	}
	return len(b), nil
}

func (c *streamConn) isClosed() bool {
	select {
	case <-c.closed:
		return true
	default:
		return false
	}
}

func (c *streamConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

func (c *streamConn) LocalAddr() net.Addr              { return pipeAddr{} }
func (c *streamConn) RemoteAddr() net.Addr             { return pipeAddr{} }
func (c *streamConn) SetDeadline(time.Time) error      { return nil }
func (c *streamConn) SetReadDeadline(time.Time) error  { return nil }
func (c *streamConn) SetWriteDeadline(time.Time) error { return nil }
