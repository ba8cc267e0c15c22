package nsqadmin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/lifecycle"
	"github.com/seed893f581e/nsq/internal/version"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

// NSQAdmin is a console: what it asks the daemons of a cluster by, and the
// listener for browsers and scripts. New makes it, Main runs it, Exit stops it.
// Its methods are safe for concurrent use.
type NSQAdmin struct {
	opts *Options
	log  *slog.Logger

	client   *cluster.Client
	lookupds addresses // PUT /config/nsqlookupd_http_addresses changes them
	sources  sources   // what the API asks
	notifier *notifier // is told of actions
	graphite *graphite
	others   *http.Transport // to these two
	poller   *watch.Poller   // asks for what the pages show

	http   httpServer
	panics atomic.Uint64

	ctx  context.Context // done soon after Exit begins
	stop context.CancelFunc
	life *lifecycle.Lifecycle
}

// New checks the options, reads certificates and binds the listener. Nothing is
// served, and nobody asked, before Main. Whoever calls New calls Exit in the end,
// also without Main. The options must not be changed afterwards.
func New(opts *Options) (*NSQAdmin, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	own := opts.effective()
	n := &NSQAdmin{opts: own, log: own.Logger}
	n.life = lifecycle.New(n.log, "NSQADMIN", n.exit)
	n.log.Info(version.String("nsqadmin"))
	if err := checkDir(own.DevStaticDir); err != nil {
		return nil, err
	}
	tls, err := own.clientTLS()
	if err != nil {
		return nil, err
	}
	if err := n.lookupds.set(own.LookupdHTTPAddresses); err != nil {
		return nil, err
	}
	listener, err := listen(own.HTTPAddress, n.log)
	if err != nil {
		return nil, err
	}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.client = cluster.NewClient(own.clientConfig(tls))
	n.sources = sources{client: n.client, nsqds: own.NSQDHTTPAddresses, lookupds: n.lookupds.all}
	n.others = own.transport(n.ctx, tls)
	n.notifier = newNotifier(own, n.others, n.log)
	if n.graphite, err = newGraphite(own, n.others, n.log); err != nil {
		n.stop()
		return nil, errors.Join(err, listener.Close())
	}
	n.poller = watch.NewPoller(n.client, n.log, own.NSQDHTTPAddresses, n.lookupds.all)
	n.http.init(n, listener)
	return n, nil
}

// Main serves until Exit, and then returns nil. The first part that fails stops
// the others and is returned. It may be called once.
func (n *NSQAdmin) Main() error {
	return n.life.Main(func(run lifecycle.Run) {
		run("HTTP", n.http.serve)
		run("notifications", func() error { return n.notifier.loop(n.ctx) })
		run("names", n.checkNames)
		run("polls", func() error {
			n.poller.Run(n.ctx)
			return nil
		})
	})
}

// Exit stops what creates work before what work depends on; a step that fails
// never skips the rest. It returns when everything is stopped, and may be called
// more than once: all calls return the first one's result.
func (n *NSQAdmin) Exit() error { return n.life.Exit() }

// stopGrace is for actions that run at a stop.
const stopGrace = 500 * time.Millisecond

// exit is what Exit does, once.
func (n *NSQAdmin) exit() error {
	hurry := time.AfterFunc(stopGrace, n.stop)
	defer hurry.Stop()
	return errors.Join(
		n.http.close(),  // 1. no new requests, and none runs any more
		n.stopAsking(),  // 2. nobody is asked any more
		n.closeClient(), // 3. no connection to a daemon is left
	)
}

// stopAsking ends what runs by itself and waits for it.
func (n *NSQAdmin) stopAsking() error {
	n.stop()
	n.life.Wait()
	return nil
}

func (n *NSQAdmin) closeClient() error {
	n.client.Close()
	n.others.CloseIdleConnections()
	return nil
}

// RealHTTPAddr returns the address that the listener is bound to.
func (n *NSQAdmin) RealHTTPAddr() net.Addr { return n.http.listener.Addr() }
