package nsqlookupd

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/lifecycle"
	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/netlimit"
	"github.com/seed893f581e/nsq/internal/sockets"
	"github.com/seed893f581e/nsq/internal/tcpserver"
	"github.com/seed893f581e/nsq/internal/version"
	"github.com/seed893f581e/nsq/internal/wire"
)

// NSQLookupd is one directory of nsqds: what they registered, and the listeners
// for them and for those who look them up. New makes it, Main runs it, Exit
// stops it. Its methods are safe for concurrent use.
type NSQLookupd struct {
	opts *Options
	log  *slog.Logger
	db   *database

	protocol *protocolV1
	tcp      *tcpserver.Server
	http     httpServer
	panics   atomic.Uint64

	life *lifecycle.Lifecycle
}

// New checks the options and binds the listeners. Nothing is served before
// Main. Whoever calls New calls Exit in the end, also without Main. The options
// must not be changed afterwards.
func New(opts *Options) (_ *NSQLookupd, err error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	own := opts.effective()
	l := &NSQLookupd{opts: own, log: own.Logger}
	l.life = lifecycle.New(l.log, "NSQLOOKUPD", l.stop)
	l.db = newDatabase(own.InactiveProducerTimeout, own.TombstoneLifetime)
	l.log.Info(version.String("nsqlookupd"))
	own.logDoubts()
	shares, err := netlimit.Share(0, l.log)
	if err != nil {
		return nil, err
	}
	l.db.watches.limit = min(maxWaiting, int64(shares.Size/4)) // who asks and does not wait must get through
	tcp, err := listen(own.TCPAddress, shares.TCP)
	if err != nil {
		return nil, err
	}
	http, err := listen(own.HTTPAddress, shares.HTTP)
	if err != nil {
		return nil, errors.Join(err, tcp.Close())
	}
	l.protocol = newProtocolV1(l.db, l.log, identityOf(own, tcp.Addr(), http.Addr()))
	l.tcp = l.newTCP(tcp)
	l.http.init(l, http)
	return l, nil
}

// listen opens a TCP listener for host:port, whose connections count in g.
func listen(address string, g *netlimit.Group) (net.Listener, error) {
	l, err := sockets.ListenTCP(address)
	if err != nil {
		return nil, err
	}
	return g.Listener(l), nil
}

func (l *NSQLookupd) newTCP(listener net.Listener) *tcpserver.Server {
	return tcpserver.New(listener, tcpserver.Config{
		Log:      l.log,
		Magic:    wire.MagicV1,
		BadMagic: wire.AppendResponse(nil, wire.BadProtocol),
		Handle:   l.handle,
		OnPanic:  func() { l.panics.Add(1) },
	})
}

// identityOf returns what every nsqd is told of this node.
func identityOf(opts *Options, tcp, http net.Addr) []byte {
	b, err := json.Marshal(identity{
		BroadcastAddress: opts.BroadcastAddress,
		Hostname:         config.Hostname(),
		HTTPPort:         http.(*net.TCPAddr).Port,
		TCPPort:          tcp.(*net.TCPAddr).Port,
		Version:          version.Binary,
	})
	if err != nil {
		panic(err) // texts and numbers always encode
	}
	return b
}

// handle serves an nsqd after its magic.
func (l *NSQLookupd) handle(conn net.Conn) {
	err := l.protocol.IOLoop(conn)
	l.log.Info(fmt.Sprintf("PROTOCOL(V1): [%s] exiting ioloop", conn.RemoteAddr()), "client", logging.Said(conn.RemoteAddr()), "cause", logging.Printable(err.Error()))
}

// Main serves until Exit, and then returns nil. The first part that fails
// stops the others and is returned. It may be called once.
func (l *NSQLookupd) Main() error {
	return l.life.Main(func(run lifecycle.Run) {
		run("TCP", l.tcp.Serve)
		run("HTTP", l.http.serve)
	})
}

// Exit stops what creates work before what work depends on; a step that fails
// never skips the rest. It returns when everything is stopped, and may be
// called more than once: all calls return the first one's result.
func (l *NSQLookupd) Exit() error { return l.life.Exit() }

// stop is what Exit does, once.
func (l *NSQLookupd) stop() error {
	return errors.Join(
		l.tcp.Close(),   // 1. no new connections
		l.http.close(),  // 2. those who wait for a change are answered, and all requests have ended
		l.stopClients(), // 3. every IOLoop has returned
		l.stopServing(), // 4. nothing runs any more
	)
}

func (l *NSQLookupd) stopClients() error {
	l.protocol.stopping.Store(true)
	l.tcp.Stop()
	return nil
}

// stopServing waits for what Main started.
func (l *NSQLookupd) stopServing() error {
	l.life.Wait()
	return nil
}

// Live returns why the process must be started again, nil if it need not. It waits
// for nothing.
func (l *NSQLookupd) Live() error { return l.life.Live() }

// Ready returns nil from when everything is started until Exit, and otherwise what
// is in the way. It waits for nothing.
func (l *NSQLookupd) Ready() error { return l.life.Ready() }

// RealTCPAddr returns the address that the TCP listener is bound to.
func (l *NSQLookupd) RealTCPAddr() net.Addr { return l.tcp.Addr() }

// RealHTTPAddr returns the address that the HTTP listener is bound to.
func (l *NSQLookupd) RealHTTPAddr() net.Addr { return l.http.listener.Addr() }
