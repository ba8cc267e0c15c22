package nsq

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
)

// DiscoveryFilter chooses among the nsqds that were found.
type DiscoveryFilter interface {
	// Filter is given the addresses that the nsqlookupds list, host:port, and
	// returns those to be connected to. It is called again whenever they answer,
	// never twice at the same time. What it leaves out is not disconnected.
	Filter(addresses []string) []string
}

// discovery asks nsqlookupds for nsqds, and tells who uses them what they say. Its
// methods are safe for concurrent use.
type discovery struct {
	*logging
	ctx     context.Context // ends asking
	config  *Config
	topic   string // whose producers are looked for, or "" for all nsqds
	user    discoveryUser
	resolve func(ctx context.Context, host string) ([]netip.Addr, error) // not changed
	changed chan struct{}                                                // has room for one: the filter or an answer is different
	loops   sync.WaitGroup

	mu       sync.Mutex   // what follows
	client   *http.Client // the program's; nil for our own
	filter   DiscoveryFilter
	lookupds []*lookupd
	done     chan struct{} // closed and replaced after each change was acted on
}

// discoveryUser is who uses what nsqlookupds say. It is called without a lock.
type discoveryUser interface {
	// appeared is told of nsqds that one nsqlookupd did not list before.
	appeared(addrs []string)

	// follow is told all the nsqds that are listed, from one goroutine, whenever
	// they may be others than before. While no nsqlookupd can be asked it is not
	// called.
	follow(addrs []string)
}

func newDiscovery(ctx context.Context, log *logging, cfg *Config, topic string, user discoveryUser) *discovery {
	return &discovery{
		logging: log,
		ctx:     ctx,
		config:  cfg,
		topic:   topic,
		user:    user,
		resolve: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
		changed: make(chan struct{}, 1),
		done:    make(chan struct{}),
	}
}

// notify makes loop look again.
func (d *discovery) notify() { wake(d.changed) }

func (d *discovery) setClient(client *http.Client) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.client = client
}

func (d *discovery) setDelegate(cb any) {
	filter, ok := cb.(DiscoveryFilter)
	if !ok {
		panic("behavior delegate does not have any recognized methods")
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.filter = filter
	d.notify()
}

// parse reads the addresses of nsqlookupds.
func (d *discovery) parse(addresses []string) ([]*lookupAddress, error) {
	parsed := make([]*lookupAddress, 0, len(addresses))
	for _, addr := range addresses {
		a, err := parseLookupAddress(addr, d.topic)
		if err != nil {
			return nil, err
		}
		parsed = append(parsed, a)
	}
	return parsed, nil
}

// add begins to ask those of the given addresses that are new. It returns them if
// they are the first. Once ctx has ended it must not be called.
func (d *discovery) add(addresses []*lookupAddress) (first []*lookupd) {
	d.mu.Lock()
	defer d.mu.Unlock()
	isFirst := len(d.lookupds) == 0
	for _, a := range addresses {
		if d.findLocked(a.key) >= 0 {
			continue
		}
		l := &lookupd{
			lookupAddress: a,
			client:        d.client,
			failed:        make(chan struct{}, 1),
			sources:       map[netip.Addr]*lookupSource{},
		}
		l.ctx, l.cancel = context.WithCancel(d.ctx)
		d.lookupds = append(d.lookupds, l)
		d.loops.Go(func() { d.followLookupd(l) })
	}
	if !isFirst {
		return nil
	}
	d.loops.Go(d.loop)
	return slices.Clone(d.lookupds)
}

// findLocked returns the place of the nsqlookupd that is known by key, or -1.
func (d *discovery) findLocked(key string) int {
	return slices.IndexFunc(d.lookupds, func(l *lookupd) bool { return l.key == key })
}

// remove ends asking the nsqlookupd at addr, unless it is the last.
func (d *discovery) remove(addr string) error {
	a, err := parseLookupAddress(addr, d.topic)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.findLocked(a.key)
	switch {
	case i < 0:
		return ErrNotConnected
	case len(d.lookupds) == 1:
		return fmt.Errorf("%w %s", ErrOnlyLookupd, addr)
	}
	d.lookupds[i].cancel()
	d.lookupds = slices.Delete(d.lookupds, i, i+1)
	d.notify()
	return nil
}

// awaitingLookupd is what awaitAnswer does, for the error of a context.
const awaitingLookupd = "waiting for an nsqlookupd"

// awaitAnswer waits until one of the nsqlookupds has answered, and that was acted
// on, or all have failed. It also returns when discovery ends. It fails only if ctx
// ends before.
func (d *discovery) awaitAnswer(ctx context.Context, lookupds []*lookupd) error {
	for {
		over, done := d.decided(lookupds)
		if over {
			return nil
		}
		select {
		case <-done:
		case <-d.ctx.Done():
			return nil
		case <-ctx.Done():
			return interrupted(ctx, awaitingLookupd)
		}
	}
}

// decided reports whether there is nothing to wait for any more. If there is,
// done is closed when that may have changed.
func (d *discovery) decided(lookupds []*lookupd) (over bool, done <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	over = true
	for _, l := range lookupds {
		if l.answered {
			return true, nil
		}
		over = over && (l.decided || l.ctx.Err() != nil)
	}
	return over, d.done
}

// loop acts on what nsqlookupds say. It alone decides which nsqds are listed, so
// that the filter is called for one state after the other.
func (d *discovery) loop() {
	for {
		select {
		case <-d.changed:
			d.act()
		case <-d.ctx.Done():
			return
		}
	}
}

// act makes the user follow what the nsqlookupds say.
func (d *discovery) act() {
	u, filter := d.union()
	if u.answered {
		if filter != nil {
			u.addrs = filter.Filter(u.addrs)
		}
		d.user.follow(u.addrs)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for l, answered := range u.decided {
		l.decided, l.answered = true, answered
	}
	close(d.done)
	d.done = make(chan struct{})
}

// union is what all nsqlookupds together say at one time.
type union struct {
	answered bool              // at least one of them can be asked
	addrs    []string          // the nsqds that those list
	decided  map[*lookupd]bool // those that answered: true, or failed: false
}

func (d *discovery) union() (union, DiscoveryFilter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	u := union{decided: map[*lookupd]bool{}}
	addrs := map[string]bool{}
	for _, l := range d.lookupds {
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
	return u, d.filter
}

// askNow makes nsqlookupds be asked at once: an nsqd may have moved.
func (d *discovery) askNow() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range d.lookupds {
		for _, s := range l.sources {
			if s.interrupt != nil {
				s.interrupt()
			}
		}
	}
	d.notify()
}
