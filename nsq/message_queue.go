package nsq

import (
	"errors"
	"sync"
	"time"
)

// delivery is a message that waits for a handler.
type delivery struct {
	m       *Message
	c       *consumerConn
	expires time.Time // when nsqd delivers it to somebody else; zero if that is not known
	last    bool      // the next delivery is not given to a handler any more
}

// stale reports whether an answer to the message would come too late.
func (d *delivery) stale(now time.Time) bool {
	return d.c.lost.Load() || !d.expires.IsZero() && now.After(d.expires)
}

// messageQueue holds messages between the connections, which never wait for
// room, and the handlers. What nsqd has given up waiting for is dropped: it
// delivers such a message again. Only the last delivery that a handler is given
// is kept, however late; see Consumer.holdIfBehind for what keeps those from
// piling up. Its methods are safe for concurrent use.
type messageQueue struct {
	mu       sync.Mutex // all fields, queued of every consumerConn, lastQueued of every nsqd
	ready    sync.Cond
	last     ring[delivery] // handed out first
	waiting  ring[delivery] // the others
	counts   queueCounts
	reported uint64 // how many of the dropped ones dropped has told
	closed   bool

	// So that nobody looks at the clock for every message: while late is not set,
	// none of waiting has expired.
	late    bool
	alarm   *time.Timer // sets late
	alarmAt time.Time   // not after the time when any of waiting expires, unless late is set; zero if alarm is not running

	more       sync.Cond // for those who have a batch begun
	collecting int       // how many wait for that
	hurried    bool      // batches wait for nothing
	abandoned  bool      // nothing is to be handled any more
}

// queueCounts is what went through a messageQueue so far.
type queueCounts struct {
	received, bytes uint64 // messages, and their bodies
	dropped         uint64 // messages
}

// state returns the counts, and how many messages wait at present.
func (q *messageQueue) state() (c queueCounts, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.counts, q.last.n + q.waiting.n
}

func (q *messageQueue) init() { q.ready.L, q.more.L = &q.mu, &q.mu }

var errTooMany = errors.New("nsqd sends more messages than it was asked for")

// push appends messages that arrived on a connection, which are in flight from then
// on: who collects a batch finds a message that fills it in the queue. It fails when
// limit messages of the connection wait already; those before that are in the queue.
func (q *messageQueue) push(arrived []delivery, now time.Time, limit int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	arrived[0].c.inFlight.Add(int64(len(arrived)))
	for {
		first, ok := q.waiting.first()
		if !ok || !first.stale(now) {
			break
		}
		q.takeLocked(&q.waiting)
		q.dropLocked(first)
	}
	for _, d := range arrived {
		q.counts.received++
		q.counts.bytes += uint64(len(d.m.Body))
		if q.closed { // abandoned: the consumer has stopped
			q.dropLocked(d)
			continue
		}
		if d.c.queued >= limit {
			return errTooMany
		}
		d.c.queued++
		if d.last {
			d.c.nsqd.lastQueued++
			q.last.push(d)
		} else {
			q.waiting.push(d)
			q.setAlarmLocked(d.expires, now)
		}
		q.announceLocked(d.c)
	}
	return nil
}

// setAlarmLocked has late set at the given time, or before it.
func (q *messageQueue) setAlarmLocked(expires, now time.Time) {
	switch {
	case expires.IsZero(), !q.alarmAt.IsZero() && !expires.Before(q.alarmAt):
		return
	case q.alarm == nil:
		q.alarm = time.AfterFunc(expires.Sub(now), q.soundAlarm)
	default:
		q.alarm.Reset(expires.Sub(now))
	}
	q.alarmAt = expires
}

// soundAlarm is called at alarmAt.
func (q *messageQueue) soundAlarm() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.late, q.alarmAt = q.waiting.n > 0, time.Time{}
}

// pop waits for a message and removes it. It returns false once the queue is
// closed and empty.
func (q *messageQueue) pop() (delivery, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.popLocked()
}

func (q *messageQueue) popLocked() (delivery, bool) {
	for {
		var now time.Time // before anything expires
		if q.late {
			now = time.Now()
		}
		if d, ok := q.nextLocked(now); ok || q.closed {
			return d, ok
		}
		q.ready.Wait()
	}
}

// nextLocked removes the next message that is worth handling, if there is one.
func (q *messageQueue) nextLocked(now time.Time) (delivery, bool) {
	if d, ok := q.takeLocked(&q.last); ok {
		return d, true
	}
	for {
		d, ok := q.takeLocked(&q.waiting)
		q.late = q.late && ok
		if !ok || !d.stale(now) {
			return d, ok
		}
		q.dropLocked(d)
	}
}

func (q *messageQueue) takeLocked(from *ring[delivery]) (delivery, bool) {
	d, ok := from.pop()
	if ok {
		d.c.queued--
	}
	if d.last {
		d.c.nsqd.lastQueued--
	}
	return d, ok
}

// dropLocked takes a message out of flight that nsqd does not expect an answer
// to.
func (q *messageQueue) dropLocked(d delivery) {
	q.counts.dropped++
	d.c.inFlight.Add(-1)
	d.c.answered()
}

// lastOf returns how many messages of n wait on the last delivery that a
// handler is given.
func (q *messageQueue) lastOf(n *nsqd) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return n.lastQueued
}

// dropped returns how many messages were dropped since it was last called.
func (q *messageQueue) dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.counts.dropped - q.reported
	q.reported = q.counts.dropped
	return n
}

// close makes pop return false when nothing is left.
func (q *messageQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.ready.Broadcast()
}

// abandon makes pop return false at once: what still waits is dropped.
func (q *messageQueue) abandon() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.abandoned = true, true
	for _, from := range []*ring[delivery]{&q.last, &q.waiting} {
		for d, ok := q.takeLocked(from); ok; d, ok = q.takeLocked(from) {
			q.dropLocked(d)
		}
	}
	q.ready.Broadcast()
}

// announceLocked tells who waits that there is a message of c: first of all those
// who have a batch begun.
func (q *messageQueue) announceLocked(c *consumerConn) {
	switch {
	case q.collecting == 0:
		q.ready.Signal()
	case c.full(): // other batches may have messages of c, too
		q.more.Broadcast()
	default:
		q.more.Signal()
	}
}

// stopCollecting makes those who collect a batch look again whether to wait.
func (q *messageQueue) stopCollecting() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.more.Broadcast()
}

// hurry makes batches wait for nothing from now on.
func (q *messageQueue) hurry() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.hurried = true
	q.more.Broadcast()
}
