package nsqd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	resolveTimeout  = 15 * time.Second // as a resolver tries its servers one after another
	resolveInterval = 30 * time.Second // between two looks where a name leads
)

// A lookupName is one configured address. A host name may lead to several
// nsqlookupds, and to others as time goes on: each address that it leads to is
// a peer.
type lookupName struct {
	l       *lookups
	address string // as configured
	host    string
	port    string
	log     *slog.Logger
	ctx     context.Context
	stop    context.CancelFunc
	outage  outage        // while the name cannot be resolved; of run's goroutine
	again   chan struct{} // a token when a peer has no connection: it may have moved

	// Guarded by lookups.mu.
	settled bool                   // nobody needs to wait for it any more
	peers   map[string]*lookupPeer // by the address to dial; of nil it is not known where the name leads
}

// newLookupName takes an address that was checked.
func newLookupName(l *lookups, address string) *lookupName {
	n := &lookupName{l: l, address: address, log: l.n.log, again: make(chan struct{}, 1)}
	n.host, n.port, _ = net.SplitHostPort(address)
	n.ctx, n.stop = context.WithCancel(l.ctx)
	return n
}

// isName tells a name from an address, which leads nowhere else. Without a host
// it is this one.
func (n *lookupName) isName() bool {
	_, err := netip.ParseAddr(n.host)
	return n.host != "" && err != nil
}

// run keeps a peer for every address that the name leads to, until it is
// stopped. It returns when the peers have ended.
func (n *lookupName) run() {
	var peers sync.WaitGroup
	defer peers.Wait()
	patience := time.AfterFunc(settleTime, n.settle)
	defer patience.Stop()
	if !n.isName() {
		n.leadsTo([]string{n.address}, &peers)
		<-n.ctx.Done()
		return
	}
	for failures := 0; n.ctx.Err() == nil; {
		next := resolveInterval
		addresses, err := n.resolve()
		if err == nil {
			failures = 0
			n.leadsTo(addresses, &peers)
		} else if n.ctx.Err() == nil {
			failures++
			n.settle()
			next = lookupPause(failures)
			n.logFailure(failures, err)
		}
		n.wait(next)
	}
}

// wait returns when it is time for another look where the name leads.
func (n *lookupName) wait(next time.Duration) {
	soonest := time.After(min(next, longestLookupPause)) // peers that fail ask for it often
	timer := time.NewTimer(next)
	defer timer.Stop()
	select {
	case <-n.again:
	case <-timer.C:
	case <-n.ctx.Done():
		return
	}
	select {
	case <-soonest:
	case <-n.ctx.Done():
	}
}

// resolve returns the addresses to dial.
func (n *lookupName) resolve() ([]string, error) {
	ctx, cancel := context.WithTimeout(n.ctx, resolveTimeout)
	defer cancel()
	ips, err := n.l.resolve(ctx, "ip", n.host)
	if err == nil && len(ips) == 0 {
		err = errors.New("it has no address")
	}
	addresses := make([]string, 0, len(ips))
	for _, ip := range ips {
		addresses = append(addresses, net.JoinHostPort(ip.Unmap().String(), n.port))
	}
	return addresses, err
}

func (n *lookupName) logFailure(failures int, err error) {
	now := time.Now()
	if failures == 1 {
		n.outage = beginOutage(now)
		n.log.Warn(lookupPrefix(n.address)+"the name cannot be resolved, trying on", "error", err)
	} else if lasted, ok := n.outage.remind(now); ok {
		n.log.Warn(lookupPrefix(n.address)+"the name still cannot be resolved, trying on", "for", lasted, "error", err)
	}
}

// leadsTo starts the peers that are new. One that the name leads to no more
// may be alive and well: it ends with its connection.
func (n *lookupName) leadsTo(addresses []string, peers *sync.WaitGroup) {
	n.l.mu.Lock()
	defer n.l.mu.Unlock()
	if n.peers == nil {
		n.peers = make(map[string]*lookupPeer)
	}
	for address, p := range n.peers {
		p.listed = slices.Contains(addresses, address)
		if !p.listed && p.conn == nil {
			p.stop()
			delete(n.peers, address)
		}
	}
	for _, address := range addresses {
		if n.peers[address] == nil {
			p := newLookupPeer(n, address)
			n.peers[address] = p
			peers.Go(p.run)
		}
	}
	n.l.settledLocked()
}

// settle ends the waiting for this name.
func (n *lookupName) settle() {
	n.l.mu.Lock()
	defer n.l.mu.Unlock()
	n.settled = true
	n.l.settledLocked()
}

func (n *lookupName) isSettledLocked() bool {
	if n.settled || n.peers == nil {
		return n.settled
	}
	for _, p := range n.peers {
		if !p.settled {
			return false
		}
	}
	return true
}

// isCompleteLocked reports whether everybody to whom the name leads is
// connected.
func (n *lookupName) isCompleteLocked() bool {
	connected := 0
	for _, p := range n.peers {
		if p.conn != nil {
			connected++
		} else if p.known {
			return false
		}
	}
	return connected > 0
}
