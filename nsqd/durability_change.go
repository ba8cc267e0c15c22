package nsqd

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
)

// errNotEmpty refuses to move a topic between memory and log while it holds
// messages: they would have to be moved, too.
var errNotEmpty = errors.New("topic not empty")

// topicOf returns the topic of that name with a durability, which is chosen for it
// alone. It is created, or changed, if needed.
func (n *NSQD) topicOf(name string, d Durability) (*topic, error) {
	ts := &n.topics
	for {
		t, err := ts.topicOr([]byte(name), func() (*topic, error) { return ts.create(newTopicWanted{name: name, durability: d, chosen: true}, nil) })
		if err != nil {
			return nil, err
		}
		if t, err = n.changeDurability(t, d); t != nil || err != nil {
			return t, err
		}
	}
}

// changeDurability returns t with another durability, or what has replaced it. It
// returns nil where another look is needed.
func (n *NSQD) changeDurability(t *topic, d Durability) (*topic, error) {
	if (t.log == nil) != (d == Memory) {
		return n.replace(t, d)
	}
	if t.log == nil {
		if !t.chosen.Swap(true) {
			t.changed()
		}
		return t, nil
	}
	if t.durability() == d {
		return t, nil
	}
	if !t.log.enter() {
		return nil, nil
	}
	err := t.log.log.SetDurability(d.inStore())
	t.log.leave()
	if err != nil {
		return nil, fmt.Errorf("changing the durability of topic %s: %w", t.name, err)
	}
	t.changed()
	t.logDurability(d)
	return t, nil
}

func (t *topic) logDurability(d Durability) {
	t.env.log.Info(fmt.Sprintf("TOPIC(%s): durability is now %s", t.name, d), "topic", logging.Said(t.name))
}

// replace puts a topic with a log in the place of t, which has none, or the other way
// round. It has the same channels; their consumers are disconnected, and come back. Requests
// that come meanwhile change what takes its place.
// Only an empty topic is replaced, and what is published just then is not lost. Where
// the disk fails, t stays or is replaced by its like, or the topic is changed, and the
// error says what is not well: there is a topic in any case, and it works.
func (n *NSQD) replace(t *topic, d Durability) (*topic, error) {
	if !n.topics.beginMaking(t.name) { // until the end nobody makes a topic of that name
		return nil, nil
	}
	defer n.topics.endMaking(t.name)
	if t.isExiting() {
		return nil, nil
	}
	was := t.toLoad()
	was.durability = d
	vacate := n.vacateQueue
	if t.log != nil {
		vacate = n.vacateLog
	}
	vacated, err := vacate(t, was)
	if !vacated {
		return nil, err
	}
	next, again := n.rebuild(was)
	if err = errors.Join(err, again); next != nil && was.durability == d {
		next.logDurability(d)
	}
	return next, err
}

// toLoad returns what is to be made to have a topic like t.
func (t *topic) toLoad() *topicToLoad {
	like := &topicToLoad{name: t.name}
	like.update(t)
	return like
}

// update has l be like t is now.
func (l *topicToLoad) update(t *topic) {
	l.paused, l.channels = t.isPaused(), nil
	for _, ch := range t.allChannels() {
		if ch.isKept() && !ch.isExiting() {
			l.channels = append(l.channels, channelToLoad{name: ch.name, paused: ch.queue.isPaused()})
		}
	}
}

// rebuild makes a topic of what is left of another. With an error it is there, unless
// the daemon stops, and lacks what the error says.
func (n *NSQD) rebuild(was *topicToLoad) (*topic, error) {
	t, err := n.topics.make(newTopicWanted{name: was.name, durability: was.durability, chosen: true, held: true}, nil)
	if err != nil {
		return nil, err
	}
	if t == nil { // which only happens at a stop: nsqd.dat has it as it was
		return nil, errExiting
	}
	defer t.requests.leaveAlone()
	defer n.topics.endReplacing(t) // before requests, whose changes nsqd.dat is to have
	defer t.release()
	t.setPaused(was.paused)
	l := loading{n: n, log: n.log, whole: true}
	var errs []error
	for _, cl := range was.channels {
		if err := l.loadChannel(t, cl); err != nil {
			errs = append(errs, fmt.Errorf("channel %s: %w", cl.name, err))
		}
	}
	return t, errors.Join(append(errs, t.load())...)
}

// vacateQueue takes the place of t, a topic in memory, from it, for one with a log,
// which is made first: until that is there, nothing is changed. What is published to
// the topic just then lies in its files in the end.
func (n *NSQD) vacateQueue(t *topic, next *topicToLoad) (vacated bool, err error) {
	if depth, _ := t.queue.depth(); !t.isEmpty(depth) {
		return false, errNotEmpty
	}
	if !n.topics.closeRequests(t, n.metadata.entryNow, func() bool {
		next.update(t) // which nobody changes any more: a crash finds the log, and so what it has was not deleted
		if err = n.env.durable.prepare(next); err != nil {
			return false
		}
		if t.exit(false) {
			return true
		}
		err = n.env.durable.discard(t.name) // somebody deletes t
		return false
	}) {
		return false, err
	}
	for _, ch := range t.allChannels() {
		ch.vacate()
	}
	err = t.flush()
	n.topics.replaced(t)
	return true, err
}

// vacateLog takes the place of t, a topic with a log, from it, and deletes the log, to
// which nobody can append once it was found empty. A log that cannot be deleted is left
// to another topic with a log.
func (n *NSQD) vacateLog(t *topic, next *topicToLoad) (vacated bool, err error) {
	before := t.durability()
	empty := func() bool { // the log knows also what is on its way out of it
		return t.isEmpty(t.log.log.Depth()) && t.log.log.Unfinished() == 0 && t.exit(false)
	}
	if !n.topics.closeRequests(t, n.metadata.entryNow, func() bool { return t.log.closeIf(empty) }) {
		if t.isExiting() { // somebody deletes it
			return false, nil
		}
		return false, errNotEmpty
	}
	next.update(t)
	for _, ch := range t.allChannels() {
		ch.vacate()
		if ch.queue.log != nil {
			ch.closeLog()
		}
	}
	err = t.flush()
	t.env.scan.forget(&t.log.probe)
	t.noteAppend(nil)
	if failed := t.log.log.Delete(); failed != nil {
		next.durability = before
		n.env.durable.giveBack(t.log.log)
		err = errors.Join(err, failed)
	}
	n.topics.replaced(t)
	return true, err
}

// emptyTime is how long a topic has to look empty: a message that goes from one place to
// the next just then may escape a look. maxLooks is how many looks there are at most.
const (
	emptyTime = 30 * time.Millisecond
	maxLooks  = 4 * emptyLooks
)

// isEmpty reports whether there is no message in the topic, which has so many itself,
// and its channels. Nothing is published meanwhile, or it may be wrong. Who has a message in
// hand may only have to say that it is elsewhere, and finished: while that is all, it looks on.
func (t *topic) isEmpty(depth int64) bool {
	for looks, empty := 0, 0; empty < emptyLooks; looks++ {
		held, moving := t.heldByChannels()
		if depth+held > 0 || looks == maxLooks {
			return false
		}
		if empty++; moving > 0 {
			empty = 0
		}
		time.Sleep(emptyTime / emptyLooks)
	}
	return true
}

// heldByChannels returns how many messages the channels have, and how many are on their way to
// them or back to their queues.
func (t *topic) heldByChannels() (held, moving int64) {
	for _, ch := range t.allChannels() {
		queued, _ := ch.queue.depth()
		deferred, _ := ch.deferrals(everything)
		held += queued + deferred
		moving += ch.queue.requeuing.Load()
		for _, c := range ch.consumers() {
			held += int64(c.inflight.len())
		}
	}
	return held, moving + t.inHand.Load()
}

// vacate ends the channel's consumers and gives what they have back to the queue. From its
// return on nobody has messages in hand that the queue is to have. A channel that somebody
// deletes is deleted then.
func (ch *channel) vacate() {
	if !ch.exit(false) {
		<-ch.gone
		return
	}
	consumers := ch.consumers()
	for _, c := range consumers {
		c.close(errExiting)
	}
	ch.returning.close()
	for _, c := range consumers {
		c.pumping.Wait()
		ch.requeue(c.inflight.drain())
	}
	close(ch.gone)
}
