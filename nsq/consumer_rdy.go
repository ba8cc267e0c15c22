package nsq

import (
	"math"
	"slices"
	"time"
)

// minTurn is how long a connection has its turn at least, if
// RDYRedistributeInterval is not shorter: it is no use if RDY 0 follows before
// nsqd has acted on RDY 1.
const minTurn = 50 * time.Millisecond

// shares divides maxInFlight between connections, of which some may be idle: those
// get 1, as long as there are others, and all others the same of what is left. With
// more connections than messages, the first maxInFlight of them get 1. The sum never
// exceeds maxInFlight.
func shares(idle []bool, maxInFlight int) []int {
	all := make([]int, len(idle))
	active := 0
	for _, idle := range idle {
		if !idle {
			active++
		}
	}
	if active == 0 {
		idle, active = make([]bool, len(all)), len(all)
	}
	for i := range all {
		switch {
		case len(all) > maxInFlight:
			if i < maxInFlight {
				all[i] = 1
			}
		case idle[i]:
			all[i] = 1
		default:
			all[i] = (maxInFlight - (len(all) - active)) / active
		}
	}
	return all
}

// evenShare returns what each of n connections gets when none is idle.
func evenShare(n, maxInFlight int) int {
	return shares(make([]bool, max(1, n)), maxInFlight)[0]
}

// turnTime returns how long each of maxInFlight connections has its turn while
// others wait: so long that all n had one after RDYRedistributeInterval.
func turnTime(cfg *Config, n, maxInFlight int) time.Duration {
	round := cfg.RDYRedistributeInterval
	turn := max(minTurn, round*time.Duration(maxInFlight)/time.Duration(n))
	return min(turn, round, cfg.LowRdyTimeout)
}

// turnEnds returns when a connection is to give up its turn of the given
// length: earlier if it is idle.
func (c *consumerConn) turnEnds(turn time.Duration) time.Time {
	end := c.since.Add(turn)
	if idle := c.idleSince(); idle.Before(end) {
		return idle
	}
	return end
}

// turnUsed returns how long c had its turn before that was interrupted. After an
// interruption that was not short, the turn begins anew.
func (c *consumerConn) turnUsed(now time.Time) time.Duration {
	if c.interrupted.IsZero() || now.Sub(c.interrupted) > minTurn {
		return 0
	}
	return c.interrupted.Sub(c.since)
}

// idleSince returns when no message will have come for LowRdyIdleTimeout, although
// nsqd could have sent one.
func (c *consumerConn) idleSince() time.Time {
	active := c.made.Add(time.Duration(c.lastRecv.Load()))
	if active.Before(c.since) {
		active = c.since
	}
	return active.Add(c.cfg.LowRdyIdleTimeout)
}

// openLocked returns the connections that take part in sharing out.
func (r *Consumer) openLocked() []*consumerConn {
	open := make([]*consumerConn, 0, len(r.conns))
	for _, c := range r.conns {
		if !c.closing.Load() && !c.nsqd.held && c.maxRDY() > 0 {
			open = append(open, c)
		}
	}
	return open
}

// limitLocked returns how many messages may be in flight at present.
func (r *Consumer) limitLocked() int { return r.backoff.limit(r.maxInFlight) }

// moveToFrontLocked makes c the first in line for a share.
func (r *Consumer) moveToFrontLocked(c *consumerConn) {
	i := slices.Index(r.conns, c)
	copy(r.conns[1:], r.conns[:i])
	r.conns[0] = c
}

// balanceLocked sends every connection its share of what may be in flight, as far
// as slots are free. Those that get less are told first.
func (r *Consumer) balanceLocked() {
	now := time.Now()
	claims := r.claimsLocked(now)
	all := grants(claims, r.limitLocked())
	for i, c := range r.conns {
		if !c.closing.Load() && all[i] < claims[i].rdy {
			c.setRDY(all[i])
		}
	}
	for i, c := range r.conns {
		if !c.closing.Load() && all[i] > claims[i].rdy {
			c.setRDY(all[i])
		}
		if claims[i].want == 0 {
			c.interrupted = time.Time{} // the turn is over
		}
		c.watch(claims[i].inFlight, now)
	}
	r.planRotationLocked()
}

// planRotationLocked sets the timer for the next turn that ends, or messages that
// are written off, or for the end of the pause, in which there are no turns.
func (r *Consumer) planRotationLocked() {
	open := r.openLocked()
	limit := r.limitLocked()
	next := r.config.RDYRedistributeInterval
	for _, c := range open {
		if c.mayBecomeIdle() {
			next = min(next, time.Until(c.idleSince()))
		}
		if len(open) > limit && c.rdy.Load() > 0 {
			next = min(next, time.Until(c.turnEnds(turnTime(&r.config, len(open), limit))))
		}
	}
	for _, c := range r.conns {
		if !c.releaseBy.IsZero() {
			next = min(next, time.Until(c.releaseBy))
		}
	}
	if r.backoff.paused() {
		next = time.Until(r.backoff.until)
	}
	r.rotation.Reset(max(next, 0))
}

// mayBecomeIdle reports whether it is only a matter of time until c is idle if no
// message comes: not while handlers are busy with some, or none is asked for.
func (c *consumerConn) mayBecomeIdle() bool {
	return !c.idle.Load() && c.rdy.Load() > 0 && c.inFlight.Load() == 0
}

// woken gives a connection that was idle its full share again.
func (r *Consumer) woken(c *consumerConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.idle.Store(false)
	r.balanceLocked()
}

// rotate finds out who is idle. It ends the turns that are over, and with them
// those connections go to the end of the line, if there are too few messages for
// all.
func (r *Consumer) rotate(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.openLocked() {
		if c.mayBecomeIdle() && !now.Before(c.idleSince()) {
			c.idle.Store(true)
		}
	}
	if n, limit := len(r.openLocked()), r.limitLocked(); n > limit {
		turn := turnTime(&r.config, n, limit)
		var over []*consumerConn
		r.conns = slices.DeleteFunc(r.conns, func(c *consumerConn) bool {
			end := c.rdy.Load() > 0 && !c.turnEnds(turn).After(now)
			if end {
				c.since = now // of the next turn, if that follows at once
				over = append(over, c)
			}
			return end
		})
		r.conns = append(r.conns, over...)
	}
	r.balanceLocked()
}

// holdIfBehind asks n for no more messages once more of them wait on the last
// delivery that a handler is given than n may have in flight: nsqd delivers in
// place of those that time out in the queue, but these are kept. It asks again
// when half as many wait.
func (r *Consumer) holdIfBehind(n *nsqd) {
	if held, waiting := r.updateHeld(n); held {
		n.log(eventHeld, waiting)
	}
}

// updateHeld reports whether n is held from now on.
func (r *Consumer) updateHeld(n *nsqd) (held bool, waiting int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting = r.queue.lastOf(n)
	most := int(n.highestRDY.Load())
	if n.held {
		held = waiting > most/2
	} else {
		held = waiting > most
	}
	if held == n.held {
		return false, waiting
	}
	n.held = held
	r.balanceLocked()
	return held, waiting
}

// ChangeMaxInFlight sets how many messages may be delivered and not answered,
// over all connections; 0 pauses the consumer. Messages that are in flight
// already stay so, and count: when there are as many as that or more, no other is
// asked for until enough are answered, or LowRdyTimeout has passed.
func (r *Consumer) ChangeMaxInFlight(maxInFlight int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.maxInFlight = max(0, maxInFlight)
	r.balanceLocked()
}

// IsStarved reports whether some connection has about as many messages in
// flight as it may: an answer to one of them would make room. It is of use to a
// handler that collects messages and asks whether to go on waiting for more.
func (r *Consumer) IsStarved() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.starvedLocked()
}

func (r *Consumer) starvedLocked() bool {
	for _, c := range r.conns {
		inFlight := c.inFlight.Load()
		if inFlight > 0 && inFlight >= c.rdy.Load()*85/100 && !c.closing.Load() {
			return true
		}
	}
	return false
}

func (c *consumerConn) maxRDY() int {
	return int(max(0, min(c.identity.MaxRdyCount, math.MaxInt32)))
}
