package nsqd

import (
	"maps"
	"slices"
	"sync"
)

// clients is the set of connections that speak the protocol, for statistics.
// It is safe for concurrent use.
type clients struct {
	mu  sync.Mutex // set
	set map[*client]struct{}
}

func (cs *clients) add(c *client) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.set == nil {
		cs.set = make(map[*client]struct{})
	}
	cs.set[c] = struct{}{}
}

func (cs *clients) remove(c *client) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.set, c)
}

// all returns the connections of this moment.
func (cs *clients) all() []*client {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return slices.Collect(maps.Keys(cs.set))
}
