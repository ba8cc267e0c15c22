package nsqd

import (
	"sync"

	"github.com/seed893f581e/nsq/internal/dueheap"
)

// deferred holds the messages of one channel that are not due yet, by DPUB or
// REQ with a delay. They are only in memory, outside the bound of the memory
// chan; a clean stop writes them to a file. Times are nanoseconds of the
// daemon's monotonic clock. It is safe for concurrent use.
type deferred struct {
	mu     sync.Mutex // all that follows
	heap   dueheap.Heap[span]
	armed  int64 // time that the scan knows of, 0 for none
	closed bool
}

// add defers the messages of s until due. arm is the time that the scan must
// be told of, or 0. It fails only when closed.
func (d *deferred) add(due int64, s span) (arm int64, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return 0, false
	}
	for s.count > 0 {
		m := s.pop()
		d.heap.Push(due, m.alone())
	}
	return d.armLocked(), true
}

// release removes and appends to dst what is due. next is when the scan should
// come again, or 0.
func (d *deferred) release(dst []span, now int64) (due []span, next int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		s, ok := d.heap.PopDue(now)
		if !ok {
			break
		}
		dst = append(dst, s)
	}
	d.armed = 0
	return dst, d.armLocked()
}

func (d *deferred) armLocked() int64 {
	due, ok := d.heap.Next()
	if !ok || d.armed != 0 && d.armed <= due {
		return 0
	}
	d.armed = due
	return due
}

// clear drops everything.
func (d *deferred) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.heap.Clear()
}

// close refuses further messages and returns those that wait, with their times.
func (d *deferred) close() *dueheap.Heap[span] {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	h := d.heap
	d.heap = dueheap.Heap[span]{}
	return &h
}

// until returns how many messages there are, and how many of them are due at a time
// or before.
func (d *deferred) until(end int64) (all, due int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return int64(d.heap.Len()), int64(d.heap.CountDue(end))
}

func (d *deferred) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.heap.Len()
}
