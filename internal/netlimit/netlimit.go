// Package netlimit bounds the connections that a daemon serves at a time, so
// that files can still be opened whatever clients do. Beyond the bound nothing
// is refused: listeners accept no more, and new connections wait in the
// kernel until one that is served ends. One that is idle ends for them.
package netlimit

import (
	"container/list"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"
)

// What of the limit of open files is not for connections: an eighth, and at
// least 64. It is for queues, metadata, listeners, logs, and what the daemon
// asks of others.
const (
	minReserve     = 64
	minConnections = 8 // that a limit must allow beside the reserve
)

// Reserve returns how many files can be open besides the connections that Bound
// allows.
func Reserve() (int, error) {
	limit, err := fileLimit()
	return reserve(limit), err
}

func reserve(limit int) int { return max(minReserve, limit/8) }

// fileLimit returns the limit of open files, a very high one if there is none.
func fileLimit() (int, error) {
	limit, limited, err := openFiles()
	if err != nil {
		return 0, fmt.Errorf("failed to read the limit of open files: %w", err)
	}
	if !limited {
		limit = math.MaxInt32
	}
	return limit, nil
}

// Bound returns how many connections may be served at a time: as asked, or as many
// as the limit of open files allows where that is 0 or more. by names
// what bounds them. A limit that leaves next to nothing is an error.
func Bound(asked int) (n int, by string, err error) {
	limit, err := fileLimit()
	if err != nil {
		return 0, "", err
	}
	return bound(asked, limit)
}

func bound(asked, limit int) (n int, by string, err error) {
	n = limit - reserve(limit)
	if n < minConnections {
		return 0, "", fmt.Errorf("the limit of open files is %d: at least %d are needed, of which %d are kept for queues and other files",
			limit, minReserve+minConnections, minReserve)
	}
	if asked > 0 && asked <= n {
		return asked, "--max-connections", nil
	}
	return n, fmt.Sprintf("the limit of %d open files", limit), nil
}

// A Pool counts the connections of several listeners against one bound. Every
// group of them is assured of a share, so that one group cannot shut out
// another; what is left over is for all. It is safe for concurrent use.
type Pool struct {
	size int
	by   string // what bounds it
	log  *slog.Logger

	mu      sync.Mutex // all that follows, and what changes of groups and connections
	common  int        // free connections that are nobody's share
	freed   chan struct{}
	groups  []*Group
	waiting int       // how many of all groups wait
	idle    list.List // of *conn, the longest first
	logged  time.Time // when somebody was last said to wait
}

// A Group is the listeners that use one share of a pool.
type Group struct {
	pool  *Pool
	name  string
	share int

	open    int
	waiting int // listeners with a connection that cannot be served yet
}

// NewPool returns a pool of so many connections, without groups. by is for the
// log: what bounds it.
func NewPool(size int, by string, log *slog.Logger) *Pool {
	return &Pool{size: size, by: by, log: log, common: size, freed: make(chan struct{})}
}

// Group adds a group which is assured of a share of the pool. All groups are
// added before the first connection, and their shares must fit the pool.
func (p *Pool) Group(name string, share int) *Group {
	g := &Group{pool: p, name: name, share: share}
	p.common -= share
	p.groups = append(p.groups, g)
	return g
}

// acquire counts one more connection, and reports whether it may be served now.
// Otherwise it returns what is closed when it is worth trying again.
func (g *Group) acquire() (ok bool, wait <-chan struct{}) {
	p := g.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case g.open < g.share:
	case p.common > 0:
		p.common--
	default:
		return false, p.freed
	}
	g.open++
	return true, nil
}

// wait says that so many listeners more wait.
func (g *Group) wait(n int) {
	g.pool.mu.Lock()
	defer g.pool.mu.Unlock()
	g.waiting += n
	g.pool.waiting += n
}

// release is the end of a connection that was acquired.
func (c *conn) release() {
	g, p := c.group, c.group.pool
	p.mu.Lock()
	defer p.mu.Unlock()
	c.closed = true
	p.notIdle(c)
	if g.open > g.share {
		p.common++
	}
	g.open--
	close(p.freed)
	p.freed = make(chan struct{})
}

// logFull says, at most once a second for the whole pool, that a connection
// must wait.
func (g *Group) logFull() {
	p := g.pool
	p.mu.Lock()
	now := time.Now()
	if !p.logged.IsZero() && now.Sub(p.logged) < time.Second {
		p.mu.Unlock()
		return
	}
	p.logged = now
	attrs := []any{"limit", p.size, "by", p.by}
	for _, other := range p.groups {
		attrs = append(attrs, other.name, other.open)
	}
	p.mu.Unlock()
	p.log.Warn(g.name+": all connections are in use, new ones wait until one ends", attrs...)
}
