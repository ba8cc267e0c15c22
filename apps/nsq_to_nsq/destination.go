package main

import (
	"errors"
	"time"

	"github.com/seed893f581e/nsq/nsq"
)

const (
	// answerTimeout is how long a destination that has something to answer may say
	// nothing at all before it is taken to hang.
	answerTimeout = 5 * time.Second

	// aftermath is how long after an nsqd refused a message, and so ended the
	// connection, what was sent before and behind it may fail for that alone.
	aftermath = time.Second
)

// destination is an nsqd that messages are published to.
type destination struct {
	number   int // in the pool
	producer *nsq.Producer
	answers  chan *nsq.ProducerTransaction
	wake     chan struct{} // has room for one: there is something in queue

	// Guarded by the forwarder's mu:
	queue   []*attempt            // that are not sent yet
	open    map[*attempt]struct{} // that have not ended, those in queue as well
	heard   time.Time             // when one last ended, or when there began to be any
	refused time.Time             // when it last refused a message
	failing bool                  // the last one it did not refuse failed
}

// attempt is the publishing of a delivery to one destination.
type attempt struct {
	*delivery
	to        *destination
	began     time.Time
	abandoned bool // the delivery was given to another destination; guarded by the forwarder's mu
}

func newDestination(number int, producer *nsq.Producer) *destination {
	return &destination{
		number:   number,
		producer: producer,
		answers:  make(chan *nsq.ProducerTransaction, 256),
		wake:     make(chan struct{}, 1),
		open:     map[*attempt]struct{}{},
	}
}

// addLocked has a delivery published here.
func (to *destination) addLocked(d *delivery, now time.Time) {
	if len(to.open) == 0 {
		to.heard = now
	}
	a := &attempt{delivery: d, to: to, began: now}
	to.open[a] = struct{}{}
	to.queue = append(to.queue, a)
	select {
	case to.wake <- struct{}{}:
	default:
	}
}

// outcome is how an attempt ended.
type outcome int

const (
	taken     outcome = iota
	failed            // the destination is in trouble
	unwanted          // the destination is well, but does not want the message
	disturbed         // by another message, which was not wanted
)

// endLocked ends an attempt.
func (to *destination) endLocked(a *attempt, err error, now time.Time) outcome {
	delete(to.open, a)
	to.heard = now
	switch {
	case err == nil:
		to.failing = false
		return taken
	case refused(err):
		to.failing, to.refused = false, now
		return unwanted
	case errors.Is(err, nsq.ErrNotConnected) && now.Sub(to.refused) < aftermath:
		return disturbed
	}
	to.failing = true
	return failed
}

// hangsLocked reports whether the destination says nothing any more.
func (to *destination) hangsLocked(now time.Time) bool {
	return len(to.open) > 0 && now.Sub(to.heard) >= answerTimeout
}

func (to *destination) healthyLocked(now time.Time) bool {
	return !to.failing && !to.hangsLocked(now)
}

// limitLocked returns how many messages may be on their way to the destination,
// where share is what a healthy one may have.
func (to *destination) limitLocked(now time.Time, share int) int {
	switch {
	case to.healthyLocked(now):
		return share
	case to.hangsLocked(now):
		return 0
	}
	return 1 // to see whether it works again
}

// publish sends what is added to a destination.
func (f *forwarder) publish(to *destination) {
	for {
		select {
		case <-to.wake:
		case <-f.ctx.Done():
			return
		}
		queue := f.takeQueue(to)
		for i, a := range queue {
			if f.dropPointless(a) {
				continue
			}
			err := to.producer.PublishAsyncContext(f.ctx, a.topic, a.body, to.answers, a)
			if err == nil {
				continue
			}
			// There is no connection. The others would wait as long for the same.
			for _, a := range append(queue[i:], f.takeQueue(to)...) {
				f.answer(a, err)
			}
			break
		}
	}
}

func (f *forwarder) takeQueue(to *destination) []*attempt {
	f.mu.Lock()
	defer f.mu.Unlock()
	queue := to.queue
	to.queue = nil
	return queue
}

// dropPointless ends an attempt that was not made yet if nobody needs it any more,
// and reports whether it did.
func (f *forwarder) dropPointless(a *attempt) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !a.abandoned && a.message.Context().Err() == nil {
		return false
	}
	delete(a.to.open, a)
	if !a.abandoned && !a.done {
		a.doneLocked()
	}
	f.room.Broadcast()
	return true
}

// collect takes what a destination answers.
func (f *forwarder) collect(to *destination) {
	for {
		select {
		case t := <-to.answers:
			f.answer(t.Args[0].(*attempt), t.Error)
		case <-f.ctx.Done():
			return
		}
	}
}
