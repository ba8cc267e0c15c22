// Package tcpserver accepts the connections of a daemon's TCP protocol and owns
// them: it knows every one from accept on, so that a stop waits for no peer. It
// knows nothing of the protocol but the magic that every connection begins with.
package tcpserver

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/sockets"
)

// magicTimeout is the time from accept to the last byte of the magic.
const magicTimeout = 10 * time.Second

// Config is what a Server needs of its daemon.
type Config struct {
	Log      *slog.Logger
	Magic    string         // what a connection begins with
	BadMagic []byte         // what is sent to a peer that begins with something else
	Handle   func(net.Conn) // serves one connection after its magic, and returns when it is over
	OnPanic  func()         // told of each panic in Handle; may be nil
}

// A Server serves the connections of one listener. It logs every one, closes
// it when its handler returns, and survives panics of handlers: they end their
// connection only.
type Server struct {
	config   Config
	listener net.Listener

	mu      sync.Mutex // conns, stopped
	conns   map[net.Conn]struct{}
	stopped bool

	handlers sync.WaitGroup
}

// New returns a server that accepts nothing before Serve.
func New(l net.Listener, c Config) *Server {
	return &Server{config: c, listener: l, conns: make(map[net.Conn]struct{})}
}

// Addr returns the address that the listener is bound to.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Serve accepts connections until Close, and then returns nil.
func (s *Server) Serve() error {
	s.config.Log.Info("TCP: listening on " + s.listener.Addr().String())
	for {
		conn, err := s.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		if !s.add(conn) {
			conn.Close()
			continue
		}
		go s.greet(conn)
	}
}

// add makes conn known, and Stop wait for its handler. It refuses once the
// server stops.
func (s *Server) add(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.conns[conn] = struct{}{}
	s.handlers.Add(1)
	return true
}

// end is deferred by what owns the connection: it undoes add. A panic ends that
// connection only.
func (s *Server) end(conn net.Conn) {
	defer s.handlers.Done()
	if r := recover(); r != nil {
		s.logPanic(conn, r)
	}
	conn.Close()
	s.mu.Lock()
	delete(s.conns, conn)
	s.mu.Unlock()
}

// Conns returns how many connections there are.
func (s *Server) Conns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Close closes the listener; connections that are served stay.
func (s *Server) Close() error { return sockets.CloseListener(s.listener) }

// Stop closes every connection and waits until each is done. What is accepted
// afterwards is closed at once.
func (s *Server) Stop() {
	s.mu.Lock()
	s.stopped = true
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.handlers.Wait()
}

// greet reads the magic. It hands the connection to a goroutine that has needed
// no stack yet: as long as a connection lasts, its goroutine keeps most of what it
// ever needed, and logging needs much.
func (s *Server) greet(conn net.Conn) {
	s.config.Log.Info(fmt.Sprintf("TCP: new client(%s)", conn.RemoteAddr()), "client", logging.Said(conn.RemoteAddr()))
	if !s.readMagic(conn) {
		s.end(conn)
		return
	}
	go func() {
		defer s.end(conn)
		s.config.Handle(conn)
	}()
}

// readMagic reports whether the peer speaks the protocol. One that does not is
// told so.
func (s *Server) readMagic(conn net.Conn) bool {
	log, addr := s.config.Log, conn.RemoteAddr().String()
	conn.SetReadDeadline(time.Now().Add(magicTimeout))
	magic := make([]byte, len(s.config.Magic))
	if _, err := io.ReadFull(conn, magic); err != nil {
		log.Info("TCP: connection ended before the protocol magic", "client", addr, "error", err)
		return false
	}
	conn.SetReadDeadline(time.Time{})
	log.Info(fmt.Sprintf("CLIENT(%s): desired protocol magic '%s'", addr, logging.Printable(magic)))
	if string(magic) == s.config.Magic {
		return true
	}
	log.Warn(fmt.Sprintf("CLIENT(%s): bad protocol magic '%s'", addr, logging.Printable(magic)))
	conn.SetWriteDeadline(time.Now().Add(magicTimeout))
	conn.Write(s.config.BadMagic)
	sockets.LingerClose(conn)
	return false
}

func (s *Server) logPanic(conn net.Conn, r any) {
	if s.config.OnPanic != nil {
		s.config.OnPanic()
	}
	s.config.Log.Error("TCP: panic, the connection is closed", "client", conn.RemoteAddr(), "panic", r, "stack", string(debug.Stack()))
}
