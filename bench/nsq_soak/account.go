package main

import (
	"fmt"
	"time"
)

const (
	// earlySlack is how much too early a deferred message may come: over a restart
	// its time is kept by a clock that may be adjusted.
	earlySlack = int64(5 * time.Millisecond)

	// timeoutSlack is how much earlier than we can tell nsqd may have begun to count
	// a time-out: what it had taken, it writes when the machine lets it.
	timeoutSlack = int64(500 * time.Millisecond)
)

// An account is what is known of the messages on one channel. The lock is that of
// its ledger.
type account struct {
	ledger *ledger
	name   string

	received   bitSet
	finished   bitSet
	open       map[uint64]*delivery // the last delivery of what is received and not finished
	deliveries int64
	distinct   int64
	ended      int64 // connections
	again      [causes]int64
	counts     []counts // by incarnation of nsqd
	faults     [faults]int64
	examples   []string // of faults, not all
}

// A cause is why a message was delivered again.
type cause int

const (
	requeue cause = iota
	timeOut
	lostConnection
	causes
)

// counts are what nsqd must have counted. Where a connection ended before we knew,
// it may be up to so many more.
type counts struct {
	finishes                int64
	requeues, maybeRequeues int64
	timeouts, maybeTimeouts int64
}

// A fault is what must never be.
type fault int

const (
	missing     fault = iota // acknowledged, and never finished
	neverSent                // not published, and received
	altered                  // not as it was published
	again                    // delivered again for no reason
	early                    // delivered before it was due
	attempt                  // the number of attempts is not plausible
	half                     // an unanswered publish arrived on some channels only
	unexplained              // nsqd answered with an error that has no reason
	faults
)

var faultNames = [faults]string{"missing", "never sent", "altered", "again, no reason", "early", "attempts", "half there", "odd errors"}

// A state is what became of a delivery.
type state int

const (
	held      state = iota // nothing was answered
	finishing              // FIN was sent
	requeuing              // REQ was sent
	requeued               // REQ was obeyed
	timedOut
	lost       // the connection ended while it was held, or requeuing
	unsettled  // the connection ended while it was finishing
	isFinished // FIN was obeyed
)

// A delivery is one message that was received once.
type delivery struct {
	n           uint64
	attempts    uint16
	incarnation int
	timeout     int64 // of the connection
	sentAfter   int64 // it was not sent before
	state       state
	due         int64 // requeuing, requeued: not to come before
	next        int64 // when it came again, 0 if it has not
}

// mayTimeOut reports whether the delivery can have timed out at a time.
func (d *delivery) mayTimeOut(at int64) bool { return at >= d.sentAfter+d.timeout-timeoutSlack }

// A holder is the connection that messages are delivered to.
type holder struct {
	incarnation int
	timeout     time.Duration
}

// receive notes that a message was received. sentAfter is a time before which nsqd
// cannot have sent it. It returns nil if the message is none of ours.
func (a *account) receive(h holder, body []byte, attempts uint16, sentAfter, at int64) *delivery {
	n, intact := a.ledger.bodies.check(a.ledger.index, body)
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	a.deliveries++
	if !intact {
		a.fault(altered, "%d bytes: %.80q", len(body), body)
		return nil
	}
	if n >= a.ledger.next {
		a.fault(neverSent, "number %d, when %d were published", n, a.ledger.next)
		return nil
	}
	d := &delivery{n: n, attempts: attempts, incarnation: h.incarnation, timeout: int64(h.timeout), sentAfter: sentAfter}
	old := a.open[n]
	switch {
	case !a.received.has(n):
		a.first(d, at)
	case old == nil:
		a.fault(again, "number %d was finished before, attempts %d", n, attempts)
		return d
	default:
		a.checkAttempts(d, int(old.attempts))
		a.followed(old, at)
	}
	a.open[n] = d
	return d
}

// first notes that a message was received for the first time.
func (a *account) first(d *delivery, at int64) {
	a.received.add(d.n)
	a.distinct++
	a.checkAttempts(d, 0)
	w, ok := a.ledger.due[d.n]
	if !ok {
		return
	}
	if at < w.due-earlySlack {
		a.fault(early, "number %d came %v before it was due", d.n, time.Duration(w.due-at))
	}
	if w.left--; w.left == 0 {
		delete(a.ledger.due, d.n)
	}
}

// checkAttempts compares attempts with those of the delivery before. Between the two
// there may have been others that were lost with connections.
func (a *account) checkAttempts(d *delivery, before int) {
	switch unseen := int64(int(d.attempts) - before - 1); {
	case unseen < 0 || unseen > a.ended:
		a.fault(attempt, "number %d was delivered with attempts %d after %d, when %d connections had ended", d.n, d.attempts, before, a.ended)
	default:
		a.of(d).maybeTimeouts += unseen
	}
}

// followed notes that a message came again after the delivery d.
func (a *account) followed(d *delivery, at int64) {
	d.next = at
	switch d.state {
	case held:
		if !d.mayTimeOut(at) {
			a.fault(again, "number %d is held by a connection, and not timed out", d.n)
			return
		}
		a.timedOut(d)
	case requeued:
		a.cameBack(d)
	case timedOut:
		a.again[timeOut]++
	case lost, unsettled:
		a.again[lostConnection]++
	case finishing, requeuing, isFinished:
		// It is told when we know what became of the answer. What is finished is not
		// open any more.
	}
}

// timedOut notes that nsqd has taken a delivery back, its time being over.
func (a *account) timedOut(d *delivery) {
	d.state = timedOut
	a.of(d).timeouts++
	if d.next != 0 {
		a.again[timeOut]++
	}
}

// cameBack notes that a message which was requeued came again.
func (a *account) cameBack(d *delivery) {
	a.again[requeue]++
	if d.next < d.due-earlySlack {
		a.fault(early, "number %d, requeued, came %v before it was due", d.n, time.Duration(d.due-d.next))
	}
}

// sameConnection is called after receive has noted a message that came again on the
// connection which has the delivery d. It returns the state of that, and whether it
// can have timed out. FIN of the one cannot be told from FIN of the other there: if d
// can have timed out, it has.
func (a *account) sameConnection(d *delivery) (s state, mayHaveTimedOut bool) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	mayHaveTimedOut = d.mayTimeOut(d.next)
	if d.state == finishing && mayHaveTimedOut {
		a.timedOut(d)
	}
	return d.state, mayHaveTimedOut
}

// swap notes that a REQ for the delivery d came when that had timed out and the message
// was in flight again on the same connection: nsqd has obeyed it for that delivery,
// next, and refused the FIN for next.
func (a *account) swap(d, next *delivery) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	a.timedOut(d)
	next.state, next.due = requeuing, d.due
}

// finish notes that FIN will be sent.
func (a *account) finish(d *delivery) { a.answer(d, finishing, 0) }

// requeue notes that REQ will be sent; the message must not come before due.
func (a *account) requeue(d *delivery, due int64) { a.answer(d, requeuing, due) }

func (a *account) answer(d *delivery, s state, due int64) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	if d.state == held {
		d.state, d.due = s, due
	}
}

// confirm notes that nsqd has obeyed the answers to deliveries, all of them on one
// connection: it has answered to what was sent after them.
func (a *account) confirm(all []*delivery) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	for _, d := range all {
		switch d.state {
		case finishing:
			a.settle(d)
			if d.next != 0 {
				a.fault(again, "number %d came again although FIN was obeyed", d.n)
			}
		case requeuing:
			d.state = requeued
			a.of(d).requeues++
			if d.next != 0 {
				a.cameBack(d)
			}
		case held, requeued, timedOut, lost, unsettled, isFinished: // it is known already
		}
	}
}

// settle notes that the message is finished.
func (a *account) settle(d *delivery) {
	d.state = isFinished
	a.of(d).finishes++
	a.finished.add(d.n)
	if a.open[d.n] == d {
		delete(a.open, d.n)
	}
}

// fail notes that nsqd has refused an answer: the message is not in flight.
func (a *account) fail(d *delivery, at int64, reason string) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	switch d.state {
	case held, finishing, requeuing:
		if d.next != 0 {
			at = d.next
		}
		if !d.mayTimeOut(at) {
			a.fault(unexplained, "number %d: %s", d.n, reason)
		}
		a.timedOut(d)
	case requeued, lost, unsettled, isFinished:
		a.fault(unexplained, "number %d: %s", d.n, reason)
	case timedOut: // and nsqd says so
	}
}

// odd notes an error that is not about a message we hold, or the end of a
// connection that nobody asked for.
func (a *account) odd(reason string) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	a.fault(unexplained, "%s", reason)
}

// end notes that a connection has ended, or will be ended by us, with deliveries that
// are not settled.
func (a *account) end(all []*delivery, at int64) {
	a.ledger.mu.Lock()
	defer a.ledger.mu.Unlock()
	a.ended++
	for _, d := range all {
		a.endOne(d, at)
	}
}

func (a *account) endOne(d *delivery, at int64) {
	switch d.state {
	case held, finishing, requeuing:
	case requeued, timedOut, lost, unsettled, isFinished:
		return
	}
	if d.next != 0 && d.state != held {
		a.endFollowed(d)
		return
	}
	if d.mayTimeOut(at) {
		a.of(d).maybeTimeouts++
	}
	switch d.state {
	case finishing:
		d.state = unsettled
		return
	case requeuing:
		a.of(d).maybeRequeues++
	}
	d.state = lost
}

// endFollowed is for a message that had come again when its connection still was
// there, so that the loss cannot be why.
func (a *account) endFollowed(d *delivery) {
	switch {
	case d.state == requeuing && d.next >= d.due-earlySlack:
		a.again[requeue]++
		a.of(d).maybeRequeues++
		a.of(d).maybeTimeouts++
		d.state = lost
	case d.mayTimeOut(d.next):
		a.timedOut(d)
	default:
		a.fault(again, "number %d came again before its connection ended", d.n)
		d.state = lost
	}
}

func (a *account) of(d *delivery) *counts { return a.countsOf(d.incarnation) }

func (a *account) countsOf(incarnation int) *counts {
	for len(a.counts) <= incarnation {
		a.counts = append(a.counts, counts{})
	}
	return &a.counts[incarnation]
}

// maxExamples is how many faults of a channel are told in full.
const maxExamples = 20

func (a *account) fault(f fault, format string, args ...any) {
	a.faults[f]++
	if len(a.examples) < maxExamples {
		a.examples = append(a.examples, fmt.Sprintf("%v %s/%s: %s: %s", time.Duration(now()).Round(time.Millisecond), a.ledger.topic, a.name, faultNames[f], fmt.Sprintf(format, args...)))
	}
}

// close is called when nsqd holds nothing any more and no connection is left: what
// is not finished by now never will be.
func (l *ledger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range l.channels {
		for _, d := range a.open {
			if d.state == unsettled { // or nsqd would hold it
				a.settle(d)
			}
		}
	}
	for _, a := range l.channels {
		a.closeLocked()
	}
}

func (a *account) closeLocked() {
	l := a.ledger
	a.faults[missing] = 0
	each(l.next, func(i int) uint64 { return l.acked.word(i) &^ a.finished.word(i) }, func(n uint64) {
		a.fault(missing, "number %d, received: %t", n, a.received.has(n))
	})
	each(l.next, func(i int) uint64 { return a.received.word(i) &^ l.acked.word(i) &^ l.doubtful.word(i) }, func(n uint64) {
		a.fault(neverSent, "number %d was refused", n)
	})
	each(l.next, func(i int) uint64 { return l.doubtful.word(i) & (l.anywhere(i) &^ a.finished.word(i)) }, func(n uint64) {
		a.fault(half, "number %d, received: %t", n, a.received.has(n))
	})
}

// anywhere returns a word of the numbers that any channel has received.
func (l *ledger) anywhere(i int) (word uint64) {
	for _, a := range l.channels {
		word |= a.received.word(i)
	}
	return word
}
