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
}

// stale reports whether an answer to the message would come too late.
func (d *delivery) stale(now time.Time) bool {
	return d.c.lost.Load() || !d.expires.IsZero() && now.After(d.expires)
}

// messageQueue holds messages between the connections, which never wait for
// room, and the handlers. What nsqd has given up waiting for is dropped: it
// delivers such a message again, so that even handlers that hang do not make
// the queue grow. Its methods are safe for concurrent use.
type messageQueue struct {
	mu      sync.Mutex // all fields, and queued of every consumerConn
	ready   sync.Cond
	waiting ring[delivery]
	closed  bool
}

func (q *messageQueue) init() { q.ready.L = &q.mu }

var errTooMany = errors.New("nsqd sends more messages than it was asked for")

// push appends a message. It fails if limit messages of the connection wait
// already.
func (q *messageQueue) push(d delivery, now time.Time, limit int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		first, ok := q.waiting.first()
		if !ok || !first.stale(now) {
			break
		}
		q.shift().drop()
	}
	if d.c.queued >= limit {
		return errTooMany
	}
	d.c.queued++
	q.waiting.push(d)
	q.ready.Signal()
	return nil
}

// pop waits for a message and removes it. It returns false once the queue is
// closed and empty.
func (q *messageQueue) pop() (delivery, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		for q.waiting.n == 0 && !q.closed {
			q.ready.Wait()
		}
		if q.waiting.n == 0 {
			return delivery{}, false
		}
		d := q.shift()
		if !d.stale(time.Now()) {
			return d, true
		}
		d.drop()
	}
}

func (q *messageQueue) shift() delivery {
	d, _ := q.waiting.pop()
	d.c.queued--
	return d
}

// close makes pop return false when nothing is left.
func (q *messageQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.ready.Broadcast()
}
