package nsqd

import "sync"

// An inflight is the table of the messages that one consumer was sent and has
// not answered. Index and deadlines are changed together, under one lock, so
// that a message has exactly one fate: FIN, REQ, time-out or the end of its
// connection, whichever comes first.
//
// Times are nanoseconds of the daemon's monotonic clock. As a connection's
// time-out does not change, deadlines come in ascending order and a list is
// enough; a TOUCH that is capped is put in its place from the back.
type inflight struct {
	mu      sync.Mutex // all that follows
	flights []flight   // slot 0 is not used, so that 0 means none
	free    int32      // list through next
	buckets []int32    // first flight of a chain, by hash of the id; a power of two
	first   int32      // earliest deadline
	last    int32
	n       int
	armed   int64         // deadline that the scan knows of, 0 for none
	emptied chan struct{} // closed once nothing is left, if somebody waits for that
}

type flight struct {
	s        span // one message
	sent     int64
	deadline int64
	prev     int32 // by deadline
	next     int32
	chain    int32 // next with the same bucket
}

// add enters messages that are about to be sent and increments their attempts.
// It returns the deadline that the scan must be told of, or 0.
func (t *inflight) add(spans []span, now, timeout int64) (arm int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range spans {
		for s := spans[i]; s.count > 0; {
			m := s.pop()
			m.attempts = nextAttempt(m.attempts)
			t.insert(flight{s: m, sent: now, deadline: now + timeout})
		}
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

// remove takes a message out, for FIN and REQ.
func (t *inflight) remove(id guid) (span, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.find(id)
	if i == 0 {
		return span{}, false
	}
	s := t.flights[i].s
	t.delete(i)
	return s, true
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
	if deadline > f.deadline {
		t.unlink(i)
		f.deadline = deadline
		t.link(i)
	}
	return true
}

// expire removes and appends to dst what has timed out. next is when the scan
// should come again, or 0.
func (t *inflight) expire(dst []span, now int64) (expired []span, next int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.first != 0 && t.flights[t.first].deadline <= now {
		dst = append(dst, t.flights[t.first].s)
		t.delete(t.first)
	}
	if t.n == 0 {
		t.flights, t.buckets, t.free = nil, nil, 0 // an idle consumer keeps no table
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
		spans = append(spans, t.flights[t.first].s)
		t.delete(t.first)
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

// bucket spreads ids: those of one batch are consecutive and fill consecutive
// buckets, those of single publishes differ only above the sequence bits.
func (t *inflight) bucket(id guid) *int32 {
	const odd = 0x9E3779B97F4A7C15 // 2^64 / golden ratio
	h := uint64(id) + uint64(id>>(guidSeqBits+guidNodeBits))*odd
	return &t.buckets[h&uint64(len(t.buckets)-1)]
}

func (t *inflight) find(id guid) int32 {
	if t.n == 0 {
		return 0
	}
	i := *t.bucket(id)
	for i != 0 && t.flights[i].s.id() != id {
		i = t.flights[i].chain
	}
	return i
}

func (t *inflight) insert(f flight) {
	if t.n >= len(t.buckets) {
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
	t.n++
	b := t.bucket(f.s.id())
	t.flights[i].chain, *b = *b, i
	t.link(i)
}

// delete takes flight i out of index and list.
func (t *inflight) delete(i int32) {
	at := t.bucket(t.flights[i].s.id())
	for *at != i {
		at = &t.flights[*at].chain
	}
	*at = t.flights[i].chain
	t.unlink(i)
	t.flights[i] = flight{next: t.free}
	t.free = i
	t.n--
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
		b := t.bucket(t.flights[i].s.id())
		t.flights[i].chain, *b = *b, i
	}
}
