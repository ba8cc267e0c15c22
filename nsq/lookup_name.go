package nsq

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A name is resolved again after LookupdPollInterval within these limits, and
// sooner when one of its addresses does not answer.
const (
	minResolve = time.Second
	maxResolve = 30 * time.Second
)

// lookupd is an address the program said to ask. All addresses of a name
// are asked: each may be that of an nsqlookupd with a registry of its own.
type lookupd struct {
	*lookupAddress
	ctx    context.Context // ends with the wish to ask it
	cancel context.CancelFunc
	client *http.Client // the program's; nil for our own

	failed chan struct{} // has room for one: an address did not answer

	// Guarded by discovery.mu.
	sources    map[netip.Addr]*lookupSource // by the address of the name; the zero Addr if that is not ours to resolve
	unresolved bool                         // no address of the name was ever found
	decided    bool                         // a source has answered, or all have failed
	answered   bool                         // a source has answered
}

// followLookupd asks an nsqlookupd, or those that a name stands for, until
// nobody wants that any more.
func (d *discovery) followLookupd(l *lookupd) {
	if l.client != nil || !l.isName() {
		for _, s := range d.setSources(l, []netip.Addr{{}}) {
			d.followSource(s)
		}
		return
	}
	var sources sync.WaitGroup
	defer sources.Wait()
	failures := 0
	for {
		ips, err := d.addressesOf(l)
		pause := min(max(minResolve, d.config.LookupdPollInterval), maxResolve)
		switch {
		case l.ctx.Err() != nil:
			return
		case err != nil:
			failures++
			d.unresolved(l, failures, err)
			pause = growing(minResolve, failures, pause)
		default:
			failures = 0
			for _, s := range d.setSources(l, ips) {
				sources.Go(func() { d.followSource(s) })
			}
		}
		if !sleep(l.ctx, minResolve) {
			return
		}
		sleepOrWake(l.ctx, pause-minResolve, l.failed)
	}
}

// addressesOf returns those of a name, each once.
func (d *discovery) addressesOf(l *lookupd) ([]netip.Addr, error) {
	ctx, cancel := d.lookupTimeout(l.ctx)
	defer cancel()
	ips, err := d.resolve(ctx, l.host)
	if err != nil {
		return nil, err
	}
	if len(ips) == 0 {
		return nil, errors.New("no addresses")
	}
	for i, ip := range ips {
		ips[i] = ip.Unmap()
	}
	slices.SortFunc(ips, netip.Addr.Compare)
	return slices.Compact(ips), nil
}

// unresolved notes that a name has no addresses. Those it had are still asked.
func (d *discovery) unresolved(l *lookupd, failures int, err error) {
	d.mu.Lock()
	l.unresolved = len(l.sources) == 0
	d.mu.Unlock()
	level := LogLevelDebug
	if failures == 1 {
		level = LogLevelError
	}
	d.log(eventResolveFailed.at(level), l.name, err)
	d.notify() // after the log: this may make ConnectToNSQLookupd return
}

// setSources makes ips the addresses of l, and returns those that are new.
// Answers of those that are gone do not count any more.
func (d *discovery) setSources(l *lookupd, ips []netip.Addr) (added []*lookupSource) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ip, s := range l.sources {
		if !slices.Contains(ips, ip) {
			s.cancel()
			delete(l.sources, ip)
			d.notify()
		}
	}
	for _, ip := range ips {
		if l.sources[ip] == nil {
			s := d.newSource(l, ip)
			l.sources[ip] = s
			added = append(added, s)
		}
	}
	l.unresolved = false
	return added
}
