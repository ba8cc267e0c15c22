package nsqd

import (
	"fmt"
	"net"

	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/tcpserver"
	"github.com/seed893f581e/nsq/internal/wire"
)

// tcpServer serves the V2 protocol to producers and consumers.
type tcpServer struct {
	*tcpserver.Server // nil until init
	protocol          *protocolV2
}

func (s *tcpServer) init(n *NSQD, l net.Listener) {
	s.protocol = newProtocolV2(n)
	s.Server = tcpserver.New(l, tcpserver.Config{
		Log:      n.log,
		Magic:    wire.MagicV2,
		BadMagic: wire.AppendError(nil, wire.NewError(wire.BadProtocol, "", nil)),
		OnPanic:  func() { n.env.panics.Add(1) },
		Handle:   func(conn net.Conn) { n.env.logEnd(conn, s.protocol.IOLoop(newClient(n.env, conn))) },
	})
}

func (e *env) logEnd(conn net.Conn, cause error) {
	e.log.Info(fmt.Sprintf("PROTOCOL(V2): [%s] exiting ioloop", conn.RemoteAddr()), "client", logging.Said(conn.RemoteAddr()), "cause", cause)
}

// close closes the listener.
func (s *tcpServer) close() error {
	if s.Server == nil { // New failed before there was one
		return nil
	}
	return s.Close()
}

// stop closes every connection and waits until each is done.
func (s *tcpServer) stop() error {
	s.Stop()
	return nil
}
