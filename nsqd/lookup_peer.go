package nsqd

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
)

const (
	lookupDialTimeout  = time.Second
	firstLookupPause   = 100 * time.Millisecond // before the second attempt to connect; then it doubles
	longestLookupPause = 2 * time.Second
	duplicateInterval  = 5 * time.Minute // between two looks whether two addresses still are one nsqlookupd
)

// errDuplicate says that an nsqlookupd is connected by another address of its
// name, as ::1 and 127.0.0.1 are one. Registered twice, the node would be listed
// twice.
var errDuplicate = errors.New("it is the nsqlookupd that is connected by another address of the name")

// A lookupPeer is an nsqlookupd at one address: it is connected, and connected
// again when the connection is lost, as long as its name leads there.
type lookupPeer struct {
	name    *lookupName
	address string // to dial: an IP address and a port
	log     *slog.Logger
	ctx     context.Context
	stop    context.CancelFunc
	retry   chan struct{} // a token when a sibling has lost its connection
	refused refusals

	// Of run's goroutine.
	attempts  int    // failed since the last connection, or the start
	failures  int    // attempts, and connections that ended at once, in a row
	outage    outage // while attempts fail
	duplicate bool   // the last attempt found that it is one
	announced string // broadcast address that was sent last

	// Guarded by lookups.mu.
	conn    *lookupConn // that has answered IDENTIFY, or nil
	listed  bool        // the name leads here
	known   bool        // there was an nsqlookupd, and no other address of the name leads to it
	settled bool        // the first attempt to connect is over
}

func newLookupPeer(n *lookupName, address string) *lookupPeer {
	p := &lookupPeer{name: n, address: address, log: n.log, retry: make(chan struct{}, 1), listed: true}
	if address != n.address {
		p.log = n.log.With("address", address)
	}
	p.ctx, p.stop = context.WithCancel(n.ctx)
	return p
}

// run connects, again and again, until the peer is stopped or the name leads
// elsewhere.
func (p *lookupPeer) run() {
	defer p.stop()
	for p.ctx.Err() == nil {
		c, err := p.connect()
		p.settle()
		if err != nil {
			p.failed(err)
		} else if p.serve(c); !p.release() {
			return
		}
		if p.mayHaveMoved() {
			giveToken(p.name.again)
		}
		p.wait()
	}
}

// mayHaveMoved reports whether it is worth asking where the name leads: there
// was an nsqlookupd here, or nobody is connected by the name. An address where
// there never was one would have it resolved for ever.
func (p *lookupPeer) mayHaveMoved() bool {
	p.name.l.mu.Lock()
	defer p.name.l.mu.Unlock()
	return p.known || !p.hasConnectedSiblingLocked()
}

// connect returns a connection whose IDENTIFY is answered, and that is noted in
// lookups.conns.
func (p *lookupPeer) connect() (*lookupConn, error) {
	ctx, cancel := context.WithTimeout(p.ctx, lookupDialTimeout)
	defer cancel()
	nc, err := p.name.l.dial(ctx, "tcp", p.address)
	if err != nil {
		return nil, err
	}
	c := newLookupConn(p, nc)
	if err = c.identify(); err == nil {
		err = p.claim(c)
	}
	if err != nil {
		c.close(err)
		return nil, err
	}
	return c, nil
}

// claim makes c the connection to the nsqlookupd that has answered it. From
// then on it is told of changes.
func (p *lookupPeer) claim(c *lookupConn) error {
	l := p.name.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if l.isToldAnotherLocked(c) {
		return errOuterAddress
	}
	for _, sibling := range p.name.peers {
		if sibling.conn != nil && sibling.conn.answer == c.answer && c.answer != (lookupIdentity{}) {
			p.known = false
			return errDuplicate
		}
	}
	p.conn, p.known = c, true
	l.conns[c] = struct{}{}
	return nil
}

// release forgets the connection, which is closed. It reports false where the
// name does not lead here any more: that was the last one.
func (p *lookupPeer) release() bool {
	l := p.name.l
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, p.conn)
	p.conn = nil
	for _, sibling := range p.name.peers {
		if sibling != p {
			giveToken(sibling.retry)
		}
	}
	if !p.listed && p.name.peers[p.address] == p {
		delete(p.name.peers, p.address)
	}
	return p.listed
}

// settle tells that the first attempt is over.
func (p *lookupPeer) settle() {
	l := p.name.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if !p.settled {
		p.settled = true
		l.settledLocked()
	}
}

// serve keeps the nsqlookupd informed until the connection is lost.
func (p *lookupPeer) serve(c *lookupConn) {
	p.attempts, p.duplicate = 0, false
	connected := time.Now()
	p.log.Info(p.prefix()+"connected", "version", logging.Printable(c.answer.Version))
	p.name.l.n.channels.connected()
	err := c.serve()
	if p.ctx.Err() != nil {
		p.log.Info(p.prefix() + "closed")
		return
	}
	p.log.Warn(p.prefix()+"connection lost, connecting again", "error", err)
	p.failures++
	if time.Since(connected) > longestLookupPause {
		p.failures = 1
	}
}

// failed logs the second failure in a row: the first may be a restart, or a
// family of addresses that nobody listens on. What lasts is logged now and then.
func (p *lookupPeer) failed(err error) {
	now := time.Now()
	p.attempts++
	p.failures++
	if p.attempts == 1 {
		p.outage = beginOutage(now)
	}
	switch {
	case p.ctx.Err() != nil:
	case errors.Is(err, errDuplicate):
		if !p.duplicate {
			p.log.Info(p.prefix() + "not used: " + err.Error())
		}
		p.attempts, p.failures, p.duplicate = 0, 0, true
	case p.attempts == 2:
		level := slog.LevelWarn
		if p.hasConnectedSibling() {
			level = slog.LevelInfo
		}
		p.log.Log(p.ctx, level, p.prefix()+"cannot connect, trying on", "error", err)
	default:
		p.log.Debug(p.prefix()+"cannot connect", "error", err)
		if lasted, ok := p.outage.remind(now); ok && !p.hasConnectedSibling() {
			p.log.Warn(p.prefix()+"still cannot connect, trying on", "for", lasted, "error", err)
		}
	}
}

func (p *lookupPeer) hasConnectedSibling() bool {
	p.name.l.mu.Lock()
	defer p.name.l.mu.Unlock()
	return p.hasConnectedSiblingLocked()
}

func (p *lookupPeer) hasConnectedSiblingLocked() bool {
	for _, sibling := range p.name.peers {
		if sibling.conn != nil {
			return true
		}
	}
	return false
}

// wait returns when it is time to connect again.
func (p *lookupPeer) wait() {
	pause := lookupPause(p.failures)
	if p.duplicate {
		pause = duplicateInterval
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.retry:
	case <-p.ctx.Done():
	}
}

// lookupPause returns how long to wait after so many failures in a row: longer
// and longer, and not the same on every node.
func lookupPause(failures int) time.Duration {
	pause := min(longestLookupPause, firstLookupPause<<min(max(0, failures-1), 10))
	return pause/2 + rand.N(pause/2)
}

func (p *lookupPeer) prefix() string { return lookupPrefix(p.name.address) }
