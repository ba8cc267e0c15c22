package nsqd

import (
	"cmp"
	"context"
	"slices"
	"sync"
)

// lookups are the nsqlookupds that are told which topics and channels there
// are. It is safe for concurrent use.
type lookups struct {
	mu        sync.Mutex               // what follows
	addresses []string                 // as /config shows and changes them; never changed in place
	conns     map[*lookupConn]struct{} // those that have answered IDENTIFY
}

// lookupConn is one connection to an nsqlookupd.
type lookupConn struct {
	ctx     context.Context // ends when the connection is lost
	http    string          // host:port of its HTTP API, "" where it told none
	changed changes         // what it has to be told; guarded by lookups.mu
	wake    chan struct{}   // a token while there is something in changed
}

// registration names what an nsqlookupd can be told of: a topic, or with a
// channel one of its channels.
type registration struct {
	topic, channel string
}

// changes are what appeared or went since a nsqlookupd was told, so no more than
// there are names. The value says whether the thing has been gone, even if
// another of that name is there by now.
type changes map[registration]bool

// lookupHTTP is the HTTP API of an nsqlookupd that is connected.
type lookupHTTP struct {
	address string          // host:port
	ctx     context.Context // ends when the connection is lost
}

// all returns the addresses; the caller must not change them.
func (l *lookups) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addresses
}

// set replaces the addresses, unless one of them is no host:port.
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

// reachable waits until every configured nsqlookupd has either answered
// IDENTIFY once or failed its first attempt to connect, or ctx ends, and
// returns those that are connected now and told where their HTTP API is.
func (l *lookups) reachable(ctx context.Context) []lookupHTTP {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []lookupHTTP
	for c := range l.conns {
		if c.http != "" {
			found = append(found, lookupHTTP{c.http, c.ctx})
		}
	}
	slices.SortFunc(found, func(a, b lookupHTTP) int { return cmp.Compare(a.address, b.address) })
	return found
}
