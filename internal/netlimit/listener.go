package netlimit

import (
	"container/list"
	"errors"
	"net"
	"sync"
	"syscall"
	"time"
)

// Between two attempts to accept after one failed, typically for want of
// descriptors or memory.
const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
)

// Listener returns l with its connections counted in g. Accept returns one only
// when it may be served; until then one at most is held. It returns an error
// only when the listener is closed or broken: whatever passes it tries again,
// less often the longer it lasts. Its connections have CloseWrite.
func (g *Group) Listener(l net.Listener) net.Listener {
	return &listener{Listener: l, group: g, closed: make(chan struct{})}
}

type listener struct {
	net.Listener
	group  *Group
	closed chan struct{}
	once   sync.Once
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.accept()
	if err != nil {
		return nil, err
	}
	if ok, _ := l.group.acquire(); !ok && !l.await() {
		c.Close()
		return nil, net.ErrClosed
	}
	return &conn{Conn: c, group: l.group}, nil
}

// await waits until a connection may be served, and reports whether it may:
// the listener may be closed before.
func (l *listener) await() bool {
	l.group.wait(+1)
	defer l.group.wait(-1)
	l.group.logFull()
	for {
		ok, wait := l.group.acquire()
		if ok {
			return true
		}
		l.group.pool.closeIdle()
		select {
		case <-wait:
		case <-l.closed:
			return false
		}
	}
}

// accept waits for a connection through errors that pass.
func (l *listener) accept() (net.Conn, error) {
	var wait time.Duration
	var logged time.Time
	for {
		c, err := l.Listener.Accept()
		if err == nil || errors.Is(err, net.ErrClosed) || isPermanent(err) {
			return c, err
		}
		wait = min(max(2*wait, minBackoff), maxBackoff)
		if now := time.Now(); logged.IsZero() || now.Sub(logged) >= time.Second {
			logged = now
			l.group.pool.log.Warn(l.group.name+": accept failed, will try again", "error", err)
		}
		select {
		case <-time.After(wait):
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
}

// isPermanent reports whether the listener itself is broken. Anything else
// passes: the process or the system is short of something, the peer or the
// network was gone.
func isPermanent(err error) bool {
	return errors.Is(err, syscall.EBADF) || errors.Is(err, syscall.ENOTSOCK) || errors.Is(err, syscall.EINVAL)
}

// A conn is counted until it is closed.
type conn struct {
	net.Conn
	group *Group
	once  sync.Once

	closed bool
	idle   *list.Element // of the pool's list; nil if it is not there
}

// Close implements net.Conn.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.release)
	return err
}

// CloseWrite tells the peer that nothing follows.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// SyscallConn implements syscall.Conn.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if bare, ok := c.Conn.(syscall.Conn); ok {
		return bare.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}
