package nsq

import "math"

// shares divides maxInFlight between n connections: every one gets the same,
// and at least 1 as long as there are no more connections than messages. With
// more, maxInFlight of them get 1, starting with number turn modulo n. The sum
// never exceeds maxInFlight.
func shares(n, maxInFlight, turn int) []int {
	all := make([]int, n)
	if n <= maxInFlight {
		for i := range all {
			all[i] = maxInFlight / n
		}
		return all
	}
	for i := range max(0, maxInFlight) {
		all[(turn+i)%n] = 1
	}
	return all
}

// balanceLocked sends every connection its share of what may be in flight.
// Those that get less are told first.
func (r *Consumer) balanceLocked() {
	open := make([]*consumerConn, 0, len(r.conns))
	for _, c := range r.conns {
		switch {
		case c.closing.Load():
		case !c.nsqd.held:
			open = append(open, c)
		case c.rdy.Load() > 0:
			c.setRDY(0)
		}
	}
	all := shares(len(open), r.maxInFlight, r.turn)
	for i, c := range open {
		all[i] = min(all[i], c.maxRDY())
		if all[i] < int(c.rdy.Load()) {
			c.setRDY(all[i])
		}
	}
	for i, c := range open {
		if all[i] > int(c.rdy.Load()) {
			c.setRDY(all[i])
		}
	}
}

// rotate gives the next connections their turn, if there are too few messages
// for all of them.
func (r *Consumer) rotate() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.conns); n > r.maxInFlight {
		r.turn = (r.turn + max(1, r.maxInFlight)) % n
		r.balanceLocked()
	}
}

// holdIfBehind asks n for no more messages once more of them wait on the last
// delivery that a handler is given than n may have in flight: nsqd delivers in
// place of those that time out in the queue, but these are kept. It asks again
// when half as many wait.
func (r *Consumer) holdIfBehind(n *nsqd) {
	if held, waiting := r.updateHeld(n); held {
		r.logf(LogLevelWarning, "(%s) %d messages wait for their last attempt, taking no more until handlers catch up", n.addr, waiting)
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
// already stay so.
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
