package nsqd

import "sync"

// A gate lets calls through until it is closed. Who closes it waits for those that
// are under way: the log of a topic or channel that is deleted must not be used any
// more. Calls may wait for the disk inside it; nothing else is kept waiting by that.
type gate struct {
	mu     sync.RWMutex // closed; and that it stays so while somebody is inside
	closed bool
}

// enter reports whether the caller may go on, and then has to leave.
func (g *gate) enter() bool {
	g.mu.RLock()
	if g.closed {
		g.mu.RUnlock()
		return false
	}
	return true
}

func (g *gate) leave() { g.mu.RUnlock() }

// tryEnter is enter for who must not wait; it fails also while somebody is alone inside, or
// waits to be.
func (g *gate) tryEnter() bool {
	if !g.mu.TryRLock() {
		return false
	}
	if g.closed {
		g.mu.RUnlock()
		return false
	}
	return true
}

// enterAlone is enter for who must be alone inside; leaveAlone lets others in again.
func (g *gate) enterAlone() bool {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return false
	}
	return true
}

func (g *gate) leaveAlone() { g.mu.Unlock() }

// closeIf closes it if it is open and cond, which must not enter, says so. Nobody is
// inside meanwhile.
func (g *gate) closeIf(cond func() bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || !cond() {
		return false
	}
	g.closed = true
	return true
}

// close returns when nobody is inside any more.
func (g *gate) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
}
