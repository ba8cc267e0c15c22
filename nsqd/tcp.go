package nsqd

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/sockets"
	"github.com/seed893f581e/nsq/internal/wire"
)

// tcpServer accepts connections and owns them: it knows every one from accept
// on, so that a stop never waits for a client.
type tcpServer struct {
	n        *NSQD
	listener net.Listener
	protocol *protocolV2

	mu      sync.Mutex // conns, stopped
	conns   map[net.Conn]struct{}
	stopped bool

	handlers sync.WaitGroup
}

func (s *tcpServer) init(n *NSQD) {
	s.n = n
	s.conns = make(map[net.Conn]struct{})
	s.protocol = newProtocolV2(n)
}

// serve accepts until the listener is closed.
func (s *tcpServer) serve() error {
	s.n.log.Info("TCP: listening on " + s.listener.Addr().String())
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
		go func() {
			defer s.handlers.Done()
			s.handle(conn)
		}()
	}
}

// add makes conn known, and stop wait for its handler. It refuses once the
// server stops.
func (s *tcpServer) add(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return false
	}
	s.conns[conn] = struct{}{}
	s.handlers.Add(1)
	return true
}

func (s *tcpServer) remove(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	delete(s.conns, conn)
	s.mu.Unlock()
}

// close closes the listener.
func (s *tcpServer) close() error {
	if s.listener == nil {
		return nil
	}
	if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// stop closes every connection and waits until each is done.
func (s *tcpServer) stop() error {
	s.mu.Lock()
	s.stopped = true
	for conn := range s.conns {
		conn.Close()
	}
	s.mu.Unlock()
	s.handlers.Wait()
	return nil
}

// handle serves one connection to its end. A panic ends this connection only.
func (s *tcpServer) handle(conn net.Conn) {
	defer s.remove(conn)
	defer s.n.env.recoverPanic("TCP", conn.RemoteAddr())
	addr := conn.RemoteAddr().String()
	s.n.log.Info(fmt.Sprintf("TCP: new client(%s)", addr))

	conn.SetReadDeadline(time.Now().Add(magicTimeout))
	magic := make([]byte, len(wire.MagicV2))
	if _, err := io.ReadFull(conn, magic); err != nil {
		s.n.log.Info("TCP: connection ended before the protocol magic", "client", addr, "error", err)
		return
	}
	s.n.log.Info(fmt.Sprintf("CLIENT(%s): desired protocol magic '%s'", addr, logging.Printable(magic)))
	if string(magic) != wire.MagicV2 {
		s.n.log.Warn(fmt.Sprintf("CLIENT(%s): bad protocol magic '%s'", addr, logging.Printable(magic)))
		conn.SetWriteDeadline(time.Now().Add(magicTimeout))
		conn.Write(wire.AppendError(nil, wire.NewError(wire.BadProtocol, "", nil)))
		sockets.LingerClose(conn)
		return
	}
	err := s.protocol.IOLoop(newClient(s.n.env, conn))
	s.n.log.Info(fmt.Sprintf("PROTOCOL(V2): [%s] exiting ioloop", addr), "cause", err)
}
