package nsqd

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/store"
)

// A channelLog is what stands behind the memory of a channel's queue where the
// channel is kept in a log: the queue's memory then has only what comes again, which
// is requeued, timed out, or due; what is new is read from the log, somewhat ahead.
// The log counts what it gave out as unfinished until it is told, so nothing in
// memory is lost by a crash.
//
// It is safe for concurrent use.
type channelLog struct {
	gate
	log   *store.Channel
	began uint64    // what the topic had handed over before the channel was there
	due   *scanItem // fires to take what is due

	reading sync.Mutex // one takes new messages from the log at a time, over the disk
	rests   int64      // after a read of them that failed, none before this time; guarded by reading

	dueRests atomic.Int64  // the same for what is due
	emptied  atomic.Uint64 // 0 before the first Empty; then one more than the end of the last one

	// These belong to queue.mu.
	ahead   memoryChan // read and not yet given to anybody
	filled  int        // messages that ahead had when some were read last
	unread  int64      // while some are read, what the log had before; else -1
	again   bool       // the next take begins with what comes again
	given   uint64     // above all numbers that were given out
	waiting bool       // more is due, when there is less than enough in memory
	enough  int        // messages
}

// newChannelLog returns what stands behind a channel for which the topic had handed
// so many messages over before.
func newChannelLog(log *store.Channel, began uint64) *channelLog {
	return &channelLog{log: log, began: began, unread: -1}
}

const (
	// aheadBytes is about how much is read from a log at a time, before anybody
	// has asked for it.
	aheadBytes = 128 << 10

	// maxAgain is how many messages that come again may wait while new ones
	// are read: with more they go first.
	maxAgain = 10000

	// maxDue and dueBytes are how much of what is due is taken into memory at a time.
	maxDue   = 1024
	dueBytes = 1 << 20
)

// messageLists are empty ones, for use again.
var messageLists = sync.Pool{New: func() any { return new([]store.Message) }}

// takeKept is take for a queue with a log. It takes turns between new messages and
// those that come again, so that neither keep the others back.
func (q *queue) takeKept(dst []span, n, maxBytes int) (spans []span, inMemory int) {
	l := q.log
	q.mu.Lock()
	if q.paused || q.closed {
		q.mu.Unlock()
		return dst, 0
	}
	got, retried := 0, 0
	if l.again = !l.again || q.mem.messages > maxAgain; l.again {
		dst, retried = q.mem.pop(dst, n, maxBytes)
	}
	if got = retried; got == 0 {
		dst, got = l.ahead.pop(dst, n, maxBytes)
	}
	if got == 0 {
		q.mu.Unlock()
		q.readAhead()
		q.mu.Lock()
		dst, got = l.ahead.pop(dst, n, maxBytes)
	}
	if got == 0 {
		dst, retried = q.mem.pop(dst, n, maxBytes)
		got = retried
	}
	more, low := q.mem.spans > 0 || l.ahead.spans > 0, l.isLow()
	refill := l.waiting && q.mem.messages <= l.enough
	l.waiting = l.waiting && !refill
	q.mu.Unlock()
	if refill {
		q.env.scan.schedule(l.due, q.env.now())
	}
	if retried > 0 {
		l.retried()
	}
	if got > 0 && q.readOn(low) || more {
		q.signal()
	}
	return dst, got
}

// readAhead reads new messages, unless there are enough.
func (q *queue) readAhead() {
	l := q.log
	l.reading.Lock()
	defer l.reading.Unlock()
	if l.enter() {
		defer l.leave()
		q.readNext()
	}
}

// readOn reports whether there may be more in the log. If little of it is in memory it
// reads some, so that no other consumer has to wait for the disk. It waits for nobody who reads
// or is alone inside, as the caller has messages: they must be in flight when a channel
// that is emptied drops what is.
func (q *queue) readOn(low bool) (more bool) {
	l := q.log
	if !l.tryEnter() {
		return true
	}
	defer l.leave()
	if l.log.Depth() == 0 {
		return false
	}
	if low && l.reading.TryLock() {
		defer l.reading.Unlock()
		q.readNext()
	}
	return true
}

// readNext is readAhead for who has reading, and is inside.
func (q *queue) readNext() {
	l := q.log
	unread := l.log.Depth()
	resting := l.rests > 0 && q.env.now() < l.rests
	q.mu.Lock()
	needed := unread > 0 && l.isLow() && !resting
	if needed {
		l.unread = unread
	}
	q.mu.Unlock()
	if !needed {
		return
	}
	list := messageLists.Get().(*[]store.Message)
	messages, err := l.log.Next((*list)[:0], maxBatch, aheadBytes)
	q.mu.Lock()
	if !q.closed {
		l.addAhead(messages)
	}
	l.unread = -1
	q.mu.Unlock()
	clear(messages) // let go of the batches
	*list = messages[:0]
	messageLists.Put(list)
	if err != nil {
		q.env.log.Error("CHANNEL: messages cannot be read, will try again", "queue", q.name, "error", err)
		l.rests = q.env.now() + int64(diskRetry)
		q.env.scan.schedule(&q.retry, l.rests)
	}
}

// addAhead belongs to queue.mu.
func (l *channelLog) addAhead(messages []store.Message) {
	for i := range messages {
		l.note(&messages[i])
		l.ahead.push(spanOfMessage(&messages[i]))
	}
	l.filled = l.ahead.messages
}

// isLow reports whether half of what was read is gone. It belongs to queue.mu.
func (l *channelLog) isLow() bool { return l.ahead.messages <= l.filled/2 }

// note belongs to queue.mu. It notes that a message was given out.
func (l *channelLog) note(m *store.Message) {
	if end := m.Seq() + uint64(m.Count); end < adoptedSeqs {
		l.given = max(l.given, end)
	}
}

// takeDue moves what is due from the log to the end of the queue, as far as memory
// is for it. now is Unix time, and so is next: when to come again, or 0. Where
// there is no room, takeKept has it called again.
func (q *queue) takeDue(now int64) (next int64, err error) {
	l := q.log
	if !l.enter() {
		return 0, nil
	}
	defer l.leave()
	list := messageLists.Get().(*[]store.Message)
	defer messageLists.Put(list)
	for bytes := 0; ; {
		room := q.roomForDue(bytes)
		if room == 0 {
			return 0, nil
		}
		var messages []store.Message
		messages, next, err = l.log.Due((*list)[:0], now, room)
		q.mu.Lock()
		for i := range messages {
			l.note(&messages[i])
			s := spanOfMessage(&messages[i])
			bytes += len(s.body())
			q.mem.push(s)
		}
		q.mu.Unlock()
		got := len(messages)
		clear(messages)
		*list = messages[:0]
		if got > 0 {
			q.signal()
		}
		if err != nil || got == 0 || next == 0 || next > now {
			return next, err
		}
	}
}

// roomForDue returns how many messages that are due to take at a time, when so many
// bytes of them were taken already. If it is 0, takeDue is called when half of what
// is in memory is gone.
func (q *queue) roomForDue(bytes int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return 0
	}
	room := min(64, maxDue-q.mem.messages)
	if bytes >= dueBytes || room <= 0 {
		q.log.waiting, q.log.enough = true, q.mem.messages/2
		q.signal() // it may be so few already that nobody would look again
		return 0
	}
	return room
}

// depthKept is depth for a queue with a log.
func (q *queue) depthKept() (total, disk int64) {
	l := q.log
	if l.enter() { // before the lock, as who is inside may wait for it
		defer l.leave()
		q.mu.Lock()
		defer q.mu.Unlock()
		if disk = l.unread; disk < 0 {
			disk = l.log.Depth()
		}
	} else {
		q.mu.Lock()
		defer q.mu.Unlock()
	}
	return int64(q.mem.messages+l.ahead.messages) + disk, disk
}

// depth returns the messages in the log that were not given out, 0 once it is closed.
func (l *channelLog) depth() int64 {
	if !l.enter() {
		return 0
	}
	defer l.leave()
	return l.log.Depth()
}

// deferred returns how many messages the log defers, and how many of them are due at
// a Unix time or before.
func (l *channelLog) deferred(until int64) (all, due int64) {
	if !l.enter() {
		return 0, 0
	}
	defer l.leave()
	return l.log.Deferred(until)
}

// retried tells the log that some messages are delivered again. Who is alone inside
// finishes them.
func (l *channelLog) retried() {
	if l.tryEnter() {
		l.log.Retried()
		l.leave()
	}
}

// finish tells the log of messages that are done. One that is closed needs to know
// no more.
func (l *channelLog) finish(runs []store.Run) {
	if len(runs) > 0 && l.enter() {
		l.log.Finish(runs)
		l.leave()
	}
}

// deferUntil gives a message back to the log until due, in Unix time.
func (l *channelLog) deferUntil(s *span, due int64) error {
	if !l.enter() {
		return errExiting
	}
	defer l.leave()
	return l.log.Defer(s.message(), due)
}

// emptyKept finishes everything in the log, and drops what the queue has of it. Nobody
// is on the way from the one to the other meanwhile. Who holds messages that were given
// out before end must drop them, too, also with store.ErrNotNoted.
func (q *queue) emptyKept() (end uint64, err error) {
	l := q.log
	if !l.enterAlone() {
		return 0, errExiting
	}
	defer l.leaveAlone()
	if err = l.log.Empty(); err != nil && !errors.Is(err, store.ErrNotNoted) {
		return 0, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	end = l.given
	l.emptied.Store(end + 1)
	l.ahead.dropBefore(end)
	q.mem.dropBefore(end)
	return end, err
}

// requeueKept is requeue for a queue with a log, which has s, too. Where the log was emptied while s
// was in nobody's hands but the caller's, s is finished.
func (q *queue) requeueKept(s span) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errExiting
	}
	if emptied := q.log.emptied.Load(); emptied > 0 && s.isBefore(emptied-1) {
		return nil
	}
	q.mem.push(s)
	q.signal()
	return nil
}

// emptyings tells whether the log was emptied between two calls: then they differ.
func (l *channelLog) emptyings() uint64 {
	if l == nil {
		return 0
	}
	return l.emptied.Load()
}

// dropBefore drops what was given out before a number.
func (m *memoryChan) dropBefore(end uint64) {
	for _, s := range m.clear() {
		if !s.isBefore(end) {
			m.push(s)
		}
	}
}

// An attempted is a run of messages with attempts.
type attempted struct {
	seq      uint64
	count    int
	attempts uint16
}

// appendAttempted appends those messages in memory that had attempts.
func (q *queue) appendAttempted(list []attempted) []attempted {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range []*memoryChan{&q.mem, &q.log.ahead} {
		for i := range m.spans {
			s := &m.ring[(m.head+i)&(len(m.ring)-1)]
			list = s.appendAttempted(list)
		}
	}
	return list
}

// appendAttempted appends s if it has attempts.
func (s *span) appendAttempted(list []attempted) []attempted {
	if s.attempts == 0 {
		return list
	}
	return append(list, attempted{s.seq(), int(s.count), s.attempts})
}

// everything is a time after all others.
const everything = math.MaxInt64

// unixOf returns a time of the daemon's clock as Unix time; ofUnix is its inverse.
func (e *env) unixOf(now int64) int64 { return now + min(e.wallClock(), everything-now) }
func (e *env) ofUnix(t int64) int64   { return max(1, t-e.wallClock()) }

// wallClock returns what turns the daemon's clock into Unix time.
func (e *env) wallClock() int64 { return time.Now().UnixNano() - e.now() }
