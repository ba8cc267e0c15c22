package nsq

import (
	"slices"
	"time"
)

// A slot is room for one message in flight; there are max-in-flight of them. A
// connection takes up as many as it has messages in flight, or as its RDY lets nsqd
// send, whichever is more. What is in flight above RDY therefore keeps its slot
// until it is answered, and only then somebody else is asked for a message in its
// place. That wait has an end: after LowRdyTimeout such messages are written off,
// which means that they take up no slots any more.
//
// Nothing tells when nsqd has read a lower RDY. What it has sent before that takes
// up slots when it arrives, and others are asked for less.

// claim is what a connection is to have, and what it has.
type claim struct {
	want     int // its share of all slots
	rdy      int // what nsqd was told last
	inFlight int // without what is written off
}

// grants returns the RDY of each connection: what it wants, as far as slots are
// free. Who has some keeps them before others get any; first of those come the ones
// that are first in line. While more is in flight than limit, nobody is asked for a
// message in place of one that is answered, until enough are.
func grants(claims []claim, limit int) []int {
	all := make([]int, len(claims))
	free := limit
	for _, c := range claims {
		free -= c.inFlight
	}
	for i, c := range claims {
		all[i] = min(c.want, max(0, c.inFlight+min(0, free)))
	}
	free = handOut(free, all, func(i int) int { return min(claims[i].want, claims[i].rdy) })
	handOut(free, all, func(i int) int { return claims[i].want })
	return all
}

// handOut raises each of all to what upTo says, as far as free goes: evenly, and
// what cannot be divided goes to those who have least. It returns what is left of
// free.
func handOut(free int, all []int, upTo func(i int) int) int {
	for free > 0 {
		lacking, least := 0, 0
		for i := range all {
			if all[i] < upTo(i) {
				if lacking == 0 || all[i] < all[least] {
					least = i
				}
				lacking++
			}
		}
		if lacking == 0 {
			break
		}
		each := free / lacking
		if each == 0 {
			all[least]++
			free--
		}
		for i := range all {
			n := max(0, min(each, upTo(i)-all[i]))
			all[i] += n
			free -= n
		}
	}
	return free
}

// claimsLocked returns what everybody wants and has. From now on answers are
// watched for.
func (r *Consumer) claimsLocked(now time.Time) []claim {
	open := r.openLocked()
	idle := make([]bool, len(open))
	for i, c := range open {
		idle[i] = c.idle.Load()
	}
	wanted := shares(idle, r.limitLocked())
	claims := make([]claim, len(r.conns))
	for i, c := range r.conns {
		c.watched.Store(true) // before the messages are counted, so that no answer is missed
		claims[i].rdy = c.openRDY()
		claims[i].inFlight = c.occupied(now)
		if len(open) > 0 && c == open[0] {
			claims[i].want = min(wanted[0], c.maxRDY())
			open, wanted = open[1:], wanted[1:]
		}
	}
	return claims
}

// openRDY returns how many messages nsqd may have in flight on c.
func (c *consumerConn) openRDY() int {
	if c.closing.Load() {
		return 0
	}
	return int(c.rdy.Load())
}

// occupied returns how many messages of c take up slots. It writes off those that
// are above RDY for too long.
func (c *consumerConn) occupied(now time.Time) int {
	inFlight := int(c.inFlight.Load())
	off := min(int(c.writtenOff.Load()), inFlight)
	if !c.releaseBy.IsZero() && !now.Before(c.releaseBy) {
		off = max(off, inFlight-c.openRDY())
		c.releaseBy = time.Time{}
	}
	c.writtenOff.Store(int64(off))
	return inFlight - off
}

// watch notes whether answers on c make slots free: when more is in flight than the
// RDY that it was sent now. When nothing is, nobody looks at answers.
func (c *consumerConn) watch(inFlight int, now time.Time) {
	above := inFlight > c.openRDY()
	switch {
	case !above:
		c.releaseBy = time.Time{}
	case c.releaseBy.IsZero():
		c.releaseBy = now.Add(c.cfg.LowRdyTimeout)
	}
	c.watched.Store(above || c.writtenOff.Load() > 0)
}

// overrun reports whether c has more in flight than its RDY says, as nsqd had sent
// that before it read RDY.
func (c *consumerConn) overrun() bool {
	return c.inFlight.Load()-c.writtenOff.Load() > int64(c.openRDY())
}

// rebalance shares slots out anew.
func (r *Consumer) rebalance() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.balanceLocked()
}

// slotFreed has slots shared out anew. It may be called with any lock held.
func (r *Consumer) slotFreed() {
	select {
	case r.freed <- struct{}{}:
	default: // it will be
	}
}

// handOn shares out slots that have become free.
func (r *Consumer) handOn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	// Unless the answer came while messages were counted, and is of no matter.
	if slices.ContainsFunc(r.conns, func(c *consumerConn) bool { return c.watched.Load() }) {
		r.balanceLocked()
	}
}
