package nsqd

import (
	"cmp"
	"time"
)

// maxStaying bounds the list of what stays.
const maxStaying = 100

// drainLeft is what is left in the broker: all of it, and what a drain waits for.
//
// Consumers can get what is queued in a channel that has any and is not paused, or
// in a topic that has channels and is not paused, and what is in flight. Of what is
// deferred a drain waits for what is due before its end: the rest keeps its
// time in files, and comes when it is due whether nsqd was restarted or not. What is
// on its way from one place to the next counts as queued, as the disk may keep it on
// its way for long. What the log of a durable topic keeps is not waited for: it is
// there after any stop, and what is in flight of it comes again.
type drainLeft struct {
	Depth    int64 `json:"depth"`     // queued in topics and channels
	InFlight int64 `json:"in_flight"` // with consumers
	Deferred int64 `json:"deferred"`

	Staying []staying `json:"staying"` // what is not waited for, up to maxStaying of them

	waits int64 // messages that are waited for
}

// staying is messages that nobody gets before a restart, unless something changes.
type staying struct {
	Topic    string `json:"topic"`
	Channel  string `json:"channel,omitempty"` // empty for the topic's own
	Messages int64  `json:"messages"`
	Because  string `json:"because"`
}

// Why messages stay.
const (
	noChannel  = "no channel"
	noConsumer = "no consumer"
	isPaused   = "paused"
	dueLater   = "due later"
	isKept     = "kept"
)

// stay returns how many messages are not waited for.
func (l *drainLeft) stay() int64 { return l.Depth + l.InFlight + l.Deferred - l.waits }

// left looks at everything, for a drain that ends at the given time.
func (n *NSQD) left(until time.Time) drainLeft {
	l := drainLeft{Staying: []staying{}}
	end := n.env.now() + int64(time.Until(until))
	for _, t := range n.topics.all() {
		l.addTopic(t)
		for _, ch := range t.allChannels() {
			l.addChannel(ch, end)
		}
	}
	return l
}

func (l *drainLeft) addTopic(t *topic) {
	depth, _ := t.depth()
	inHand := t.inHand.Load() // for one or the other of its channels
	l.Depth += depth + inHand
	l.waits += inHand
	l.add(t.name, "", depth, t.whyStaying())
}

// whyStaying returns why the topic's messages stay in it, "" where they do not. One
// that is held is about to get its channels.
func (t *topic) whyStaying() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.paused:
		return isPaused
	case len(t.channels) == 0 && t.holds == 0:
		return noChannel
	case t.log != nil:
		return isKept
	}
	return ""
}

func (l *drainLeft) addChannel(ch *channel, end int64) {
	depth, _ := ch.queue.depth()
	deferred, due := ch.deferrals(end)
	depth += ch.queue.requeuing.Load()
	l.Depth += depth
	l.Deferred += deferred
	takers := 0
	for _, c := range ch.consumers() {
		inFlight := int64(c.inflight.len())
		l.InFlight += inFlight
		if ch.queue.log == nil {
			l.waits += inFlight
		}
		if c.state.Load() != stateClosing {
			takers++
		}
	}
	why := ""
	switch {
	case ch.queue.isPaused():
		why = isPaused
	case takers == 0:
		why = noConsumer
	case ch.queue.log != nil:
		why = isKept
	}
	l.add(ch.topic.name, ch.name, depth, why)
	l.add(ch.topic.name, ch.name, due, why)
	l.add(ch.topic.name, ch.name, deferred-due, cmp.Or(why, dueLater))
}

// add counts messages that are waited for, or stay because of why.
func (l *drainLeft) add(topic, channel string, messages int64, why string) {
	if why == "" {
		l.waits += messages
		return
	}
	if messages == 0 {
		return
	}
	if last := len(l.Staying) - 1; last >= 0 {
		if s := &l.Staying[last]; s.Topic == topic && s.Channel == channel && s.Because == why {
			s.Messages += messages
			return
		}
	}
	if len(l.Staying) < maxStaying {
		l.Staying = append(l.Staying, staying{topic, channel, messages, why})
	}
}
