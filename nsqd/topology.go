package nsqd

import (
	"slices"
	"sync"
)

// locality is how near to the broker a consumer is, the nearest first.
type locality int

const (
	zoneLocal locality = iota
	regionLocal
	global // everybody, without the experiment
	localities
)

// topologyAware is the name of the experiment by which near consumers come first.
const topologyAware = "topology-aware-consumption"

// prefersNear reports whether the experiment is on.
func (o *Options) prefersNear() bool { return slices.Contains(o.Experiments, topologyAware) }

// localityOf compares what a client says of itself with what the broker is told
// of itself; where both say nothing of their zone, that is the same zone.
func (o *Options) localityOf(s *settings) locality {
	switch {
	case s.topologyZone == o.TopologyZone:
		return zoneLocal
	case s.topologyRegion == o.TopologyRegion:
		return regionLocal
	default:
		return global
	}
}

// nearestFirst gives the token of a queue to the nearest of the consumers that
// want messages. A consumer wants from the time at which it begins to wait until
// it has tried to take; while a nearer one does, it does not take itself. It is
// safe for concurrent use.
type nearestFirst struct {
	ready [localities]chan struct{} // the token is in one of them

	mu    sync.Mutex // wants; and that no token lies where nobody wants, but for the last
	wants [localities]int
}

func newNearestFirst() *nearestFirst {
	n := &nearestFirst{}
	for i := range n.ready {
		n.ready[i] = make(chan struct{}, 1)
	}
	return n
}

// signal is queue.signal.
func (n *nearestFirst) signal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.signalLocked()
}

func (n *nearestFirst) signalLocked() {
	to := zoneLocal
	for to < global && n.wants[to] == 0 {
		to++
	}
	giveToken(n.ready[to])
}

// enter counts one more that wants, and returns what it is to receive from.
func (n *nearestFirst) enter(l locality) <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wants[l]++
	for _, farther := range n.ready[l+1:] {
		n.moveLocked(farther)
	}
	return n.ready[l]
}

// leave takes back an enter.
func (n *nearestFirst) leave(l locality) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.wants[l]--
	if n.wants[l] == 0 {
		n.moveLocked(n.ready[l])
	}
}

// moveLocked gives a token that may be in from to whom it belongs now.
func (n *nearestFirst) moveLocked(from <-chan struct{}) {
	select {
	case <-from:
		n.signalLocked()
	default:
	}
}

// mayTake reports whether nobody who is nearer wants messages.
func (n *nearestFirst) mayTake(l locality) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, wants := range n.wants[:l] {
		if wants > 0 {
			return false
		}
	}
	return true
}
