package main

import (
	"sync"
	"time"
)

// A ledger is what is known of the messages of one topic: what was published, and
// on each channel that is accounted for what became of it. Its methods, and those of
// its channels, are safe for concurrent use; times are those of now.
type ledger struct {
	topic  string
	index  int // of the topic, for bodies
	bodies *bodies

	mu        sync.Mutex  // all that follows, channels included
	next      uint64      // number
	acked     bitSet      // answered OK
	doubtful  bitSet      // the connection broke before the answer
	refused   int64       // answered with an error: they are nowhere
	published []publishes // by incarnation of nsqd
	due       map[uint64]*deferral
	channels  []*account
}

// publishes are how many messages were published to one incarnation of nsqd.
type publishes struct{ acked, doubtful int64 }

// A deferral is of a message that was published deferred.
type deferral struct {
	due  int64
	left int // channels that it has not arrived on
}

func newLedger(topic string, index int, b *bodies, channels ...string) *ledger {
	l := &ledger{topic: topic, index: index, bodies: b, due: make(map[uint64]*deferral)}
	for _, name := range channels {
		l.channels = append(l.channels, &account{ledger: l, name: name, open: make(map[uint64]*delivery)})
	}
	return l
}

// take returns the first of count new numbers, for messages that will be published
// from now on.
func (l *ledger) take(count int) (first uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first = l.next
	l.next += uint64(count)
	return first
}

// deferred notes that a message will be published deferred until due, or later.
func (l *ledger) deferred(n uint64, due int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.due[n] = &deferral{due, len(l.channels)}
}

// An outcome is what is known of a publish.
type outcome int

const (
	acked    outcome = iota // it was answered OK
	refused                 // it was answered with an error
	doubtful                // it was not answered
)

// note notes the outcome of publishing count messages.
func (l *ledger) note(first uint64, count int, o outcome, incarnation int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.published) <= incarnation {
		l.published = append(l.published, publishes{})
	}
	p := &l.published[incarnation]
	switch o {
	case acked:
		p.acked += int64(count)
		for i := range count {
			l.acked.add(first + uint64(i))
		}
	case doubtful:
		p.doubtful += int64(count)
		for i := range count {
			l.doubtful.add(first + uint64(i))
		}
	case refused:
		l.refused += int64(count)
	}
}

// publishedTo returns what was published to an incarnation.
func (l *ledger) publishedTo(incarnation int) publishes {
	l.mu.Lock()
	defer l.mu.Unlock()
	if incarnation < len(l.published) {
		return l.published[incarnation]
	}
	return publishes{}
}

// totals returns what was published in all.
func (l *ledger) totals() (p publishes, refused int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, in := range l.published {
		p.acked += in.acked
		p.doubtful += in.doubtful
	}
	return p, l.refused
}

var began = time.Now()

// now is the clock of the ledgers: nanoseconds, never set back.
func now() int64 { return int64(time.Since(began)) }
