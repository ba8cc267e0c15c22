package httpapi

import (
	"net"
	"net/http"
	"runtime/debug"
	"sync"
)

// A front accepts connections in place of net/http's server, serves requests of
// direct routes on them itself, and hands a connection over at the first that is
// another. To net/http's server it is the listener. Whatever is not quite
// ordinary is handed over unanswered, so that there is one judge of what a
// request means; and as a connection never comes back, no byte is seen by both.
type front struct {
	*listener
	server *Server
	handed chan net.Conn // not buffered: one that nobody takes is still the front's
	failed chan error    // of Accept
	closed chan struct{} // by Close

	running sync.WaitGroup // accept, and a goroutine for each connection

	mu      sync.Mutex // conns, closing
	conns   map[*frontConn]struct{}
	closing bool
}

// newFront starts to accept. Close ends that, and all that waits; wait returns
// once there is nothing left.
func newFront(l *listener, s *Server) *front {
	f := &front{
		listener: l,
		server:   s,
		handed:   make(chan net.Conn),
		failed:   make(chan error),
		closed:   make(chan struct{}),
		conns:    make(map[*frontConn]struct{}),
	}
	f.running.Go(f.acceptAll)
	return f
}

// acceptAll leaves it to the caller of Accept which errors pass.
func (f *front) acceptAll() {
	for {
		c, err := f.listener.Accept()
		if err == nil {
			f.running.Go(func() { f.serve(c.(*conn)) })
			continue
		}
		select {
		case f.failed <- err:
		case <-f.closed:
			return
		}
	}
}

// Accept waits for a connection that is not the front's any more.
func (f *front) Accept() (net.Conn, error) {
	select {
	case c := <-f.handed:
		return c, nil
	case err := <-f.failed:
		return nil, err
	case <-f.closed:
		return nil, net.ErrClosed
	}
}

// Close stops listening and ends the connections on which no request runs; those
// on which one does end after its answer.
func (f *front) Close() error {
	f.mu.Lock()
	if !f.closing {
		f.closing = true
		close(f.closed)
		for c := range f.conns {
			c.end()
		}
	}
	f.mu.Unlock()
	return f.listener.Close()
}

// isClosing reports whether answers are the last on their connections.
func (f *front) isClosing() bool {
	select {
	case <-f.closed:
		return true
	default:
		return false
	}
}

// serve serves a connection until it ends or is handed over.
func (f *front) serve(nc *conn) {
	if !f.serveDirect(nc) {
		nc.Close()
		return
	}
	select {
	case f.handed <- nc:
	case <-f.closed:
		nc.Close()
	}
}

// serveDirect reports whether the connection is to be handed over.
func (f *front) serveDirect(nc *conn) (handOver bool) {
	defer f.recoverPanic(nc)
	c := newFrontConn(f, nc)
	defer c.release()
	if !f.add(c) {
		return false
	}
	defer f.remove(c)
	return c.serve()
}

// recoverPanic is deferred: a panic ends its connection only.
func (f *front) recoverPanic(nc *conn) {
	if v := recover(); v != nil && v != http.ErrAbortHandler {
		f.server.config.Log.Error("HTTP: panic on a connection", "client", nc.RemoteAddr(), "panic", v, "stack", string(debug.Stack()))
	}
}

func (f *front) add(c *frontConn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closing {
		f.conns[c] = struct{}{}
	}
	return !f.closing
}

func (f *front) remove(c *frontConn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
}
