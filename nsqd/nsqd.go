package nsqd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/seed893f581e/nsq/internal/certs"
	"github.com/seed893f581e/nsq/internal/dirlock"
	"github.com/seed893f581e/nsq/internal/diskspace"
	"github.com/seed893f581e/nsq/internal/lifecycle"
	"github.com/seed893f581e/nsq/internal/netlimit"
	"github.com/seed893f581e/nsq/internal/sockets"
	"github.com/seed893f581e/nsq/internal/version"
)

// NSQD is one broker: its topics, its listeners and its loops. New makes it,
// Main runs it, Exit stops it. Its methods are safe for concurrent use.
type NSQD struct {
	env      *env
	opts     *Options
	log      *slog.Logger
	dataLock *dirlock.Lock
	certs    *certs.Store
	started  time.Time

	topics   topics
	clients  clients
	metadata metadata
	tcp      tcpServer
	http     httpServer // with nil listeners where it is off
	lookups  lookups
	channels *lookupChannels

	broadcastGiven bool // --broadcast-address; else it is the hostname, or what lookups make of it

	drain drain
	space diskReserve

	life      *lifecycle.Lifecycle
	ctx       context.Context // of the loops that Main starts
	stopLoops context.CancelFunc
}

// New checks the options, locks the data path, binds the listeners and loads
// what an earlier run left. Nothing is served before Main but HTTP, which while
// that lasts says so to everybody. Whoever calls New
// calls Exit in the end, also without Main. The options must not be changed
// afterwards.
func New(opts *Options) (_ *NSQD, err error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	own, err := opts.effective()
	if err != nil {
		return nil, err
	}
	n := &NSQD{opts: own, log: own.Logger, started: time.Now(), broadcastGiven: opts.BroadcastAddress != ""}
	n.life = lifecycle.New(n.log, "NSQ", n.stop)
	n.ctx, n.stopLoops = context.WithCancel(context.Background())
	n.env = &env{opts: n.opts, log: n.log, start: n.started, publishLatency: newPublishLatency()}
	n.env.setPhase(phaseLoading)
	n.drain.init(n)
	n.env.scan = newQueueScan(n.env)
	n.lookups.init(n)
	n.env.lookups = &n.lookups
	n.env.changed, n.env.saved = n.metadata.change, n.metadata.sync
	n.topics.init(n.env)
	n.env.durable.init(n.env)
	n.env.stale.left = make(chan struct{}, 1)
	n.channels = newLookupChannels(n.opts, n.log, &n.lookups)
	n.metadata.init(n)

	if n.dataLock, err = dirlock.Acquire(n.opts.DataPath); err != nil {
		return nil, fmt.Errorf("failed to lock data-path: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.closeQueries(), n.tcp.close(), n.http.close(), n.flush(), n.closeDurable(), n.closeDisk(), n.dataLock.Unlock())
		}
	}()
	if n.certs, err = certs.Load(n.opts.certsConfig()); err != nil {
		return nil, err
	}
	if err = n.env.openDisk(); err != nil {
		return nil, fmt.Errorf("failed to list data-path: %w", err)
	}
	n.log.Info(version.String("nsqd"))
	n.log.Info(fmt.Sprintf("ID: %d", n.opts.ID))
	n.log.Info(fmt.Sprintf("--durability=%s, for topics that have none of their own: %s", n.opts.Durability, n.opts.Durability.meaning()))
	n.opts.logDoubts()
	limit, err := netlimit.Share(n.opts.MaxConnections, n.log)
	if err != nil {
		return nil, err
	}
	l, err := listen(n.opts.TCPAddress, limit.TCP)
	if err != nil {
		return nil, err
	}
	n.tcp.init(n, l)
	if err = n.http.listen(n.opts, n.certs.Server(), limit.HTTP); err != nil {
		return nil, err
	}
	if err = n.openAuth(); err != nil {
		return nil, err
	}
	n.http.init(n)
	n.http.begin()
	if err = n.load(); err != nil {
		return nil, err
	}
	n.topics.elsewhere = n.channels
	if err = n.metadata.write(); diskspace.IsFull(err) {
		n.log.Error("NSQ: failed to persist metadata, will try again: a full disk can still be emptied by consumers", "error", err)
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("failed to persist metadata: %w", err)
	}
	n.env.foldsCase.Store(foldsCase(n.opts.DataPath)) // again: nsqd.dat is there now
	n.space.init(n.opts.DataPath, n.env.reserve)
	n.env.setPhase(phaseServing)
	return n, nil
}

// listen opens a listener for host:port or on a unix socket. Its connections
// count in g.
func listen(address string, g *netlimit.Group) (net.Listener, error) {
	l, err := sockets.Listen(address)
	if err != nil {
		return nil, err
	}
	return g.Listener(l), nil
}

// Main serves until Exit, and then returns nil. The first part that fails
// stops the others and is returned. It may be called once.
func (n *NSQD) Main() error { return n.life.Main(n.start) }

// start runs everything that Exit ends.
func (n *NSQD) start(run lifecycle.Run) {
	run("TCP", n.tcp.Serve)
	if n.http.serve != nil {
		run("HTTP", n.http.serve)
	}
	if n.http.serveTLS != nil {
		run("HTTPS", n.http.serveTLS)
	}
	run("DISKSPACE", func() error { n.space.watch(n.ctx); return nil })
	run("QUEUESCAN", func() error { return n.env.scan.queueScanLoop(n.ctx) })
	run("TLS", func() error { n.certs.Watch(n.ctx); return nil })
	run("METADATA", func() error { return n.metadata.metadataLoop(n.ctx) })
	run("STALEFILES", func() error { return n.env.stale.clearLoop(n.ctx) })
	run("LOOKUP", n.lookups.lookupLoop)
	if n.opts.StatsdAddress != "" {
		run("STATSD", func() error { return newStatsdPusher(n).statsdLoop(n.ctx) })
	}
}

// Reload reads the certificates and authorities again and puts them in force
// for new connections. If a file is broken or missing, those that are in force
// stay, and the error, which is the caller's to log, names the file.
func (n *NSQD) Reload() error { return n.certs.Reload() }

// RealTCPAddr returns the address that the TCP listener is bound to.
func (n *NSQD) RealTCPAddr() net.Addr { return n.tcp.Addr() }

// RealHTTPAddr returns the address that the HTTP listener is bound to, nil
// when HTTP is off.
func (n *NSQD) RealHTTPAddr() net.Addr { return addrOf(n.http.listener) }

// RealHTTPSAddr returns the address that the HTTPS listener is bound to, nil
// when HTTPS is off.
func (n *NSQD) RealHTTPSAddr() net.Addr { return addrOf(n.http.secure) }

func addrOf(l net.Listener) net.Addr {
	if l == nil {
		return nil
	}
	return l.Addr()
}
