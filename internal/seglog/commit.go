package seglog

import (
	"fmt"
	"sync"
)

// groupBytes bounds what one group takes from the queue, unless one append is larger.
const groupBytes = 1 << 20

// group is what is written at once: the appends that were queued when its leader,
// mostly the first of them, had its turn. One is under way at a time. With two, one would be
// written while another is synced; measured with 16 that publish and wait, side by side, that is
// 17,700 and 19,300 a second in place of 20,800 and 24,800, as groups are smaller and a sync
// costs CPU, too.
type group struct {
	sync    bool
	appends []*pending
	size    int
	records []Record // for OnCommit

	seg      *segment
	at       int64 // where it was written
	after    tally
	deferred bool
}

var groups = sync.Pool{New: func() any { return new(group) }}

// Append keeps all records or, with an error, none, and blocks until they are
// kept as Sync says. Records of concurrent calls share a write and a sync. It sets
// First of Messages, and Pos; payloads must not change until it returns, and not
// later either if OnCommit hands them on. A record larger than a frame is split
// into frames, so readers see several. After an error the records may be found
// again after a crash, if the disk did not let go of them.
func (l *Log) Append(records []*Record) error {
	a, err := l.Start(records)
	if err != nil {
		return err
	}
	return a.Wait()
}

// Start begins an Append, behind those that were started before, and Wait must be called
// to have it done: the log has no goroutine of its own. So one goroutine can have several
// under way, which share a sync.
func (l *Log) Start(records []*Record) (Appending, error) {
	switch {
	case l.opts.ReadOnly:
		return Appending{}, ErrReadOnly
	case len(records) == 0:
		return Appending{}, nil
	}
	p, err := l.newPending(records)
	if err != nil {
		return Appending{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		l.free(p)
		return Appending{}, ErrClosed
	}
	l.queue = append(l.queue, p)
	l.queued += p.size
	l.startLocked()
	return Appending{l, p}, nil
}

// Appending is an Append that was started.
type Appending struct {
	l *Log
	p *pending
}

// Wait blocks until the records are kept, or cannot be. It must be called once.
func (a Appending) Wait() error {
	if a.p == nil {
		return nil
	}
	l, p := a.l, a.p
	l.mu.Lock()
	p.awaited = true
	if !p.taken {
		l.awaited++
	}
	l.startLocked()
	l.mu.Unlock()
	defer l.free(p)
	l.await(p)
	return p.err
}

// await returns when p is done, and leads the group whenever it has the turn.
func (l *Log) await(p *pending) {
	if <-p.wake {
		l.lead(p)
	}
}

// startLocked gives the turn, if it is free, to the first in the queue whose publisher
// waits.
func (l *Log) startLocked() {
	if l.busy || l.exclusive > 0 || len(l.queue) == 0 || l.gathersLocked() {
		return
	}
	for _, p := range l.queue {
		if p.awaited {
			l.busy = true
			p.wake <- true
			return
		}
	}
}

// passOn gives the turn back, and on to the first in the queue if there is one.
func (l *Log) passOn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.passOnLocked()
}

func (l *Log) passOnLocked() {
	l.busy, l.underway = false, false
	l.freed.Broadcast()
	l.startLocked()
}

// exclude takes the turn before any group; passOn gives it back.
func (l *Log) exclude() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.exclusive++
	for l.busy {
		l.freed.Wait()
	}
	l.exclusive--
	l.busy = true
}

// lead forms a group and sees it through. The caller, whose append p is, has the turn; it
// returns when p is done. A panic of OnCommit goes on when all others have what they wait for.
func (l *Log) lead(p *pending) {
	g := l.form()
	err := l.write(g)
	if err == nil && g.sync {
		err = g.syncFile()
	}
	defer func() {
		if !g.dismiss(err, p) {
			l.await(p)
		}
	}()
	l.finish(g, err)
}

// form takes what is queued.
func (l *Log) form() *group {
	g := groups.Get().(*group)
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.queue) && (n == 0 || g.size+l.queue[n].size <= groupBytes) {
		g.size += l.queue[n].size
		n++
	}
	g.appends = append(g.appends, l.queue[:n]...)
	l.queue = append(l.queue[:0], l.queue[n:]...)
	clear(l.queue[len(l.queue) : len(l.queue)+n])
	for _, p := range g.appends {
		p.taken = true
		if p.awaited {
			l.awaited--
		}
	}
	l.queued -= g.size
	g.sync = l.sync
	l.underway = true
	return g
}

// syncFile makes a group durable. If that fails, nothing more is written to its
// segment, as nobody knows what of it is.
func (g *group) syncFile() error {
	err := g.seg.w.file.SyncData()
	if err == nil {
		return nil
	}
	g.seg.w.spoiled = true
	return fmt.Errorf("sync %s: %w", g.seg.path, err)
}

// finish acknowledges or refuses a group.
func (l *Log) finish(g *group, err error) {
	l.mu.Lock()
	if err == nil {
		l.keepLocked(g)
	}
	l.err = err
	l.mu.Unlock()
	defer l.finished(g)
	if err == nil && l.opts.OnCommit != nil {
		l.opts.OnCommit(g.collect())
	}
}

// finished passes the turn on.
func (l *Log) finished(g *group) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if g.sync {
		l.beginGatherLocked(g.publishers())
	}
	l.passOnLocked()
}

// keepLocked shows a group to readers.
func (l *Log) keepLocked(g *group) {
	g.seg.size = g.at + int64(g.size)
	g.seg.kept = g.after
	g.seg.deferred = g.seg.deferred || g.deferred
	l.end = max(l.end, g.after.next)
}

func (g *group) collect() []Record {
	for _, p := range g.appends {
		for _, r := range p.records {
			g.records = append(g.records, *r)
		}
	}
	return g.records
}

// publishers is how many wait for a group, each for one append; Log.mu is held.
func (g *group) publishers() (n int) {
	for _, p := range g.appends {
		if p.awaited {
			n++
		}
	}
	return n
}

// dismiss tells the publishers of a group, but the leader, who runs it, by a wake-up. It
// reports whether the leader's append was in the group.
func (g *group) dismiss(err error, leader *pending) (found bool) {
	for _, p := range g.appends {
		p.err = err
		if p == leader {
			found = true
			continue
		}
		p.wake <- false
	}
	clear(g.appends)
	clear(g.records)
	*g = group{appends: g.appends[:0], records: g.records[:0]}
	groups.Put(g)
	return found
}

// refuseQueue answers what waits in a log that is closed.
func (l *Log) refuseQueue() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.queue {
		p.err, p.taken = ErrClosed, true
		p.wake <- false
	}
	l.queue, l.queued, l.awaited = nil, 0, 0
	l.stopGatherLocked()
}
