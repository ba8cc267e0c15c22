package nsq

import (
	"slices"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// BatchHandler handles messages many at a time. Its method is called from as many
// goroutines at a time as AddBatchHandler was asked for. As with a Handler, a panic
// is not recovered: it ends the program.
type BatchHandler interface {
	// HandleMessages handles at least one message. All are finished when the method
	// returns nil and requeued when it returns an error, except those that were
	// answered or for which automatic answers were switched off before. The
	// messages may be kept; the slice may be changed, but is used for the next batch
	// after the method has returned.
	HandleMessages(messages []*Message) error
}

// BatchHandlerFunc is a function used as a BatchHandler.
type BatchHandlerFunc func(messages []*Message) error

// HandleMessages calls f.
func (f BatchHandlerFunc) HandleMessages(messages []*Message) error { return f(messages) }

// BatchOptions says how many messages make a batch.
type BatchOptions struct {
	// MaxMessages is the most there are in a batch; 0 stands for as many as there
	// are. As they all are in flight, MaxInFlight should be this times the
	// concurrency at least.
	MaxMessages int

	// MaxWait is how long to wait for more messages after the first; 0 means to
	// take those that are there. It is cut short when nsqd sends no more before it
	// has an answer, because a connection has as many in flight as it may, or is
	// being closed, or the consumer stops; and when half of the time is over that
	// nsqd gives for an answer.
	MaxWait time.Duration
}

// AddBatchHandler adds a handler that is called for up to concurrency batches of
// messages at a time. It panics once the consumer was told to connect.
//
// The answers to a batch are sent to each nsqd in one piece. A batch that fails
// counts as one failure to the backoff, however many messages it has. Messages that
// nsqd has given up waiting for while the batch was collected are not among those
// that the handler is given, nor are those attempted more than MaxAttempts times:
// they are finished, after LogFailedMessage if the handler has it.
func (r *Consumer) AddBatchHandler(handler BatchHandler, concurrency int, options BatchOptions) {
	collector := make(chan struct{}, 1)
	r.addWorkers(concurrency, func() { r.handleBatches(handler, options, collector) })
}

// handleBatches gives messages to handler until the queue is closed. Of those who
// share a collector, one collects at a time: who waits for more messages is to get
// them.
func (r *Consumer) handleBatches(handler BatchHandler, options BatchOptions, collector chan struct{}) {
	failed, _ := handler.(FailedMessageLogger)
	b := newBatch(&r.queue, options)
	for {
		collector <- struct{}{}
		ok := b.collect()
		<-collector
		if !ok {
			return
		}
		r.holdBehind(b)
		b.deliveries = slices.DeleteFunc(b.deliveries, func(d delivery) bool { return r.givenUp(d.m, failed) })
		b.dropStale(time.Now())
		if len(b.deliveries) > 0 {
			r.handleBatch(handler, b)
		}
		b.reset()
	}
}

func (r *Consumer) handleBatch(handler BatchHandler, b *batch) {
	for i := range b.deliveries {
		b.messages = append(b.messages, b.deliveries[i].m)
	}
	err := handler.HandleMessages(b.messages)
	if err != nil {
		r.counters.handlerErrors.Add(1)
		r.log(eventBatchFailed, verbatim{err}, len(b.deliveries))
	}
	if !b.answerOthers(err) {
		return
	}
	if err != nil {
		r.noteOutcome(failed)
	} else {
		r.noteOutcome(succeeded)
	}
	for _, c := range b.from {
		c.answerBatch(b.deliveries, err)
	}
}

// holdBehind is holdIfBehind for the nsqds that messages of a batch on their last
// delivery are from.
func (r *Consumer) holdBehind(b *batch) {
	var checked *nsqd
	for i := range b.deliveries {
		if d := &b.deliveries[i]; d.last && d.c.nsqd != checked {
			checked = d.c.nsqd
			r.holdIfBehind(checked)
		}
	}
}

// batch is what one goroutine collects, handles and answers at a time. Its memory
// is used for one batch after the other.
type batch struct {
	queue   *messageQueue
	options BatchOptions
	timer   *time.Timer // wakes who collects

	deliveries []delivery
	messages   []*Message      // what the handler is given
	from       []*consumerConn // each once
	until      time.Time       // when to wait no longer
}

func newBatch(q *messageQueue, options BatchOptions) *batch {
	b := &batch{queue: q, options: options, timer: time.AfterFunc(time.Hour, q.stopCollecting)}
	b.timer.Stop()
	return b
}

// reset lets go of the messages.
func (b *batch) reset() {
	clear(b.deliveries)
	clear(b.messages)
	clear(b.from)
	b.deliveries, b.messages, b.from = b.deliveries[:0], b.messages[:0], b.from[:0]
}

// collect waits for a message and takes it, and others up to the limits of the
// options. It returns false once the queue is closed and empty.
func (b *batch) collect() bool {
	q := b.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	d, ok := q.popLocked()
	if !ok {
		return false
	}
	now := time.Now()
	b.until = now.Add(b.options.MaxWait)
	b.add(d, now)
	for b.options.MaxMessages <= 0 || len(b.deliveries) < b.options.MaxMessages {
		if d, ok := q.nextLocked(now); ok {
			b.add(d, now)
			continue
		}
		if q.hurried || !now.Before(b.until) || b.full() {
			break
		}
		b.awaitMoreLocked(now)
		now = time.Now()
	}
	if q.last.n+q.waiting.n > 0 {
		q.ready.Signal() // it may be that only we were told
	}
	return true
}

// awaitMoreLocked waits until the batch may be able to grow, or has waited enough.
func (b *batch) awaitMoreLocked(now time.Time) {
	b.timer.Reset(b.until.Sub(now))
	defer b.timer.Stop()
	b.queue.collecting++
	b.queue.more.Wait()
	b.queue.collecting--
}

func (b *batch) add(d delivery, now time.Time) {
	b.deliveries = append(b.deliveries, d)
	if n := len(b.from); (n == 0 || b.from[n-1] != d.c) && !slices.Contains(b.from, d.c) {
		b.from = append(b.from, d.c)
	}
	if !d.expires.IsZero() {
		if half := now.Add(d.expires.Sub(now) / 2); half.Before(b.until) {
			b.until = half
		}
	}
}

// full reports whether some connection waits for answers to messages of the batch.
func (b *batch) full() bool {
	return slices.ContainsFunc(b.from, (*consumerConn).full)
}

// full reports whether nsqd sends no more messages before one is answered.
func (c *consumerConn) full() bool {
	return c.closing.Load() || c.inFlight.Load() >= c.rdy.Load()
}

// dropStale drops the messages that an answer would come too late for. When the
// consumer does not wait for handlers any more, these are all.
func (b *batch) dropStale(now time.Time) {
	q := b.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	b.deliveries = slices.DeleteFunc(b.deliveries, func(d delivery) bool {
		stale := q.abandoned || !d.last && d.stale(now)
		if stale {
			q.dropLocked(d)
		}
		return stale
	})
}

// answerOthers answers those messages that have got a Delegate of the program's,
// and reports whether any of the others are to be answered.
func (b *batch) answerOthers(err error) (more bool) {
	for i := range b.deliveries {
		m, c := b.deliveries[i].m, b.deliveries[i].c
		switch {
		case m.IsAutoResponseDisabled() || m.HasResponded():
		case m.Delegate == MessageDelegate(c):
			more = true
		case err != nil:
			m.Requeue(-1)
		default:
			m.Finish()
		}
	}
	return more
}

// answerBatch answers those messages of the connection that have not been: with
// REQ if err is not nil, and with FIN otherwise.
func (c *consumerConn) answerBatch(deliveries []delivery, err error) {
	if n := c.sendAnswers(deliveries, err); n > 0 {
		if err != nil {
			c.consumer.counters.requeued.Add(uint64(n))
		} else {
			c.consumer.counters.finished.Add(uint64(n))
		}
		c.answered()
	}
}

// sendAnswers returns how many messages it has answered. They are out of flight
// before nsqd knows; see answer.
func (c *consumerConn) sendAnswers(deliveries []delivery, err error) (n int) {
	open := c.begin() == nil
	defer func() {
		c.inFlight.Add(int64(-n))
		if open {
			c.commit()
		}
	}()
	for i := range deliveries {
		m := deliveries[i].m
		if deliveries[i].c != c || m.IsAutoResponseDisabled() || !m.responded.CompareAndSwap(false, true) {
			continue
		}
		n++
		switch {
		case !open: // nobody gets it
		case err != nil:
			c.nsqdConn.queued = wire.AppendReq(c.nsqdConn.queued, m.ID, c.cfg.requeueDelay(m, -1))
		default:
			c.nsqdConn.queued = wire.AppendFin(c.nsqdConn.queued, m.ID)
		}
	}
	return n
}
