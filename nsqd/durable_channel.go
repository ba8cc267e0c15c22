package nsqd

import (
	"errors"
	"time"

	"github.com/seed893f581e/nsq/internal/store"
)

// What is different about a channel that a durable topic keeps in its log. Its
// ephemeral channels are as those of other topics; topic.feed gives them messages.

// maxDeferredInMemory is how many requeued messages a channel defers in memory while
// its log cannot be written.
const maxDeferredInMemory = 1000

// followLog has the channel told of what is new in the log, and the log of attempts.
func (ch *channel) followLog() {
	l := ch.queue.log
	l.due = &ch.release
	l.log.OnReady(ch.queue.signal)
	l.log.OnDue(ch.checkDue)
	l.log.Attempts(ch.eachAttempted)
}

// eachAttempted yields the messages that the channel holds, in memory or in flight,
// which were delivered before.
func (ch *channel) eachAttempted(yield func(seq uint64, count int, attempts uint16)) {
	list := ch.queue.appendAttempted(nil)
	list = ch.deferred.appendAttempted(list)
	for _, c := range ch.consumers() {
		list = c.inflight.appendAttempted(list)
	}
	for _, a := range list { // with no lock held
		yield(a.seq, a.count, a.attempts)
	}
}

// appendAttempted appends what waits in memory of a channel with a log.
func (d *deferred) appendAttempted(list []attempted) []attempted {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.heap.All {
		list = s.appendAttempted(list)
	}
	return list
}

// checkDue has what is due taken from the log, and then when more is.
func (ch *channel) checkDue() { ch.env.scan.schedule(&ch.release, ch.env.now()) }

// releaseKept moves what is due in the log to the end of the queue. next is when
// something in memory is due, or 0.
func (ch *channel) releaseKept(now, next int64) int64 {
	l := ch.queue.log
	if rests := l.dueRests.Load(); now < rests {
		return earlier(rests, next)
	}
	kept, err := ch.queue.takeDue(ch.env.unixOf(now))
	if err != nil {
		ch.env.log.Error("CHANNEL: deferred messages cannot be read, will try again", "queue", ch.queue.name, "error", err)
		l.dueRests.Store(now + int64(diskRetry))
		return earlier(l.dueRests.Load(), next)
	}
	if kept == 0 {
		return next
	}
	return earlier(ch.env.ofUnix(kept), next)
}

// earlier returns the earlier one of two times, of which the second may be none, 0.
func earlier(t, or int64) int64 {
	if or == 0 {
		return t
	}
	return min(t, or)
}

// deferKept defers a message that a consumer requeues: in the log or, while that
// cannot be written, in memory, which has room for some.
func (ch *channel) deferKept(s span, delay time.Duration) error {
	due := ch.env.now() + int64(delay)
	err := ch.queue.log.deferUntil(&s, ch.env.unixOf(due))
	if err == nil {
		ch.env.scan.schedule(&ch.release, due)
		return nil
	}
	if !errors.Is(err, errExiting) && ch.deferred.len() < maxDeferredInMemory {
		return ch.deferUntil(s, due)
	}
	ch.requeues.Add(^uint64(0))
	return err
}

// emptyKept drops everything: queued, deferred and in flight. What was given out
// before is finished in the log by then; what comes meanwhile stays.
func (ch *channel) emptyKept() error {
	end, err := ch.queue.emptyKept()
	if err != nil && !errors.Is(err, store.ErrNotNoted) {
		return err
	}
	err = errors.Join(err, ch.env.dropClassic(ch.queue.name))
	waiting, _ := ch.deferred.release(nil, everything)
	for _, s := range waiting {
		if !s.isBefore(end) {
			ch.queue.log.finish([]store.Run{s.run()})
		}
	}
	for _, c := range ch.consumers() {
		c.inflight.dropBefore(end)
		c.roomChanged()
	}
	return err
}

// closeLog has nothing be done with the channel's part of the log any more.
func (ch *channel) closeLog() {
	ch.deferred.close()
	ch.queue.close()
	ch.queue.log.close()
}

// forgetKept has the channel not be there after a restart, before it is deleted. With an error it
// is as before.
func (ch *channel) forgetKept() error {
	l := ch.queue.log
	if l == nil || !l.enter() { // somebody deletes it
		return nil
	}
	defer l.leave()
	return l.log.Forget()
}

// deleteKept deletes the channel from the log, unless that goes as a whole.
func (ch *channel) deleteKept() error {
	ch.closeLog()
	remove := func() error { return ch.env.dropClassic(ch.queue.name) }
	if !ch.topic.isExiting() {
		remove = func() error { return errors.Join(ch.env.dropClassic(ch.queue.name), ch.queue.log.log.Delete()) }
	}
	err := remove()
	ch.env.stale.deleted(ch.queue.name, err, remove)
	return err
}

// received returns how many messages the channel has received from its topic.
func (ch *channel) received() uint64 {
	if l := ch.queue.log; l != nil {
		return ch.topic.handedOver() - l.began
	}
	return ch.messages.Load()
}

// deferrals returns how many messages are deferred, and how many of them are due at a
// time of the daemon's clock or before.
func (ch *channel) deferrals(end int64) (all, due int64) {
	all, due = ch.deferred.until(end)
	if l := ch.queue.log; l != nil {
		keptAll, keptDue := l.deferred(ch.env.unixOf(end))
		all, due = all+keptAll, due+keptDue
	}
	return all, due
}
