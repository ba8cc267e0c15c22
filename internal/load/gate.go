package load

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
)

// A Gate keeps producers from running ahead of consumers: what is published and
// not yet consumed by the slowest of several groups stays below a limit. It is
// safe for concurrent use.
type Gate struct {
	limit  int64
	passed atomic.Int64
	groups []padded

	waiting atomic.Int64
	mu      sync.Mutex // of changed
	changed sync.Cond
}

// padded keeps counters that different goroutines write apart.
type padded struct {
	n atomic.Int64
	_ [120]byte
}

// NewGate returns a gate for that many groups of consumers.
func NewGate(limit, groups int) *Gate {
	g := &Gate{limit: int64(limit), groups: make([]padded, groups)}
	g.changed.L = &g.mu
	return g
}

// Pass waits until n more messages may be published. It returns false when ctx
// ends first.
func (g *Gate) Pass(ctx context.Context, n int) bool {
	if g.tryPass(int64(n)) {
		return ctx.Err() == nil
	}
	stop := context.AfterFunc(ctx, g.wake)
	defer stop()
	g.waiting.Add(1)
	defer g.waiting.Add(-1)
	g.mu.Lock()
	defer g.mu.Unlock()
	for !g.tryPass(int64(n)) {
		if ctx.Err() != nil {
			return false
		}
		g.changed.Wait()
	}
	return ctx.Err() == nil
}

func (g *Gate) tryPass(n int64) bool {
	for {
		p := g.passed.Load()
		if p+n-g.slowest() > g.limit {
			return false
		}
		if g.passed.CompareAndSwap(p, p+n) {
			return true
		}
	}
}

func (g *Gate) slowest() int64 {
	least := int64(math.MaxInt64)
	for i := range g.groups {
		least = min(least, g.groups[i].n.Load())
	}
	return least
}

// Consumed says that a group has consumed n messages.
func (g *Gate) Consumed(group, n int) {
	g.groups[group].n.Add(int64(n))
	if g.waiting.Load() > 0 {
		g.wake()
	}
}

func (g *Gate) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.changed.Broadcast()
}

// Total returns how many messages all groups have consumed.
func (g *Gate) Total() int64 {
	var sum int64
	for i := range g.groups {
		sum += g.groups[i].n.Load()
	}
	return sum
}
