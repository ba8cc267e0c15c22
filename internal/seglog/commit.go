package seglog

import (
	"fmt"
	"sync"
)

const (
	// maxUnderway is how many groups may be under way. With two, one would be written while
	// another is synced; measured with 16 that publish and wait, side by side, that is 17,700 and
	// 19,300 a second in place of 20,800 and 24,800, as groups are smaller and a sync costs CPU, too.
	maxUnderway = 1
	// groupBytes bounds what one group takes from the queue, unless one append is larger.
	groupBytes = 1 << 20
)

// group is what is written at once: the appends that were queued when its leader,
// the first of them, had its turn.
type group struct {
	ticket  uint64 // groups finish in its order
	slot    int    // which file of the segment is its own
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
	switch {
	case l.opts.ReadOnly:
		return ErrReadOnly
	case len(records) == 0:
		return nil
	}
	p, err := l.newPending(records)
	if err != nil {
		return err
	}
	defer l.free(p)
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	lead := len(l.queue) == 0 && l.turnFreeLocked() // who waits already leads the next group
	l.queue = append(l.queue, p)
	l.writing = l.writing || lead
	l.mu.Unlock()
	if lead || <-p.wake {
		l.lead()
	}
	return p.err
}

// turnFreeLocked reports whether a group may be formed.
func (l *Log) turnFreeLocked() bool {
	limit := 1
	if l.sync {
		limit = maxUnderway
	}
	return !l.writing && l.exclusive == 0 && l.underway < limit
}

// passOn gives the write turn back, and to the first in the queue if there is one.
func (l *Log) passOn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = false
	l.ordered.Broadcast()
	l.handOverLocked()
}

func (l *Log) handOverLocked() {
	if len(l.queue) > 0 && l.turnFreeLocked() {
		l.writing = true
		l.queue[0].wake <- true
	}
}

// exclude takes the write turn when no group is under way; passOn gives it back.
func (l *Log) exclude() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.exclusive++
	for l.writing || l.underway > 0 {
		l.ordered.Wait()
	}
	l.exclusive--
	l.writing = true
}

// lead forms a group, writes it, and sees it through. The caller has the write
// turn and is the first in the queue.
func (l *Log) lead() {
	g := l.form()
	err := l.write(g)
	l.passOn()
	if err == nil && g.sync {
		err = l.syncGroup(g)
	}
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
	l.ticket++
	l.underway++
	g.ticket, g.sync = l.ticket, l.sync
	if l.slots[0] {
		g.slot = 1
	}
	l.slots[g.slot] = true
	return g
}

// syncGroup makes a group durable. If that fails, nothing more is acknowledged in
// that segment.
func (l *Log) syncGroup(g *group) error {
	err := g.seg.w.files[g.slot].SyncData()
	if err == nil {
		return nil
	}
	err = fmt.Errorf("sync %s: %w", g.seg.path, err)
	l.abandon(g.seg, g.ticket, err)
	return err
}

// abandon refuses the groups of a segment from a ticket on.
func (l *Log) abandon(seg *segment, ticket uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seg.refuse == 0 || ticket < seg.refuse {
		seg.refuse, seg.err = ticket, err
	}
}

// awaitLocked waits until the groups before a ticket are finished.
func (l *Log) awaitLocked(ticket uint64) {
	for l.turn != ticket {
		l.ordered.Wait()
	}
}

// finish acknowledges or refuses a group, behind those before it.
func (l *Log) finish(g *group, err error) {
	l.mu.Lock()
	l.awaitLocked(g.ticket)
	if err == nil && g.seg.refuse != 0 && g.seg.refuse <= g.ticket {
		err = g.seg.err
	}
	if err == nil {
		l.keepLocked(g)
	}
	l.err = err
	l.mu.Unlock()
	if err == nil && l.opts.OnCommit != nil {
		l.opts.OnCommit(g.collect())
	}

	l.mu.Lock()
	l.turn++
	l.underway--
	l.slots[g.slot] = false
	l.ordered.Broadcast()
	l.handOverLocked()
	l.mu.Unlock()
	g.dismiss(err)
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

// dismiss tells the publishers of a group, but the leader, who runs it, by a wake-up.
func (g *group) dismiss(err error) {
	for i, p := range g.appends {
		p.err = err
		if i > 0 {
			p.wake <- false
		}
	}
	clear(g.appends)
	clear(g.records)
	*g = group{appends: g.appends[:0], records: g.records[:0]}
	groups.Put(g)
}

// refuseQueue answers what waits in a log that is closed.
func (l *Log) refuseQueue() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.queue {
		p.err = ErrClosed
		p.wake <- false
	}
	l.queue = nil
}
