package nsqd

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/histogram"
	"github.com/seed893f581e/nsq/internal/latency"
	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/wire"
)

// A channel receives a copy of every message of its topic and gives each to
// one of its consumers. It is safe for concurrent use.
type channel struct {
	env       *env
	topic     *topic
	name      string
	ephemeral bool
	queue     *queue
	pause     savedFlag // which the queue follows
	deferred  deferred
	release   scanItem // of deferred
	returning gate     // who takes messages from where they are to give them back is inside; see vacate

	messages   atomic.Uint64             // received from the topic
	fromMemory [localities]atomic.Uint64 // given to consumers from memory
	requeues   atomic.Uint64
	timeouts   atomic.Uint64
	latency    atomic.Pointer[latency.Window]      // nil before the first FIN whose latency is recorded
	e2e        atomic.Pointer[histogram.Histogram] // nil before the first FIN

	mu        sync.Mutex // clients, delivered, finished, exiting
	clients   map[*client]struct{}
	delivered uint64 // to consumers that have left
	finished  uint64 // by them
	exiting   bool

	gone chan struct{} // closed once a deletion is complete
}

// newChannel returns a channel of a topic; of a durable one its log, if it is kept.
func newChannel(t *topic, name string, log *channelLog) *channel {
	ch := &channel{
		env:       t.env,
		topic:     t,
		name:      name,
		ephemeral: wire.IsEphemeral(name),
		clients:   make(map[*client]struct{}),
		gone:      make(chan struct{}),
	}
	ch.release.fire = ch.releaseDue
	if queueName := channelQueueName(t.name, name); log != nil {
		ch.queue = newKeptQueue(t.env, queueName, log, t.newID)
	} else {
		ch.queue = newQueue(t.env, queueName, !ch.isKept(), t.newID)
	}
	if t.env.opts.prefersNear() {
		ch.queue.near = newNearestFirst()
	}
	if log != nil {
		ch.followLog()
	}
	return ch
}

// isKept reports whether a restart brings the channel back. An ephemeral topic
// is not in the metadata, so its channels must not leave files behind either.
func (ch *channel) isKept() bool { return !ch.ephemeral && !ch.topic.ephemeral }

// changed has the metadata written, if the channel is in it.
func (ch *channel) changed() {
	if ch.isKept() {
		ch.topic.changed()
	}
}

// setPaused stops or resumes the flow to the consumers, whether nsqd.dat can be
// written or not.
func (ch *channel) setPaused(paused bool) {
	ch.pause.set(paused)
	ch.changed()
	ch.obeyPause()
}

// obeyPause stops or resumes the flow to the consumers, as nsqd.dat says.
func (ch *channel) obeyPause() {
	ch.pause.obey(func(paused bool) {
		if paused {
			ch.queue.pause()
		} else {
			ch.queue.unpause()
		}
	})
}

// put takes messages from the topic. It returns how many spans it has taken: all
// of them or, with an error, those before the first of which it has nothing.
func (ch *channel) put(spans []span) (taken int, err error) {
	for taken < len(spans) && err == nil {
		n := undeferred(spans[taken:])
		if n > 0 {
			n, err = ch.putQueue(spans[taken : taken+n])
		} else if err = ch.putDeferred(spans[taken]); err == nil {
			n = 1
		}
		ch.messages.Add(messagesOf(spans[taken : taken+n]))
		taken += n
	}
	return taken, err
}

// putQueue puts spans that are not deferred into the queue.
func (ch *channel) putQueue(spans []span) (put int, err error) {
	put, err = ch.queue.putAll(spans)
	if err == nil || errors.Is(err, errExiting) {
		return put, err
	}
	for put < len(spans) && ch.queue.lend(spans[put]) {
		put++
	}
	if put < len(spans) {
		return put, err
	}
	return put, nil
}

// putDeferred puts a span that is deferred among what is not due yet.
func (ch *channel) putDeferred(s span) error {
	return ch.deferUntil(s, ch.env.now()+int64(s.b.deferral))
}

// undeferred returns how many spans there are before the first that is deferred.
func undeferred(spans []span) int {
	for i := range spans {
		if spans[i].b.deferral > 0 {
			return i
		}
	}
	return len(spans)
}

func messagesOf(spans []span) (n uint64) {
	for i := range spans {
		n += uint64(spans[i].count)
	}
	return n
}

// keep takes the messages of s into memory, where put has failed and cannot be
// tried again. A channel that is being deleted drops them.
func (ch *channel) keep(s span) {
	put := ch.queue.putMemory
	if s.b.deferral > 0 {
		put = ch.putDeferred
	}
	if put(s) == nil {
		ch.messages.Add(uint64(s.count))
	}
}

func (ch *channel) deferUntil(s span, due int64) error {
	arm, ok := ch.deferred.add(due, s)
	if !ok {
		return errExiting
	}
	ch.env.scan.schedule(&ch.release, arm)
	return nil
}

// releaseDue moves what is due to the end of the queue, for the scan.
func (ch *channel) releaseDue(now int64) (next int64) {
	if !ch.returning.enter() {
		return 0
	}
	defer ch.returning.leave()
	due, next := ch.deferred.release(nil, now)
	ch.requeue(due)
	if ch.queue.log != nil {
		return ch.releaseKept(now, next)
	}
	return next
}

// countFromMemory counts messages that were given to c, whose settings are s;
// for c itself where it matters how near it is.
func (ch *channel) countFromMemory(c *client, s *settings, messages int) {
	l := global
	if ch.queue.near != nil {
		l = ch.env.opts.localityOf(s)
		c.fromMemory.Add(uint64(messages))
	}
	ch.fromMemory[l].Add(uint64(messages))
}

// requeue puts messages that were in flight or deferred at the end of the
// queue. In a channel that is being deleted they are gone.
func (ch *channel) requeue(spans []span) {
	for _, s := range spans {
		if ch.queue.requeue(s.alone()) != nil {
			return
		}
	}
}

// answerReq takes a message back that a consumer requeues, and which it does not have in
// flight any more.
func (ch *channel) answerReq(s span, delay time.Duration) error {
	ch.requeues.Add(1)
	switch {
	case delay <= 0:
		return ch.queue.requeue(s.alone())
	case ch.queue.log != nil:
		return ch.deferKept(s, delay)
	default:
		return ch.deferUntil(s, ch.env.now()+int64(delay))
	}
}

// timeOut returns what a consumer did not answer in time, for the scan.
func (ch *channel) timeOut(c *client, now int64) (next int64) {
	if !ch.returning.enter() {
		return 0
	}
	defer ch.returning.leave()
	expired, next := c.inflight.expire(nil, now)
	if len(expired) > 0 {
		ch.timeouts.Add(uint64(len(expired)))
		ch.requeue(expired)
		c.roomChanged()
	}
	return next
}

// errTooManyConsumers refuses a SUB.
type errTooManyConsumers struct {
	ch    *channel
	limit int
}

func (e errTooManyConsumers) Error() string {
	return fmt.Sprintf("consumers for %s:%s exceeds limit of %d", e.ch.topic.name, e.ch.name, e.limit)
}

// addClient makes c a consumer. Counting and adding are one step, so that the
// limit holds whatever comes at once.
func (ch *channel) addClient(c *client) error {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.exiting {
		return errExiting
	}
	if limit := ch.env.opts.MaxChannelConsumers; limit > 0 && len(ch.clients) >= limit {
		return errTooManyConsumers{ch, limit}
	}
	ch.clients[c] = struct{}{}
	return nil
}

// removeClient takes a consumer out that is gone and gives what it had in
// flight to the others at once. It reports whether the channel, an ephemeral
// one, has lost its last consumer and is to be deleted by the caller.
func (ch *channel) removeClient(c *client) (unused bool) {
	ch.env.scan.forget(&c.expiry)
	ch.takeBack(c)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if _, ok := ch.clients[c]; ok {
		delete(ch.clients, c)
		ch.delivered += c.messages.Load()
		ch.finished += c.finished.Load()
	}
	return ch.ephemeral && len(ch.clients) == 0 && !ch.exiting
}

// takeBack gives the queue what a consumer has in flight, unless vacate does.
func (ch *channel) takeBack(c *client) {
	if ch.returning.enter() {
		ch.requeue(c.inflight.drain())
		ch.returning.leave()
	}
}

// exit begins a deletion, with onlyUnused only if there is no consumer. It
// reports false if the channel is used, or somebody else deletes it already.
func (ch *channel) exit(onlyUnused bool) bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.exiting || onlyUnused && len(ch.clients) > 0 {
		return false
	}
	ch.exiting = true
	return true
}

// isExiting reports whether a deletion has begun.
func (ch *channel) isExiting() bool {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return ch.exiting
}

// consumers returns the clients of this moment.
func (ch *channel) consumers() []*client {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	return slices.Collect(maps.Keys(ch.clients))
}

// work returns the clients of this moment and how many messages they and those that
// have left were sent, and finished.
func (ch *channel) work() (consumers []*client, delivered, finished uint64) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	delivered, finished = ch.delivered, ch.finished
	for c := range ch.clients {
		delivered += c.messages.Load()
		finished += c.finished.Load()
		consumers = append(consumers, c)
	}
	return consumers, delivered, finished
}

// totals returns what the channel has counted.
func (ch *channel) totals() *stats.Totals {
	s := &stats.Totals{Received: ch.received(), Requeues: ch.requeues.Load(), Timeouts: ch.timeouts.Load()}
	_, s.Delivered, s.Finished = ch.work()
	if h := ch.e2e.Load(); h != nil {
		h.MergeInto(&s.E2E)
	}
	return s
}

// owner returns the consumer that has the message in flight, or nil.
func (ch *channel) owner(id guid) *client {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	for c := range ch.clients {
		if c.inflight.has(id) {
			return c
		}
	}
	return nil
}

// empty drops everything: queued, deferred and in flight. What is queued goes
// first, or consumers whose messages in flight are dropped would take it; what
// came back into the queue meanwhile goes last.
func (ch *channel) empty() error {
	if ch.queue.log != nil {
		return ch.emptyKept()
	}
	err := ch.queue.empty()
	ch.deferred.clear()
	consumers := ch.consumers()
	for _, c := range consumers {
		c.inflight.drain()
	}
	if total, _ := ch.queue.depth(); total > 0 {
		err = errors.Join(err, ch.queue.empty())
	}
	for _, c := range consumers {
		c.roomChanged()
	}
	return err
}

// delete drops everything and closes the consumers' connections. The caller
// has begun the deletion with exit and takes the channel out of its topic.
func (ch *channel) delete() error {
	ch.env.log.Info(fmt.Sprintf("CHANNEL(%s): deleting", ch.name), "topic", logging.Said(ch.topic.name), "channel", logging.Said(ch.name))
	for _, c := range ch.consumers() {
		c.close(errExiting)
	}
	ch.deferred.close()
	ch.env.scan.forget(&ch.release)
	if ch.queue.log != nil {
		return ch.deleteKept()
	}
	return ch.env.deleteQueue(ch.queue, ch.deferredFile())
}

// flush writes everything to disk, for a restart. No consumer is left.
func (ch *channel) flush() error {
	ch.env.scan.forget(&ch.release)
	if ch.queue.log != nil { // and so all is kept
		return nil
	}
	heap := ch.deferred.close()
	if ch.queue.disk == nil {
		ch.queue.close()
		return nil
	}
	var waiting []deferredMessage
	for due, s := range heap.All {
		waiting = append(waiting, deferredMessage{due + ch.env.wallClock(), s})
	}
	var early []span
	if err := writeDeferredFile(ch.deferredFile(), waiting); err != nil {
		ch.env.log.Error("CHANNEL: deferred messages lose their time, they are queued instead",
			"topic", ch.topic.name, "channel", ch.name, "messages", len(waiting), "error", err)
		for _, d := range waiting {
			early = append(early, d.s)
		}
	}
	lost, err := ch.queue.flush(early...)
	if lost > 0 {
		err = fmt.Errorf("channel %s of topic %s: %d messages are lost, they were in memory and cannot be written: %w", ch.name, ch.topic.name, lost, err)
	}
	return err
}

// load opens what an earlier run left on disk. It fails where that is there and
// cannot be read, which is not to say that it is damaged.
func (ch *channel) load() error {
	if ch.queue.log != nil {
		return ch.adoptClassic()
	}
	if ch.queue.disk == nil {
		return nil
	}
	if err := ch.queue.open(); err != nil {
		return err
	}
	return loadDeferredFile(ch.env.log, ch.deferredFile(), ch.topic.newID, func(d deferredMessage) {
		ch.deferUntil(d.s, d.due-ch.env.wallClock()) // a channel that was just made is not closed
	})
}

func (ch *channel) deferredFile() string {
	return deferredFileName(ch.env.opts.DataPath, channelQueueName(ch.topic.name, ch.name))
}
