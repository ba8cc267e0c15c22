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
		t, err := ts.topicOr([]byte(name), func() (*topic, error) { return ts.create(name, d, true) })
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
// round. It has the same channels; their consumers are disconnected, and come back.
// Only an empty topic is replaced, and what is published just then is not lost.
func (n *NSQD) replace(t *topic, d Durability) (*topic, error) {
	if !n.topics.beginMaking(t.name) { // until the end nobody makes a topic of that name
		return nil, nil
	}
	defer n.topics.endMaking(t.name)
	if t.isExiting() {
		return nil, nil
	}
	was := topicToLoad{name: t.name, paused: t.isPaused(), durability: d}
	for _, ch := range t.allChannels() {
		if ch.isKept() && !ch.isExiting() {
			was.channels = append(was.channels, channelToLoad{name: ch.name, paused: ch.queue.isPaused()})
		}
	}
	before := t.durability()
	if err := n.vacate(t); err != nil {
		return nil, err
	}
	next, err := n.rebuild(&was)
	if err != nil { // the disk fails: it is to be again what it was
		was.durability = before
		next, again := n.rebuild(&was)
		return next, errors.Join(err, again)
	}
	next.logDurability(d)
	return next, nil
}

// rebuild makes a topic of what is left of another.
func (n *NSQD) rebuild(was *topicToLoad) (*topic, error) {
	t, err := n.topics.make(was.name, was.durability, true, true)
	if err != nil {
		return nil, err
	}
	if t == nil { // which only happens at a stop
		return nil, errExiting
	}
	defer t.release()
	l := loading{n: n, log: n.log, whole: true}
	return t, l.fill(t, was)
}

// vacate takes the place of t from it. What is published to a topic in memory just
// then lies in its files in the end; a log is deleted, and nobody can append to it
// once it was found empty.
func (n *NSQD) vacate(t *topic) error {
	if t.log != nil {
		empty := func() bool { // the log knows also what is on its way out of it
			return t.isEmpty(t.log.log.Depth()) && t.log.log.Unfinished() == 0 && t.exit(false)
		}
		if !t.log.closeIf(empty) {
			return errNotEmpty
		}
	} else if depth, _ := t.queue.depth(); !t.isEmpty(depth) || !t.exit(false) {
		return errNotEmpty
	}
	ts := &n.topics
	ts.elsewhere.forget(t)
	var err error
	if t.log != nil {
		err = t.delete()
	} else {
		for _, ch := range t.allChannels() {
			ch.vacate()
		}
		err = t.flush()
	}
	ts.mu.Lock()
	delete(ts.byName, t.name)
	counted := t.totals()
	ts.deleted.Merge(&counted)
	ts.mu.Unlock()
	close(t.gone)
	return err
}

// emptyTime is how long a topic has to look empty: a message that goes from one place to
// the next just then may escape a look.
const emptyTime = 30 * time.Millisecond

// isEmpty reports whether there is no message in the topic, which has so many itself,
// and its channels. Nothing is published meanwhile, or it may be wrong.
func (t *topic) isEmpty(depth int64) bool {
	for range emptyLooks {
		for _, ch := range t.allChannels() {
			queued, _ := ch.queue.depth()
			deferred, _ := ch.deferrals(everything)
			depth += queued + deferred + ch.queue.requeuing.Load()
			for _, c := range ch.consumers() {
				depth += int64(c.inflight.len())
			}
		}
		if depth += t.inHand.Load(); depth > 0 {
			return false
		}
		time.Sleep(emptyTime / emptyLooks)
	}
	return true
}

// vacate ends the channel's consumers and gives what they have back to the queue.
func (ch *channel) vacate() {
	ch.exit(false)
	consumers := ch.consumers()
	for _, c := range consumers {
		c.close(errExiting)
	}
	for _, c := range consumers {
		c.pumping.Wait()
		ch.requeue(c.inflight.drain())
	}
	close(ch.gone)
}
