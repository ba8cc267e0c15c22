package nsqd

import (
	"sync"

	"github.com/seed893f581e/nsq/internal/latency"
	"github.com/seed893f581e/nsq/internal/store"
	"github.com/seed893f581e/nsq/internal/wire"
)

// An inflight is the table of the messages that one consumer was sent and has
// not answered. Index and deadlines are changed together, under one lock, so
// that a message has exactly one fate: FIN, REQ, time-out or the end of its
// connection, whichever comes first.
//
// Messages that were sent together are entered together, as groups: a FIN of one
// of them clears a bit. Consumers answer mostly in the order in which they were
// sent messages, so the group of the last answer, or the one after it, is where
// the next is looked for first.
//
// Times are nanoseconds of the daemon's monotonic clock. As a connection's
// time-out does not change, deadlines come in ascending order and a list is
// enough; a TOUCH that is capped is put in its place from the back.
type inflight struct {
	mu      sync.Mutex // all that follows
	flights []flight   // slot 0 is not used, so that 0 means none
	free    int32      // list through next
	buckets []int32    // first flight of a chain, by hash of flight.key; a power of two
	used    int        // flights
	groups  int        // those of them that were of several messages
	near    int32      // where to look first; any slot
	first   int32      // earliest deadline
	last    int32
	n       int           // messages
	armed   int64         // deadline that the scan knows of, 0 for none
	emptied chan struct{} // closed once nothing is left, if somebody waits for that
}

// A flight is a group with a deadline: one message, or several that were sent
// together.
type flight struct {
	s        span   // the group as it was sent, its attempts counted
	left     uint64 // which of its messages are in flight, bit id%groupLen for each
	id       guid   // of its first message
	sent     int64
	deadline int64
	prev     int32 // by deadline
	next     int32
	chain    int32 // next with the same bucket
}

// groupLen is the most messages of a group. Groups end where the id is a multiple
// of it, so that an id tells which group it would be in.
const groupLen = 64

// group returns the first messages of s that make a group; s must not be empty.
func (s span) group() span {
	s.count = min(s.count, groupLen-uint16(s.id()%groupLen))
	return s
}

// add enters groups that are about to be sent and increments their attempts. It
// returns the deadline that the scan must be told of, or 0.
func (t *inflight) add(groups []span, now, timeout int64) (arm int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range groups {
		s.attempts = nextAttempt(s.attempts)
		t.insert(flight{
			s:        s,
			left:     (1<<s.count - 1) << (s.id() % groupLen),
			id:       s.id(),
			sent:     now,
			deadline: now + timeout,
		})
		t.n += int(s.count)
	}
	return t.armLocked()
}

// nextAttempt counts a delivery; the count stays at its largest value.
func nextAttempt(attempts uint16) uint16 {
	if attempts == maxAttempts {
		return attempts
	}
	return attempts + 1
}

const maxAttempts = 1<<16 - 1

// remove takes a message out, for a FIN that comes alone.
func (t *inflight) remove(id guid) (span, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.find(id)
	if i == 0 {
		return span{}, false
	}
	s := t.flights[i].message(id)
	t.takeOut(i, id)
	return s, true
}

// removeFlight takes a message out, for REQ, and returns it as a flight of its own,
// which putBack takes.
func (t *inflight) removeFlight(id guid) (f flight, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.find(id)
	if i == 0 {
		return flight{}, false
	}
	f = t.flights[i].alone(id)
	t.takeOut(i, id)
	return f, true
}

// putBack enters a message again, with the time-out that it had. It returns the
// deadline that the scan must be told of, or 0.
func (t *inflight) putBack(f flight) (arm int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.insert(f)
	t.n++
	return t.armLocked()
}

// finish takes out the messages of the FIN commands at the start of b, up to the
// first that is of unusual form, cut, or of a message that is not in flight. It
// returns how many there were. It adds them to done, and stops when that is full. If
// kept is not nil, their numbers in the log are appended to it.
func (t *inflight) finish(b []byte, done *latency.Batch, kept *[]store.Run) (n int, full bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var run store.Run
	var of *batch // of the messages finished last
	ofIt := 0
	for !full {
		number, ok := wire.ParseFin(b[n*wire.FinLen:])
		if !ok {
			break
		}
		i := t.find(guid(number))
		if i == 0 {
			break
		}
		n++
		f := &t.flights[i]
		full = done.Add(f.s.b.time)
		if kept != nil {
			if of != f.s.b {
				of.finished(ofIt)
				of, ofIt = f.s.b, 0
			}
			ofIt++
			seq := f.s.seq() + uint64(guid(number)-f.id)
			if seq != run.First+uint64(run.Count) {
				*kept = appendRun(*kept, run)
				run = store.Run{First: seq}
			}
			run.Count++
		}
		t.takeOut(i, guid(number))
	}
	if kept != nil {
		of.finished(ofIt)
		*kept = appendRun(*kept, run)
	}
	return n, full
}

// touch gives a message the time-out again, but no deadline later than limit
// after it was sent, and never an earlier one than it has.
func (t *inflight) touch(id guid, now, timeout, limit int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.find(id)
	if i == 0 {
		return false
	}
	f := &t.flights[i]
	deadline := min(now+timeout, f.sent+limit)
	switch {
	case deadline <= f.deadline:
	case f.left == 1<<(id%groupLen): // it is alone
		t.unlink(i)
		f.deadline = deadline
		t.link(i)
	default:
		alone := f.alone(id)
		alone.deadline = deadline
		f.left &^= alone.left
		t.insert(alone)
	}
	return true
}

// expire removes and appends to dst what has timed out. next is when the scan
// should come again, or 0.
func (t *inflight) expire(dst []span, now int64) (expired []span, next int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.first != 0 && t.flights[t.first].deadline <= now {
		dst = t.takeOutFirst(dst)
	}
	if t.n == 0 {
		t.flights, t.buckets, t.free, t.near = nil, nil, 0, 0 // an idle consumer keeps no table
	}
	t.armed = 0
	return dst, t.armLocked()
}

// drain removes and returns everything.
func (t *inflight) drain() []span {
	t.mu.Lock()
	defer t.mu.Unlock()
	spans := make([]span, 0, t.n)
	for t.first != 0 {
		spans = t.takeOutFirst(spans)
	}
	return spans
}

// whenEmpty returns a channel that is closed when nothing is left, or nil if
// that is so. One can wait at a time.
func (t *inflight) whenEmpty() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == 0 {
		return nil
	}
	t.emptied = make(chan struct{})
	return t.emptied
}

func (t *inflight) len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}

func (t *inflight) has(id guid) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.find(id) != 0
}

// armLocked returns the earliest deadline if the scan does not know of it or
// an earlier one, and notes that it will.
func (t *inflight) armLocked() int64 {
	if t.first == 0 {
		return 0
	}
	deadline := t.flights[t.first].deadline
	if t.armed != 0 && t.armed <= deadline {
		return 0
	}
	t.armed = deadline
	return deadline
}

// holds reports whether the message is in the group, and in flight.
func (f *flight) holds(id guid) bool {
	return f.id/groupLen == id/groupLen && f.left>>(id%groupLen)&1 != 0
}

// message returns one message of the group.
func (f *flight) message(id guid) span {
	s := f.s
	for s.id() != id {
		s.pop()
	}
	return s.pop()
}

// alone returns one message of the group as a flight of its own.
func (f *flight) alone(id guid) flight {
	return flight{s: f.message(id), left: 1 << (id % groupLen), id: id, sent: f.sent, deadline: f.deadline}
}

// key is what the flight is found by: a message alone by its id, a group by what
// its ids have in common.
func (f *flight) key() guid {
	if f.s.count == 1 {
		return f.id
	}
	return groupKey(f.id)
}

// groupKey is what ids of one group have in common, unlike any small id.
func groupKey(id guid) guid { return ^(id / groupLen) }

// bucket spreads keys, of which many are consecutive.
func (t *inflight) bucket(key guid) *int32 {
	const odd = 0x9E3779B97F4A7C15 // 2^64 / golden ratio
	h := uint64(key) * odd >> 32
	return &t.buckets[h&uint64(len(t.buckets)-1)]
}

// find returns the flight that holds the message, or 0.
func (t *inflight) find(id guid) int32 {
	if t.n == 0 {
		return 0
	}
	if t.flights[t.near].holds(id) {
		return t.near
	}
	i := t.findByKey(id, id)
	if i == 0 && t.groups > 0 {
		i = t.findByKey(groupKey(id), id)
	}
	return i
}

func (t *inflight) findByKey(key, id guid) int32 {
	i := *t.bucket(key)
	for i != 0 && !t.flights[i].holds(id) {
		i = t.flights[i].chain
	}
	return i
}

// takeOut removes a message from flight i, and that when it was the last one.
func (t *inflight) takeOut(i int32, id guid) {
	f := &t.flights[i]
	f.left &^= 1 << (id % groupLen)
	t.near = i
	t.n--
	if f.left == 0 {
		t.near = f.next
		t.delete(i)
	}
}

// takeOutFirst removes the messages of the flight with the earliest deadline and
// appends each to dst.
func (t *inflight) takeOutFirst(dst []span) []span {
	f := &t.flights[t.first]
	for s := f.s; s.count > 0; {
		if m := s.pop(); f.holds(m.id()) {
			dst = append(dst, m)
			t.n--
		}
	}
	f.left = 0
	t.delete(t.first)
	return dst
}

func (t *inflight) insert(f flight) {
	if t.used >= len(t.buckets) {
		t.rehash()
	}
	i := t.free
	if i != 0 {
		t.free = t.flights[i].next
		t.flights[i] = f
	} else {
		if len(t.flights) == 0 {
			t.flights = append(t.flights, flight{})
		}
		i = int32(len(t.flights))
		t.flights = append(t.flights, f)
	}
	t.used++
	if f.s.count > 1 {
		t.groups++
	}
	b := t.bucket(f.key())
	t.flights[i].chain, *b = *b, i
	t.link(i)
}

// delete takes flight i, of which nothing is left, out of index and list.
func (t *inflight) delete(i int32) {
	f := &t.flights[i]
	at := t.bucket(f.key())
	for *at != i {
		at = &t.flights[*at].chain
	}
	*at = f.chain
	t.unlink(i)
	t.used--
	if f.s.count > 1 {
		t.groups--
	}
	*f = flight{next: t.free}
	t.free = i
	if t.n == 0 && t.emptied != nil {
		close(t.emptied)
		t.emptied = nil
	}
}

// link puts flight i into the list by its deadline, looking from the back.
func (t *inflight) link(i int32) {
	f := &t.flights[i]
	after := t.last
	for after != 0 && t.flights[after].deadline > f.deadline {
		after = t.flights[after].prev
	}
	f.prev = after
	if after == 0 {
		f.next, t.first = t.first, i
	} else {
		f.next, t.flights[after].next = t.flights[after].next, i
	}
	if f.next == 0 {
		t.last = i
	} else {
		t.flights[f.next].prev = i
	}
}

func (t *inflight) unlink(i int32) {
	f := &t.flights[i]
	if f.prev == 0 {
		t.first = f.next
	} else {
		t.flights[f.prev].next = f.next
	}
	if f.next == 0 {
		t.last = f.prev
	} else {
		t.flights[f.next].prev = f.prev
	}
}

// rehash doubles the buckets.
func (t *inflight) rehash() {
	t.buckets = make([]int32, max(8, 2*len(t.buckets)))
	for i := t.first; i != 0; i = t.flights[i].next {
		b := t.bucket(t.flights[i].key())
		t.flights[i].chain, *b = *b, i
	}
}
