package nsq

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"time"
)

// firstConnects is how long ConnectToNSQLookupd waits for connections to the
// nsqds it found.
const firstConnects = time.Second

// DiscoveryFilter chooses among the nsqds that were found.
type DiscoveryFilter interface {
	// Filter is given the addresses that the nsqlookupds list, host:port, and
	// returns those to be connected to. It is called again whenever they answer,
	// never twice at the same time. What it leaves out is not disconnected.
	Filter(addresses []string) []string
}

// discovery is what a consumer knows about nsqlookupds and from them. All but
// the channels is guarded by Consumer.mu.
type discovery struct {
	client   *http.Client // the program's; nil for our own
	filter   DiscoveryFilter
	resolve  func(ctx context.Context, host string) ([]netip.Addr, error) // not changed
	lookupds []*lookupd

	avoided map[string]bool // nsqds the program disconnected from: only itself connects again

	changed chan struct{} // has room for one: something above or an answer is different
	done    chan struct{} // closed and replaced after each such change was acted on; guarded as well
}

func (d *discovery) init() {
	d.resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
		return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	}
	d.avoided = map[string]bool{}
	d.changed = make(chan struct{}, 1)
	d.done = make(chan struct{})
}

// notify makes discoverLoop look again.
func (d *discovery) notify() {
	select {
	case d.changed <- struct{}{}:
	default: // it will
	}
}

// ConnectToNSQLookupd asks the nsqlookupd at addr, host:port or a URL, for the
// nsqds that have the topic, and connects to them; see the package's description
// of discovery. The path of the URL is /lookup unless it has one.
//
// The first call returns once nsqlookupd has answered and the nsqds it lists
// were tried, for a second at most, or once it failed, which is logged and no
// error: it is asked again. Further calls do not wait, and do nothing for an
// address that is in use.
func (r *Consumer) ConnectToNSQLookupd(addr string) error {
	return r.ConnectToNSQLookupds([]string{addr})
}

// ConnectToNSQLookupds is ConnectToNSQLookupd for several addresses. None is used
// if one of them cannot be read. It waits for the first of them to answer, or for
// all to fail.
func (r *Consumer) ConnectToNSQLookupds(addresses []string) error {
	parsed := make([]*lookupAddress, 0, len(addresses))
	for _, addr := range addresses {
		a, err := parseLookupAddress(addr, r.topic)
		if err != nil {
			return err
		}
		parsed = append(parsed, a)
	}
	if len(parsed) == 0 {
		return nil
	}
	first, err := r.addLookupds(parsed)
	if err != nil || len(first) == 0 {
		return err
	}
	return r.awaitAnswer(first)
}

// addLookupds begins to ask those of the given addresses that are new. It returns
// them if they are the first.
func (r *Consumer) addLookupds(addresses []*lookupAddress) (first []*lookupd, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.beginLocked(); err != nil {
		return nil, err
	}
	d := &r.discovery
	isFirst := len(d.lookupds) == 0
	for _, a := range addresses {
		if d.find(a.key) >= 0 {
			continue
		}
		l := &lookupd{
			lookupAddress: a,
			client:        d.client,
			failed:        make(chan struct{}, 1),
			sources:       map[netip.Addr]*lookupSource{},
		}
		l.ctx, l.cancel = context.WithCancel(r.ctx)
		d.lookupds = append(d.lookupds, l)
		r.loops.Go(func() { r.followLookupd(l) })
	}
	if !isFirst {
		return nil, nil
	}
	r.loops.Go(r.discoverLoop)
	return slices.Clone(d.lookupds), nil
}

// find returns the place of the nsqlookupd that is known by key, or -1.
func (d *discovery) find(key string) int {
	return slices.IndexFunc(d.lookupds, func(l *lookupd) bool { return l.key == key })
}

// awaitAnswer waits until one of the nsqlookupds has answered, and the nsqds it
// lists were tried, or all have failed.
func (r *Consumer) awaitAnswer(lookupds []*lookupd) error {
	for {
		over, done := r.decided(lookupds)
		if over {
			break
		}
		select {
		case <-done:
		case <-r.ctx.Done():
			return errConsumerStopped
		}
	}
	timeout := time.NewTimer(firstConnects)
	defer timeout.Stop()
	for _, n := range r.discovered() {
		select {
		case <-n.tried:
		case <-timeout.C:
			return nil
		case <-r.ctx.Done():
			return errConsumerStopped
		}
	}
	return nil
}

// decided reports whether there is nothing to wait for any more. If there is,
// done is closed when that may have changed.
func (r *Consumer) decided(lookupds []*lookupd) (over bool, done <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	over = true
	for _, l := range lookupds {
		if l.answered {
			return true, nil
		}
		over = over && (l.decided || l.ctx.Err() != nil)
	}
	return over, r.discovery.done
}

// discovered returns the nsqds that are known from nsqlookupds alone.
func (r *Consumer) discovered() (all []*nsqd) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.nsqds {
		if !n.given {
			all = append(all, n)
		}
	}
	return all
}

// DisconnectFromNSQLookupd asks the nsqlookupd at addr no more. Connections to
// nsqds stay. The error is ErrNotConnected for an address that is not in use; the
// last one cannot be removed.
func (r *Consumer) DisconnectFromNSQLookupd(addr string) error {
	a, err := parseLookupAddress(addr, r.topic)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	d := &r.discovery
	i := d.find(a.key)
	switch {
	case i < 0:
		return ErrNotConnected
	case len(d.lookupds) == 1:
		return fmt.Errorf("cannot disconnect from only remaining nsqlookupd HTTP address %s", addr)
	}
	d.lookupds[i].cancel()
	d.lookupds = slices.Delete(d.lookupds, i, i+1)
	d.notify()
	return nil
}

// SetLookupdHttpClient makes nsqlookupds that are added from now on be asked with
// a client of the program's own, which is not closed. A name with several
// addresses is then one nsqlookupd, found the client's way; a client with a
// Timeout below two seconds cannot watch for changes. nil means the consumer's
// own client.
//
//nolint:revive // the name programs know
func (r *Consumer) SetLookupdHttpClient(httpclient *http.Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.discovery.client = httpclient
}

// SetBehaviorDelegate takes a DiscoveryFilter. It panics for any other value.
func (r *Consumer) SetBehaviorDelegate(cb any) {
	filter, ok := cb.(DiscoveryFilter)
	if !ok {
		panic("behavior delegate does not have any recognized methods")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.discovery.filter = filter
	r.discovery.notify()
}

// discoverLoop acts on what nsqlookupds say. It alone decides which nsqds are
// listed, so that the filter is called for one state after the other.
func (r *Consumer) discoverLoop() {
	for {
		select {
		case <-r.discovery.changed:
			r.discover()
		case <-r.ctx.Done():
			return
		}
	}
}

// discover connects to nsqds that are newly listed, and gives up those that no
// nsqlookupd lists and that are not connected.
func (r *Consumer) discover() {
	u, filter := r.union()
	if filter != nil && u.answered {
		u.addrs = filter.Filter(u.addrs)
	}
	for _, n := range r.follow(u) {
		n.log(eventNotListed)
	}
}

// union is what all nsqlookupds together say at one time.
type union struct {
	answered bool              // at least one of them can be asked
	addrs    []string          // the nsqds that those list
	decided  map[*lookupd]bool // those that answered: true, or failed: false
}

func (r *Consumer) union() (union, DiscoveryFilter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := union{decided: map[*lookupd]bool{}}
	addrs := map[string]bool{}
	for _, l := range r.discovery.lookupds {
		answered, failed := false, l.unresolved || len(l.sources) > 0
		for _, s := range l.sources {
			failed = failed && s.state == failing
			if s.state == answering {
				answered = true
				for _, addr := range s.last.addrs {
					addrs[addr] = true
				}
			}
		}
		if answered || failed {
			u.decided[l] = answered
		}
		u.answered = u.answered || answered
	}
	u.addrs = slices.Sorted(maps.Keys(addrs))
	return u, r.discovery.filter
}

// follow makes the listed nsqds those that are connected to, and returns those
// it gave up. While no nsqlookupd can be asked, nothing changes.
func (r *Consumer) follow(u union) (gone []*nsqd) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := &r.discovery
	if u.answered && !r.stopped {
		listed := map[string]bool{}
		for _, addr := range u.addrs {
			listed[addr] = true
			if r.nsqds[addr] == nil && !d.avoided[addr] {
				n := r.newNSQDLocked(addr)
				go r.discoverNSQD(n)
			}
		}
		for _, n := range r.nsqds {
			if !n.given && !n.connected && !listed[n.addr] {
				gone = append(gone, n)
				delete(r.nsqds, n.addr)
				n.cancel()
			}
		}
	}
	for l, answered := range u.decided {
		l.decided, l.answered = true, answered
	}
	close(d.done)
	d.done = make(chan struct{})
	return gone
}

// connectionEnded makes nsqlookupds be asked at once: the nsqd may have moved.
func (r *Consumer) connectionEnded() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.discovery.lookupds {
		for _, s := range l.sources {
			if s.interrupt != nil {
				s.interrupt()
			}
		}
	}
	r.discovery.notify()
}
