package nsqd

import (
	"container/heap"
	"context"
	"runtime/debug"
	"sync"
	"time"
)

// queueScan wakes what has a deadline: the in-flight table of every consumer,
// the deferred messages of every channel, and the heartbeat of every connection.
// It knows the next deadline of each, so that nothing is polled and idle ones
// cost nothing. It is safe for concurrent use.
type queueScan struct {
	env  *env
	wake chan struct{}

	mu    sync.Mutex // items and every scanItem's fields
	items scanHeap
}

// A scanItem is one thing with deadlines. fire handles what is due at now and
// returns when to come again, or 0; it may run in two workers at once.
type scanItem struct {
	fire  func(now int64) (next int64)
	brief bool // fire waits for nothing: it needs no worker
	due   int64
	pos   int // in the heap, counted from 1; 0 when not in it
}

func newQueueScan(e *env) *queueScan {
	return &queueScan{env: e, wake: make(chan struct{}, 1)}
}

// schedule has it fire at due, on the daemon's clock, or when it was scheduled
// for before if that is earlier. A due of 0 does nothing.
func (q *queueScan) schedule(it *scanItem, due int64) {
	if due == 0 {
		return
	}
	q.mu.Lock()
	switch {
	case it.pos == 0:
		it.due = due
		heap.Push(&q.items, it)
	case due < it.due:
		it.due = due
		heap.Fix(&q.items, it.pos-1)
	}
	first := it.pos == 1
	q.mu.Unlock()
	if first {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// forget takes it out. A fire that has begun goes on.
func (q *queueScan) forget(it *scanItem) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if it.pos != 0 {
		heap.Remove(&q.items, it.pos-1)
	}
}

// popDue takes out and returns the next item that is due, or how long to wait.
func (q *queueScan) popDue(now int64) (it *scanItem, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		return nil, time.Hour
	}
	if wait := q.items[0].due - now; wait > 0 {
		return nil, time.Duration(wait)
	}
	return heap.Pop(&q.items).(*scanItem), 0
}

// maxScanWorkers bounds --queue-scan-worker-pool-max: others start workers only
// as they need them, so that it may be set to anything.
const maxScanWorkers = 64

// queueScanLoop fires what is due until ctx ends. Its workers keep one slow
// disk from delaying the deadlines of everything else; what is brief waits for none
// of them.
func (q *queueScan) queueScanLoop(ctx context.Context) error {
	due := make(chan *scanItem)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer close(due)
	for range min(q.env.opts.QueueScanWorkerPoolMax, maxScanWorkers) {
		workers.Go(func() {
			for it := range due {
				q.fire(it)
			}
		})
	}

	timer := time.NewTimer(0)
	defer timer.Stop()
	var late []*scanItem // due, while no worker was free
	for {
		it, wait := q.popDue(q.env.now())
		if it != nil && it.brief {
			q.fire(it)
			continue
		}
		if it != nil {
			late = append(late, it)
		}
		if late = handOut(due, late); it != nil {
			continue
		}
		var free chan<- *scanItem
		var next *scanItem
		if len(late) > 0 {
			free, next = due, late[0]
		}
		timer.Reset(max(wait, scanPause))
		select {
		case free <- next:
			late = late[1:]
		case <-timer.C:
		case <-q.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// handOut gives items to the workers that are free, and returns the others.
func handOut(workers chan<- *scanItem, items []*scanItem) (late []*scanItem) {
	for len(items) > 0 {
		select {
		case workers <- items[0]:
			items = items[1:]
		default:
			return items
		}
	}
	return nil
}

// scanPause is the shortest wait for a deadline: what is due within it is
// handled in one go.
const scanPause = 500 * time.Microsecond

// firePause is when an item whose fire has panicked fires again: its deadlines
// are still there.
const firePause = time.Second

func (q *queueScan) fire(it *scanItem) {
	next := q.env.now() + int64(firePause)
	defer func() {
		if r := recover(); r != nil {
			q.env.panics.Add(1)
			q.env.log.Error("QUEUESCAN: panic", "panic", r, "stack", string(debug.Stack()))
		}
		q.schedule(it, next)
	}()
	next = it.fire(q.env.now())
}

// scanHeap orders items by deadline, for container/heap.
type scanHeap []*scanItem

func (h scanHeap) Len() int           { return len(h) }
func (h scanHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h scanHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i+1, j+1
}

func (h *scanHeap) Push(x any) {
	it := x.(*scanItem)
	*h = append(*h, it)
	it.pos = len(*h)
}

func (h *scanHeap) Pop() any {
	last := len(*h) - 1
	it := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	it.pos = 0
	return it
}
