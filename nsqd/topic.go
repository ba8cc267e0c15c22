package nsqd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/wire"
)

// A topic takes what is published and gives a copy to each of its channels.
// While it has none, or is paused or held, messages wait in its queue; those of a
// durable topic wait in its log, and it has neither queue nor pump
// (durable_topic.go). It is safe for concurrent use.
type topic struct {
	env       *env
	name      string
	ephemeral bool
	queue     *queue      // nil for a durable topic
	log       *topicLog   // nil for others
	chosen    atomic.Bool // its durability was chosen for it alone
	pause     savedFlag   // which paused follows
	requests  gate        // who changes it over HTTP, or its channels, is inside; closed when another takes its place
	ids       guidFactory
	inHand    atomic.Int64               // messages that the pump has taken and not every channel has got
	fanout    atomic.Pointer[[]*channel] // what the pump gives to; changed under mu

	messages atomic.Uint64
	bytes    atomic.Uint64 // of bodies

	mu       sync.Mutex // what follows; and that fanout and the queue's pause follow it
	channels map[string]*channel
	paused   bool
	holds    int           // reasons why it is held: channels are to come that there are elsewhere
	exiting  atomic.Bool   // also read without mu
	deleted  *stats.Totals // what channels counted that are no more; nil for nothing

	edits      atomic.Uint64 // changes of what nsqd.dat says of the topic, each counted after it is made
	entry      []byte        // that, as of entryEdits; they belong to metadata.writing
	entryEdits uint64

	life     context.Context // ends when the pump is stopped
	stopPump context.CancelFunc
	pump     sync.WaitGroup
	gone     chan struct{} // closed once a deletion is complete
}

// newTopic returns a topic whose pump does not run yet; a durable one with its log.
func newTopic(e *env, name string, log *topicLog) *topic {
	t := &topic{
		env:       e,
		name:      name,
		ephemeral: wire.IsEphemeral(name),
		ids:       guidFactory{node: uint64(e.opts.ID)},
		channels:  make(map[string]*channel),
		gone:      make(chan struct{}),
		log:       log,
	}
	if log == nil {
		t.queue = newQueue(e, name, t.ephemeral, t.newID)
	} else {
		log.probe.fire = t.probeRoom
	}
	t.updateLocked()
	return t
}

// run starts the pump. It may be called once.
func (t *topic) run() {
	t.life, t.stopPump = context.WithCancel(context.Background())
	if t.log == nil {
		t.pump.Go(func() { t.messagePump(t.life) })
	}
}

func (t *topic) newID() guid { return t.ids.take(time.Now().UnixNano(), 1) }

// publish accepts count messages, which become the topic's: payload must not
// be changed any more. They are deferred on every channel by deferral. All of
// them are accepted or, with an error, none.
func (t *topic) publish(payload []byte, count int, deferral time.Duration) error {
	if t.log != nil {
		return t.publishKept(payload, count, deferral)
	}
	bytes := len(payload) - wire.SizeLen*count
	if err := t.publishBatches(payload, count, time.Now().UnixNano(), deferral); err != nil {
		return err
	}
	t.countPublished(count, bytes)
	return nil
}

func (t *topic) countPublished(count, bytes int) {
	t.messages.Add(uint64(count))
	t.bytes.Add(uint64(bytes))
}

func (t *topic) publishBatches(payload []byte, count int, now int64, deferral time.Duration) error {
	for left, stored := count, false; left > 0; stored = true {
		n := min(left, maxBatch)
		b := &batch{first: t.ids.take(now, n), time: now, deferral: deferral, count: int32(n), payload: payload}
		if left > n {
			b.payload, payload = cutPayload(payload, n)
		}
		if err := t.put(b.all(), stored); err != nil {
			return err
		}
		left -= n
	}
	return nil
}

// cutPayload cuts the first n messages off a payload, which has more.
func cutPayload(payload []byte, n int) (head, rest []byte) {
	end := 0
	for range n {
		_, end = wire.NextInPayload(payload, end)
	}
	return payload[:end:end], payload[end:]
}

// put queues one batch. The disk queue does not keep deferrals, so deferred
// messages stay in memory; so does the rest of a publish that is stored in
// part, if the disk fails.
func (t *topic) put(s span, stored bool) error {
	if s.b.deferral > 0 {
		return t.queue.putMemory(s)
	}
	err := t.queue.put(s)
	if err != nil && stored && !errors.Is(err, errExiting) {
		return t.queue.putMemory(s)
	}
	return err
}

// enterChannel is channel for who is not inside the topic's requests. While another topic is put in
// the place of this one it waits for that: nsqd.dat would not get a new channel.
func (t *topic) enterChannel(name string) (*channel, error) {
	if !t.requests.enter() {
		return nil, errExiting
	}
	defer t.requests.leave()
	return t.channel(name)
}

// channel returns the channel of that name, which it creates if needed. It
// waits for a deletion of the same name to end. The error is errExiting, or says
// what is in the way of a new channel. Nobody puts another topic in its place meanwhile.
func (t *topic) channel(name string) (*channel, error) {
	for {
		t.mu.Lock()
		ch, exiting := t.channels[name], t.exiting.Load()
		t.mu.Unlock()
		switch {
		case exiting:
			return nil, errExiting
		case ch == nil:
			if ch, err := t.createChannel(name); ch != nil || err != nil {
				return ch, err
			}
		case !ch.isExiting():
			return ch, nil
		default:
			<-ch.gone
		}
	}
}

// createChannel makes a channel. It returns nil where another look is needed.
func (t *topic) createChannel(name string) (*channel, error) {
	if err := t.env.stale.clear(channelQueueName(t.name, name)); err != nil {
		return nil, err
	}
	var ch *channel
	var err error
	if t.log != nil && !wire.IsEphemeral(name) {
		ch, err = t.createKeptChannel(name)
	} else {
		if t.log != nil {
			t.feed()
		}
		t.mu.Lock()
		ch, err = t.createChannelLocked(name, nil)
		t.mu.Unlock()
	}
	t.follow()
	if ch != nil {
		t.env.log.Info(fmt.Sprintf("TOPIC(%s): new channel(%s)", t.name, name), "topic", logging.Said(t.name), "channel", logging.Said(name))
	}
	return ch, err
}

// createChannelLocked makes a channel; of a durable topic with its log, if it is kept.
func (t *topic) createChannelLocked(name string, log *channelLog) (*channel, error) {
	if ok, err := t.mayCreateLocked(name); !ok {
		return nil, err
	}
	ch := newChannel(t, name, log)
	t.channels[name] = ch
	t.updateLocked()
	t.env.lookups.created(t.name, name)
	ch.changed() // before anybody else can see the channel, and wait for it to be saved
	return ch, nil
}

// mayCreateLocked reports whether a channel can be created. Where it can not, and
// there is no error, another look is needed.
func (t *topic) mayCreateLocked(name string) (bool, error) {
	if t.exiting.Load() || t.channels[name] != nil || t.env.stale.has(channelQueueName(t.name, name)) {
		return false, nil
	}
	err := t.env.checkCase(name, maps.Keys(t.channels))
	return err == nil, err
}

// existingChannel returns the channel of that name, or nil.
func (t *topic) existingChannel(name string) *channel {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.channels[name]
}

// allChannels returns the channels by name.
func (t *topic) allChannels() []*channel {
	t.mu.Lock()
	chans := slices.Collect(maps.Values(t.channels))
	t.mu.Unlock()
	slices.SortFunc(chans, func(a, b *channel) int { return strings.Compare(a.name, b.name) })
	return chans
}

// channelsAndDeleted returns the channels by name, and at the same moment what those
// counted that are no more, nil for nothing.
func (t *topic) channelsAndDeleted() (chans []*channel, deleted *stats.Totals) {
	t.mu.Lock()
	chans = slices.Collect(maps.Values(t.channels))
	if t.deleted != nil {
		deleted = new(stats.Totals)
		deleted.Merge(t.deleted)
	}
	t.mu.Unlock()
	slices.SortFunc(chans, func(a, b *channel) int { return strings.Compare(a.name, b.name) })
	return chans, deleted
}

// totals returns what the topic, which has no channels any more, and those that it
// had have counted.
func (t *topic) totals() stats.Totals {
	s := stats.Totals{Published: t.messages.Load(), PublishedBytes: t.bytes.Load()}
	if _, deleted := t.channelsAndDeleted(); deleted != nil {
		s.Merge(deleted)
	}
	return s
}

// updateLocked makes the pump follow channels, paused and held: from its return
// on no message leaves the queue that should wait in it.
func (t *topic) updateLocked() {
	chans := slices.Collect(maps.Values(t.channels))
	t.fanout.Store(&chans)
	switch {
	case t.log != nil: // who holds the lock calls follow after it
	case t.flowsLocked():
		t.queue.unpause()
	default:
		t.queue.pause()
	}
}

// flowsLocked reports whether messages go to the channels.
func (t *topic) flowsLocked() bool { return !t.paused && t.holds == 0 && len(t.channels) > 0 }

// setPaused pauses or unpauses the flow to the channels, whether nsqd.dat can be
// written or not.
func (t *topic) setPaused(paused bool) {
	t.pause.set(paused)
	t.changed()
	t.obeyPause()
}

// obeyPause pauses or unpauses the flow to the channels, as nsqd.dat says.
func (t *topic) obeyPause() {
	t.mu.Lock()
	t.paused = t.pause.says.Load()
	t.updateLocked()
	t.mu.Unlock()
	t.follow()
}

// hold keeps messages in the topic, whether it is paused or not, until as many
// calls of release. It is no property of the topic: nobody is shown it, and
// nothing saves it.
func (t *topic) hold() { t.addHolds(1) }

// release takes back one hold.
func (t *topic) release() { t.addHolds(-1) }

func (t *topic) addHolds(n int) {
	t.mu.Lock()
	t.holds += n
	t.updateLocked()
	t.mu.Unlock()
	t.follow()
}

// changed has the metadata written, if the topic is in it.
func (t *topic) changed() {
	if !t.ephemeral {
		t.edits.Add(1)
		t.env.changed()
	}
}

func (t *topic) isPaused() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.paused
}

// deleteChannel deletes a channel on which the caller has begun a deletion. It
// reports whether the topic, an ephemeral one, has lost its last channel.
func (t *topic) deleteChannel(ch *channel) (unused bool, err error) {
	err = ch.delete()
	counted := ch.totals()
	t.mu.Lock()
	if t.channels[ch.name] == ch {
		delete(t.channels, ch.name)
		if t.deleted == nil {
			t.deleted = new(stats.Totals)
		}
		t.deleted.Merge(counted)
		t.env.lookups.deleted(t.name, ch.name)
		t.updateLocked()
	}
	unused = t.ephemeral && len(t.channels) == 0 && !t.exiting.Load()
	t.mu.Unlock()
	t.follow()
	ch.changed()
	close(ch.gone) // after that, as somebody waits for it to save the change
	return unused, err
}

// exit begins a deletion, with onlyUnused only if there is no channel. It
// reports false if the topic is used, or somebody else deletes it already.
func (t *topic) exit(onlyUnused bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.exiting.Load() || onlyUnused && len(t.channels) > 0 {
		return false
	}
	t.exiting.Store(true)
	return true
}

// delete drops the topic's messages and channels. The caller has begun the
// deletion with exit and takes the topic out of the set.
func (t *topic) delete() error {
	t.env.log.Info(fmt.Sprintf("TOPIC(%s): deleting", t.name), "topic", logging.Said(t.name))
	t.stopPump()
	t.pump.Wait()
	var errs []error
	for _, ch := range t.allChannels() {
		if ch.exit(false) {
			_, err := t.deleteChannel(ch)
			errs = append(errs, err)
		}
		<-ch.gone
	}
	if t.log != nil {
		errs = append(errs, t.deleteLog())
	} else {
		errs = append(errs, t.env.deleteQueue(t.queue, t.deferredFile()))
	}
	return errors.Join(errs...)
}

// flush writes everything to disk, for a restart. Nothing publishes any more
// and no consumer is left.
func (t *topic) flush() error {
	t.stopPump()
	t.pump.Wait()
	var errs []error
	for _, ch := range t.allChannels() {
		errs = append(errs, ch.flush())
	}
	if t.log == nil {
		errs = append(errs, t.flushQueue())
	}
	return errors.Join(errs...)
}

// flushQueue writes the topic's own messages. Deferred ones that did not reach
// a channel go to a file of their own, with their deferral in place of a time.
func (t *topic) flushQueue() error {
	var waiting []deferredMessage
	var rest []span
	for _, s := range t.queue.close() {
		if s.b.deferral <= 0 {
			rest = append(rest, s)
			continue
		}
		for s.count > 0 {
			waiting = append(waiting, deferredMessage{int64(s.b.deferral), s.pop()})
		}
	}
	if t.queue.disk == nil {
		return nil
	}
	if err := writeDeferredFile(t.deferredFile(), waiting); err != nil {
		t.env.log.Error("TOPIC: deferred messages lose their delay, they are queued instead",
			"topic", t.name, "messages", len(waiting), "error", err)
		for _, d := range waiting {
			rest = append(rest, d.s)
		}
	}
	lost, err := t.queue.flush(rest...)
	if lost > 0 {
		err = fmt.Errorf("topic %s: %d messages are lost, they were in memory and cannot be written: %w", t.name, lost, err)
	}
	return err
}

// load opens what an earlier run left on disk. It fails where that is there and
// cannot be read, which is not to say that it is damaged.
func (t *topic) load() error {
	if t.log != nil {
		return t.adoptClassic()
	}
	if t.queue.disk == nil {
		return nil
	}
	if err := t.queue.open(); err != nil {
		return err
	}
	return loadDeferredFile(t.env.log, t.deferredFile(), t.newID, func(d deferredMessage) {
		d.s.b.deferral = time.Duration(d.due)
		t.queue.putMemory(d.s) // a queue that was just made is not closed
	})
}

func (t *topic) deferredFile() string {
	return deferredFileName(t.env.opts.DataPath, t.name)
}

// isExiting reports whether a deletion has begun.
func (t *topic) isExiting() bool { return t.exiting.Load() }
