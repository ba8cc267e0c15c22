package nsqd

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// lookups are the nsqlookupds that are told which topics and channels there
// are. It is safe for concurrent use.
type lookups struct {
	n       *NSQD
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	resolve func(ctx context.Context, network, host string) ([]netip.Addr, error)

	ctx  context.Context // of lookupLoop and all it starts
	stop context.CancelFunc

	announced atomic.Pointer[string] // the broadcast address that was sent last; nil before

	edited chan struct{} // a token while lookupLoop has not seen what is fresh

	mu        sync.Mutex               // what follows, and what names and peers say it guards
	addresses []string                 // as /config shows and changes them; never changed in place
	names     map[string]*lookupName   // one for each of the addresses
	fresh     []*lookupName            // those that lookupLoop has not started
	conns     map[*lookupConn]struct{} // those that have answered IDENTIFY
	hidden    bool                     // nobody is to be told of any topic
	outer     netip.Addr               // that was announced last in place of a host name, and is no loopback one
	settling  chan struct{}            // closed, and replaced, when a name or a peer is settled
}

// registration names what an nsqlookupd can be told of: a topic, or with a
// channel one of its channels.
type registration struct {
	topic, channel string
}

// lookupHTTP is the HTTP API of an nsqlookupd that is connected.
type lookupHTTP struct {
	address string          // host:port, as it tells it
	direct  string          // host:port at the address that it is connected by
	ctx     context.Context // ends when the connection is lost
}

func (l *lookups) init(n *NSQD) {
	l.n = n
	l.dial = new(net.Dialer).DialContext
	l.resolve = net.DefaultResolver.LookupNetIP
	l.ctx, l.stop = context.WithCancel(n.ctx)
	l.edited = make(chan struct{}, 1)
	l.names = make(map[string]*lookupName)
	l.conns = make(map[*lookupConn]struct{})
	l.settling = make(chan struct{})
	l.replace(n.opts.LookupdTCPAddresses)
}

// all returns the addresses; the caller must not change them.
func (l *lookups) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addresses
}

// set replaces the addresses, unless one of them is no host:port. Connections
// to others are closed.
func (l *lookups) set(addresses []string) error {
	for _, a := range addresses {
		if err := checkRemoteAddress(a); err != nil {
			return err
		}
	}
	l.replace(addresses)
	return nil
}

func (l *lookups) replace(addresses []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addresses = slices.Clone(addresses)
	for address, name := range l.names {
		if !slices.Contains(addresses, address) {
			name.stop()
			delete(l.names, address)
		}
	}
	for _, address := range addresses {
		if l.names[address] == nil {
			name := newLookupName(l, address)
			l.names[address] = name
			l.fresh = append(l.fresh, name)
		}
	}
	l.settledLocked() // nobody waits for those that are removed
	giveToken(l.edited)
}

// lookupLoop keeps this node registered with all configured nsqlookupds, until
// close. Each name and each of its peers has a goroutine of its own, so that
// none waits for another; it returns when they have ended.
func (l *lookups) lookupLoop() error {
	var names sync.WaitGroup
	defer names.Wait()
	for {
		select {
		case <-l.edited:
		case <-l.ctx.Done():
			return nil
		}
		l.mu.Lock()
		fresh := l.fresh
		l.fresh = nil
		l.mu.Unlock()
		for _, name := range fresh {
			names.Go(name.run)
		}
	}
}

// close cuts all connections. What goes from now on is told to nobody: an
// nsqlookupd sees that the node goes.
func (l *lookups) close() error {
	l.stop()
	return nil
}

// created has the nsqlookupds told of a new topic, or with a channel of a new
// channel. It only takes a note, so the locks that make the news one with the
// change may be held. A nil *lookups has nobody to tell.
func (l *lookups) created(topic, channel string) { l.notify(registration{topic, channel}, false) }

// deleted is created for what is gone.
func (l *lookups) deleted(topic, channel string) { l.notify(registration{topic, channel}, true) }

// notify leaves nothing for who is not connected: they are told everything
// when they are.
func (l *lookups) notify(r registration, gone bool) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.changed[r] = c.changed[r] || gone
		giveToken(c.wake)
	}
}

// hide has the nsqlookupds told of no topic any more, or with false of all again.
// The node stays connected, and known to them.
func (l *lookups) hide(hidden bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hidden = hidden
	for c := range l.conns {
		giveToken(c.wake)
	}
}

// settleTime is how long reachable waits at most for an nsqlookupd that was
// just configured.
const settleTime = time.Second

// reachable waits until every configured nsqlookupd has either answered
// IDENTIFY once or failed its first attempt to connect, or ctx ends, and
// returns those that are connected now and told where their HTTP API is. Who
// has not answered within settleTime counts as failed.
func (l *lookups) reachable(ctx context.Context) []lookupHTTP {
	for {
		l.mu.Lock()
		settled, settling, found := l.isSettledLocked(), l.settling, l.reachableLocked()
		l.mu.Unlock()
		if settled {
			return found
		}
		select {
		case <-settling:
		case <-ctx.Done():
			return found
		case <-l.ctx.Done():
			return nil
		}
	}
}

// connected returns those that are connected, as reachable does, and whether
// they are all that there are. An address where nobody has ever answered is
// nobody if its name has another, as where only one of ::1 and 127.0.0.1 is
// listened on.
func (l *lookups) connected() (found []lookupHTTP, complete bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	complete = true
	for _, name := range l.names {
		complete = complete && name.isCompleteLocked()
	}
	return l.reachableLocked(), complete
}

// count returns how many addresses are configured, and of how many everybody is
// connected to whom they lead.
func (l *lookups) count() (configured, connected int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, name := range l.names {
		if name.isCompleteLocked() {
			connected++
		}
	}
	return len(l.names), connected
}

func (l *lookups) reachableLocked() []lookupHTTP {
	var found []lookupHTTP
	for c := range l.conns {
		if address := c.answer.httpAddress(); address != "" {
			found = append(found, lookupHTTP{address, c.directHTTPAddress(), c.ctx})
		}
	}
	slices.SortFunc(found, func(a, b lookupHTTP) int { return cmp.Compare(a.address, b.address) })
	return found
}

func (l *lookups) isSettledLocked() bool {
	for _, name := range l.names {
		if !name.isSettledLocked() {
			return false
		}
	}
	return true
}

// settledLocked has those look again who wait in reachable.
func (l *lookups) settledLocked() {
	close(l.settling)
	l.settling = make(chan struct{})
}

// lookupPrefix begins the log lines about one configured address.
func lookupPrefix(address string) string { return fmt.Sprintf("LOOKUPD(%s): ", address) }
