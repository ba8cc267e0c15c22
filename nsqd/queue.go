package nsqd

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/diskq"
)

// errExiting is what a put gets from a queue that is closed: its topic or
// channel is being deleted, or the daemon stops.
var errExiting = errors.New("exiting")

// A queue is what a topic or a channel holds: a memory chan and, behind it, a
// disk queue. While anything lies on disk, new messages go there too, so that
// the order is kept and nothing on disk waits behind newer messages.
//
// Whoever receives from ready takes; take passes the token on while there is
// more, so one put wakes as many waiting takers as there is work.
type queue struct {
	ready chan struct{} // a token while there may be something to take
	near  *nearestFirst // if not nil, the token is there instead
	disk  *diskq.Queue  // nil for ephemeral topics and channels: what does not fit is dropped
	log   *channelLog   // of a kept channel of a durable topic, which has no disk queue; nil for others
	newID func() guid   // for records whose id is not one of ours
	env   *env
	name  string // of the files

	retry scanItem // where what is on disk, or in the log, cannot be read

	requeuing atomic.Int64 // messages that requeue is about to add

	mu     sync.Mutex // what follows; never held over the disk
	mem    memoryChan
	paused bool
	closed bool
}

// ephemeralCapacity is how many messages a queue without a disk holds where
// memory is to hold none.
const ephemeralCapacity = 10000

// newQueue returns a queue that keeps its overflow in files of the given name,
// or, if ephemeral, keeps none. It opens nothing yet.
func newQueue(e *env, name string, ephemeral bool, newID func() guid) *queue {
	q := newQueueWithoutDisk(e, name, newID)
	if ephemeral {
		if q.mem.capacity == 0 { // which means disk only, and it has none
			q.mem.capacity = ephemeralCapacity
		}
	} else {
		q.disk = e.disk.Queue(name)
	}
	return q
}

// newKeptQueue returns a queue of what a channel's log has.
func newKeptQueue(e *env, name string, l *channelLog, newID func() guid) *queue {
	q := newQueueWithoutDisk(e, name, newID)
	q.log = l
	return q
}

func newQueueWithoutDisk(e *env, name string, newID func() guid) *queue {
	q := &queue{
		ready: make(chan struct{}, 1),
		newID: newID,
		env:   e,
		name:  name,
		mem:   memoryChan{capacity: int(e.opts.MemQueueSize)},
	}
	q.retry.fire = func(int64) (next int64) {
		q.signal() // the next take sees, and has us fire again if need be
		return 0
	}
	return q
}

// open opens what an earlier run left on disk, if anything.
func (q *queue) open() error {
	there, err := q.env.disk.Has(q.name)
	if err != nil || !there {
		return err
	}
	if err := q.disk.Open(); err != nil {
		return err
	}
	q.signal()
	return nil
}

// signal lets one waiting taker have a look.
func (q *queue) signal() {
	if q.near != nil {
		q.near.signal()
		return
	}
	giveToken(q.ready)
}

// put adds the messages of s at the end: into memory, or onto disk where
// memory is full. All of them are in the queue or, with an error, none: a
// batch of which one message is stored already is completed in memory if the
// disk fails half-way.
func (q *queue) put(s span) error {
	u := unstored{first: s}
	return q.store(&u)
}

// putAll puts spans, one or more, in their order, each as put does. It returns how
// many are in the queue: all of them or, with an error, those before the first
// that is not.
func (q *queue) putAll(spans []span) (put int, err error) {
	u := unstored{first: spans[0], more: spans[1:]}
	err = q.store(&u)
	return len(spans) - u.spans(), err
}

// store puts u, and leaves in it what could not be put.
func (q *queue) store(u *unstored) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return errExiting
	}
	stored := false
	if q.disk == nil || q.disk.Depth() == 0 {
		for room := q.mem.room(); room > 0 && u.spans() > 0; stored = true {
			head := u.cut(room)
			q.mem.push(head)
			room -= int(head.count)
		}
	}
	q.mu.Unlock()
	if stored {
		q.signal()
	}
	if q.disk == nil {
		*u = unstored{}
	}
	if u.spans() == 0 {
		return nil
	}
	return q.spill(u)
}

// putMemory adds s to memory whatever its bound: for what must not go to disk,
// because its deferral would be lost there, or because the disk has failed.
func (q *queue) putMemory(s span) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errExiting
	}
	q.mem.push(s)
	q.signal()
	return nil
}

// maxLent is how many messages lend keeps in memory.
const maxLent = 32

// lend takes s, which put has refused as the disk fails, into memory whatever
// its bound, if there is next to nothing else in the queue. So consumers are
// served, and make room on a full disk, even where no memory is allowed.
func (q *queue) lend(s span) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.mem.messages+int(s.count) > maxLent || q.disk.Depth() > 0 {
		return false
	}
	q.mem.push(s)
	q.signal()
	return true
}

// requeue adds messages that were taken before, each a span of one, at the
// end. A disk that fails keeps them in memory. It fails only when closed.
func (q *queue) requeue(s span) error {
	q.requeuing.Add(int64(s.count))
	defer q.requeuing.Add(-int64(s.count))
	if q.log != nil {
		return q.requeueKept(s)
	}
	err := q.put(s)
	if err == nil || errors.Is(err, errExiting) {
		return err
	}
	q.env.log.Debug("DISKQUEUE: a requeued message is kept in memory", "queue", q.name, "error", err)
	return q.putMemory(s)
}

// putBack returns spans of the last take, in their order, to the front.
func (q *queue) putBack(spans []span) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := len(spans) - 1; i >= 0; i-- {
		q.mem.pushFront(spans[i])
	}
	q.signal()
}

// take appends the next messages to dst, at most n of them and about maxBytes.
// It appends nothing while the queue is paused or closed. It does not wait for
// messages; it may wait the moment that reading them from disk takes. inMemory
// is how many of them came from memory.
func (q *queue) take(dst []span, n, maxBytes int) (spans []span, inMemory int) {
	if q.log != nil {
		return q.takeKept(dst, n, maxBytes)
	}
	q.mu.Lock()
	if q.paused || q.closed {
		q.mu.Unlock()
		return dst, 0
	}
	dst, got := q.mem.pop(dst, n, maxBytes)
	more := q.mem.spans > 0
	q.mu.Unlock()
	if got == 0 && q.disk != nil && q.disk.Depth() > 0 {
		var err error
		if dst, err = q.read(dst, n, maxBytes); err != nil && !errors.Is(err, diskq.ErrClosed) {
			q.env.scan.schedule(&q.retry, q.env.now()+int64(diskRetry))
			return dst, 0
		}
	}
	if more || q.disk != nil && q.disk.Depth() > 0 {
		q.signal()
	}
	return dst, got
}

// diskRetry is how soon a disk queue that cannot be read is tried again.
const diskRetry = time.Second

// pause keeps take from returning messages until unpause.
func (q *queue) pause() {
	q.mu.Lock()
	q.paused = true
	q.mu.Unlock()
}

func (q *queue) unpause() {
	q.mu.Lock()
	q.paused = false
	q.mu.Unlock()
	q.signal()
}

func (q *queue) isPaused() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.paused
}

// depth returns the messages in the queue, and those of them that are on disk; of
// those in a log, those that were not read.
func (q *queue) depth() (total, disk int64) {
	if q.log != nil {
		return q.depthKept()
	}
	if q.disk != nil {
		disk = q.disk.Depth()
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	return int64(q.mem.messages) + disk, disk
}

// empty drops every message.
func (q *queue) empty() error {
	q.mu.Lock()
	q.mem.clear()
	q.mu.Unlock()
	if q.disk == nil {
		return nil
	}
	return q.disk.Empty()
}

// close refuses further puts and takes and returns what memory held.
func (q *queue) close() []span {
	q.env.scan.forget(&q.retry)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	return q.mem.clear()
}

// flush closes the queue and writes what memory held, and the given spans, to
// disk, which it closes. It returns how many messages could not be written.
func (q *queue) flush(spans ...span) (lost int, err error) {
	spans = append(q.close(), spans...)
	if q.disk == nil {
		return 0, nil
	}
	var errs []error
	var records diskq.Batch
	var u unstored
	if len(spans) > 0 {
		u = unstored{first: spans[0], more: spans[1:]}
	}
	for single := false; u.spans() > 0; {
		next := u
		err := q.write(&records, &next, single)
		if err != nil && !single && u.spans() > 1 {
			single = true // some may have a place
			continue
		}
		if err != nil {
			lost += records.Records()
			errs = append(errs[:min(len(errs), 1)], err)
		}
		u = next
		q.env.flushed.Add(1)
	}
	errs = append(errs, q.disk.Close())
	q.env.flushed.Add(1)
	return lost, errors.Join(errs...)
}

// delete closes the queue and drops every message, those on disk too.
func (q *queue) delete() error {
	q.close()
	if q.disk == nil {
		return nil
	}
	return q.disk.Delete()
}
