package nsq

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// closeWaitTime is how long messages may follow after CLOSE_WAIT: nsqd may have
// been about to write them when it read CLS. Those that arrive on a closed
// connection would have to time out first.
const closeWaitTime = 100 * time.Millisecond

// maxArrived is how many messages are passed on at once: the first of them waits
// until the last is read.
const maxArrived = 64

// consumerConn is a subscribed connection. It is the delegate of the messages
// that arrive on it.
type consumerConn struct {
	*nsqdConn
	consumer   *Consumer
	nsqd       *nsqd
	subscribed bool // SUB was answered; for the goroutine that serves

	rdy         atomic.Int64 // what the last RDY said; changed under consumer.mu
	since       time.Time    // when the turn began, for rdy > 0; guarded by consumer.mu
	interrupted time.Time    // when the slot for this turn was given to a late message; zero if it was not; guarded by consumer.mu
	idle        atomic.Bool  // its share is 1, so that busy ones get more; set under consumer.mu
	lastRecv    atomic.Int64 // when the last message came, in nanoseconds after made
	made        time.Time
	inFlight    atomic.Int64 // received and not answered

	writtenOff atomic.Int64 // how many of inFlight take up no slots any more; changed under consumer.mu
	watched    atomic.Bool  // an answer may make a slot free for others; set under consumer.mu
	releaseBy  time.Time    // when what is in flight above rdy is written off; zero if nothing is above; guarded by consumer.mu

	queued int // of these, waiting for a handler; guarded by the messageQueue

	closing atomic.Bool // CLS was sent; changed under consumer.mu
	quiet   atomic.Bool // and answered a while ago: nothing more arrives
	lost    atomic.Bool // the connection is gone: answers reach nobody

	handling context.Context // ends when answers reach nobody
	abandon  context.CancelCauseFunc

	timeout   *time.Timer // bounds closing; guarded by consumer.mu
	quietTime *time.Timer // sets quiet; for the goroutine that serves
	arrived   []delivery  // not yet in the messageQueue; for the goroutine that serves
}

func (c *consumerConn) subscribe(topic, channel string) {
	c.send(func(b []byte) []byte { return wire.AppendSub(b, topic, channel) })
}

func (c *consumerConn) setRDY(n int) {
	switch now := time.Now(); {
	case n == 0:
		c.interrupted = now
	case c.rdy.Load() == 0:
		c.since = now.Add(-c.turnUsed(now))
	}
	lowered := int64(n) < c.rdy.Swap(int64(n))
	c.nsqd.highestRDY.Store(max(c.nsqd.highestRDY.Load(), int64(n)))
	c.send(func(b []byte) []byte { return wire.AppendRdy(b, n) })
	if lowered {
		c.consumer.queue.stopCollecting()
	}
}

var errCloseTimeout = errors.New("messages were not answered in time")

// disconnect closes the connection when everything in flight is answered, or after
// stopTimeout. The consumer's lock must be held.
func (c *consumerConn) disconnect() {
	if !c.closing.Load() {
		c.timeout = time.AfterFunc(stopTimeout, func() { c.close(errCloseTimeout) })
		c.startClose()
	}
}

// startClose asks nsqd to send no more. The connection ends when everything in
// flight is answered. The consumer's lock must be held.
func (c *consumerConn) startClose() {
	if c.closing.Load() {
		return
	}
	c.closing.Store(true)
	c.send(wire.AppendCls)
	c.consumer.queue.stopCollecting()
}

// ended cleans up after serve, which returned err.
func (c *consumerConn) ended(err error) {
	c.lost.Store(true)
	c.abandon(detailed(ErrNotConnected, "connection to nsqd lost - %v", err))
	c.consumer.mu.Lock()
	defer c.consumer.mu.Unlock()
	if c.timeout != nil {
		c.timeout.Stop()
	}
	if c.quietTime != nil {
		c.quietTime.Stop()
	}
	c.closing.Store(true) // no RDY, no share
	c.consumer.queue.stopCollecting()
}

func (c *consumerConn) onResponse(data []byte) error {
	switch string(data) {
	case wire.OK:
		c.subscribed = true
	case wire.CloseWait:
		if c.quietTime == nil {
			c.quietTime = time.AfterFunc(closeWaitTime, func() {
				c.quiet.Store(true)
				c.drainIfDone()
			})
		}
	default:
		return unexpected(FrameTypeResponse, data)
	}
	return nil
}

// onError logs what nsqd complains about. If that is more than one message, nsqd
// closes the connection; one that does not would send nothing more to us.
func (c *consumerConn) onError(data []byte) error {
	c.consumer.counters.protocolErrors.Add(1)
	c.nsqd.log(eventProtocolError, data)
	if err := (ErrProtocol{string(data)}); wire.Fatal(string(err.Code())) {
		return err
	}
	return nil
}

func (c *consumerConn) onMessage(m *Message) error {
	m.Delegate = c
	c.arrived = append(c.arrived, delivery{m: m, c: c, last: c.isLast(m)})
	if len(c.arrived) == maxArrived {
		return c.onPause()
	}
	return nil
}

// onPause passes on what has arrived.
func (c *consumerConn) onPause() error {
	if len(c.arrived) == 0 {
		return nil
	}
	defer func() {
		clear(c.arrived) // let go of what it points to
		c.arrived = c.arrived[:0]
	}()
	received := c.link.lastRead
	c.lastRecv.Store(int64(received.Sub(c.made)))
	var expires time.Time
	if timeout := c.Timeout(nil); timeout > 0 {
		expires = received.Add(timeout)
	}
	if c.idle.Load() {
		c.consumer.woken(c)
	}
	last := false
	for i := range c.arrived {
		c.arrived[i].expires = expires
		last = last || c.arrived[i].last
	}
	// Messages may be sent again before the first delivery is known here to have
	// timed out, so this is not exact.
	limit := 8*c.nsqd.highestRDY.Load() + 64
	if err := c.consumer.queue.push(c.arrived, received, int(limit)); err != nil {
		return err
	}
	if c.overrun() {
		c.consumer.rebalance()
	}
	if last {
		c.consumer.holdIfBehind(c.nsqd)
	}
	return nil
}

// isLast reports whether the next delivery of m is not given to a handler any
// more.
func (c *consumerConn) isLast(m *Message) bool {
	return m.Attempts == c.cfg.MaxAttempts && m.Attempts > 0
}

// Context returns what Message.Context does.
func (c *consumerConn) Context(m *Message) context.Context {
	if c.isLast(m) {
		return c.consumer.handling
	}
	return c.handling
}

// OnFinish sends FIN.
func (c *consumerConn) OnFinish(m *Message) {
	c.consumer.counters.finished.Add(1)
	c.consumer.noteOutcome(succeeded)
	c.answer(func(b []byte) []byte { return wire.AppendFin(b, m.ID) })
}

// OnRequeue sends REQ.
func (c *consumerConn) OnRequeue(m *Message, delay time.Duration, backoff bool) {
	c.consumer.counters.requeued.Add(1)
	if backoff {
		c.consumer.noteOutcome(failed)
	} else {
		c.consumer.noteOutcome(undecided)
	}
	delay = c.cfg.requeueDelay(m, delay)
	c.answer(func(b []byte) []byte { return wire.AppendReq(b, m.ID, delay) })
}

// Timeout implements TimeoutDelegate: it is the same for all messages.
func (c *consumerConn) Timeout(*Message) time.Duration {
	ms := c.identity.MsgTimeout
	if ms <= 0 || ms >= math.MaxInt64/int64(time.Millisecond) {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// OnTouch sends TOUCH.
func (c *consumerConn) OnTouch(m *Message) {
	c.consumer.counters.touched.Add(1)
	c.send(func(b []byte) []byte { return wire.AppendTouch(b, m.ID) })
}

// answer sends the answer to a message. That is out of flight before nsqd knows, so
// that what nsqd sends in its place is not taken for one too many.
func (c *consumerConn) answer(appendAnswer func([]byte) []byte) {
	err := c.begin()
	if err == nil {
		c.nsqdConn.queued = appendAnswer(c.nsqdConn.queued)
	}
	c.inFlight.Add(-1)
	if err == nil {
		c.commit()
	}
	c.answered()
}

// answered is called when messages are out of flight. It may be called with the
// lock of the queue held.
func (c *consumerConn) answered() {
	if c.watched.Load() {
		c.consumer.slotFreed()
	}
	c.drainIfDone()
}

// drainIfDone closes the connection if nothing can arrive and nothing is left
// to answer.
func (c *consumerConn) drainIfDone() {
	if c.quiet.Load() && c.inFlight.Load() == 0 {
		c.drain()
	}
}
