package nsq

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// abandonAfter is how long a doneChan is waited for once the producer stops.
	abandonAfter = time.Second

	// maxKept is how many answers are kept for one doneChan before publishers
	// that use it wait, and maxKeptInAll for all of a producer before any wait
	// that use one.
	maxKept      = 10_000
	maxKeptInAll = 100_000
)

// ProducerTransaction is the outcome of one asynchronous call.
type ProducerTransaction struct {
	Error error // nil once nsqd has the message
	Args  []any // what the call was given for this purpose

	doneChan chan *ProducerTransaction // nil if nobody wants to know
}

// results hands finished transactions to their doneChans without ever waiting
// for one: what a doneChan has no room for is kept, in order, by a goroutine of
// its own. Its methods are safe for concurrent use.
type results struct {
	mu       sync.Mutex // what follows
	room     sync.Cond  // there is room again for a doneChan, or stopping is set
	waiting  map[chan *ProducerTransaction]*ring[*ProducerTransaction]
	kept     atomic.Int64 // in all of waiting; changed under mu
	stopping bool

	senders sync.WaitGroup
	closing chan struct{}
}

func newResults() *results {
	r := &results{
		waiting: map[chan *ProducerTransaction]*ring[*ProducerTransaction]{},
		closing: make(chan struct{}),
	}
	r.room.L = &r.mu
	return r
}

// awaitRoom waits while too many answers are kept for ch, or in all, and fails if
// ctx ends first. After release it returns at once. It reserves nothing.
func (r *results) awaitRoom(ctx context.Context, ch chan *ProducerTransaction) error {
	if ch == nil || r.kept.Load() < maxKept {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	full := func() bool {
		q := r.waiting[ch]
		return r.kept.Load() >= maxKeptInAll || q != nil && q.n >= maxKept
	}
	if full() {
		defer wakeWhenEnded(ctx, &r.room)()
	}
	for full() && !r.stopping {
		if ctx.Err() != nil {
			return interrupted(ctx, "waiting for answers to be received from doneChan")
		}
		r.room.Wait()
	}
	return nil
}

// release ends every awaitRoom.
func (r *results) release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopping = true
	r.room.Broadcast()
}

// deliver passes transactions to their doneChans, now or later.
func (r *results) deliver(ended ...*ProducerTransaction) {
	if len(ended) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range ended {
		if t.doneChan != nil {
			r.deliverLocked(t)
		}
	}
}

func (r *results) deliverLocked(t *ProducerTransaction) {
	ch := t.doneChan
	q := r.waiting[ch]
	if q == nil {
		select {
		case ch <- t:
			return
		default:
		}
		q = &ring[*ProducerTransaction]{}
		r.waiting[ch] = q
		r.senders.Go(func() { r.send(ch, q, t) })
	}
	q.push(t)
	r.kept.Add(1)
}

// send sends what waits for ch, from first on, until nothing does.
func (r *results) send(ch chan *ProducerTransaction, q *ring[*ProducerTransaction], first *ProducerTransaction) {
	closing := r.closing
	var abandon <-chan time.Time
	for t := first; t != nil; {
		select {
		case ch <- t:
			t = r.sent(ch, q)
			if abandon != nil {
				abandon = time.After(abandonAfter)
			}
		case <-closing:
			closing, abandon = nil, time.After(abandonAfter)
		case <-abandon:
			return // nobody receives any more
		}
	}
}

// sent removes what was sent to ch, and returns what is next or nil.
func (r *results) sent(ch chan *ProducerTransaction, q *ring[*ProducerTransaction]) *ProducerTransaction {
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.n == maxKept || r.kept.Load() == maxKeptInAll {
		r.room.Broadcast()
	}
	q.pop()
	r.kept.Add(-1)
	next, ok := q.first()
	if !ok {
		delete(r.waiting, ch)
	}
	return next
}

// close returns when every doneChan has what it is due, or nobody has received
// from it for a second. deliver must not be called any more.
func (r *results) close() {
	close(r.closing)
	r.senders.Wait()
}
