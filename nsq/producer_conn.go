package nsq

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// producerConn is a connection with the transactions nsqd has not answered.
type producerConn struct {
	*nsqdConn
	made   time.Time
	finish func(...*ProducerTransaction) // must not wait for their doneChans
	load   atomic.Int64                  // pending.n, for who does not want to lock

	// Guarded by nsqdConn.mu, so that the order of pending is that of the commands.
	pending  ring[pendingPublication]
	counts   publishCounts // of what was pending
	answered bool          // nsqd answered at least one

	// For the goroutine that serves:
	accepted int                    // how many OKs came for transactions still pending
	ended    []*ProducerTransaction // to be finished; empty but while that is done
}

func newProducerConn(nc *nsqdConn, finish func(...*ProducerTransaction)) *producerConn {
	nc.drainLimit = 0 // Stop and StopContext know how long
	return &producerConn{nsqdConn: nc, made: time.Now(), finish: finish}
}

// closeIfAnswered closes a drained connection on which nsqd has nothing left to
// answer, once all is written. Otherwise the last answer closes it.
func (c *producerConn) closeIfAnswered() {
	_ = c.flush(context.Background()) // if it fails, the connection is closed
	c.mu.Lock()
	answered := c.pending.n == 0
	c.mu.Unlock()
	if answered {
		c.close(errDrained)
	}
}

// push makes a publication wait for the answer to the command that was queued
// last. The queue of commands must be locked.
func (c *producerConn) push(pp pendingPublication) {
	c.pending.push(pp)
	c.load.Store(int64(c.pending.n))
}

// popLocked removes the publication that was pending longest, whose result is
// known now, and returns its transaction, or nil if there is none.
func (c *producerConn) popLocked(r publishResult) *ProducerTransaction {
	pp, ok := c.pending.pop()
	if ok {
		c.counts.add(&pp, r)
		c.answered = c.answered || r != lost
	}
	return pp.t
}

// next is popLocked for who has not locked, but also notes the load.
func (c *producerConn) next(r publishResult) *ProducerTransaction {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.popLocked(r)
	c.load.Store(int64(c.pending.n))
	return t
}

// wasAnswered returns whether the connection was of any use.
func (c *producerConn) wasAnswered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.answered
}

func (c *producerConn) onResponse(data []byte) error {
	if string(data) != wire.OK {
		return unexpected(FrameTypeResponse, data)
	}
	c.accepted++
	return nil
}

// onPause ends the transactions that nsqd has accepted.
func (c *producerConn) onPause() error {
	if c.accepted == 0 {
		return nil
	}
	err := c.takeAccepted()
	c.finish(c.ended...)
	clear(c.ended) // they belong to their doneChans now
	c.ended = c.ended[:0]
	return err
}

// takeAccepted moves the transactions that nsqd has accepted from pending to
// ended. It fails if nsqd has said OK to more than there are, or if the last one
// has ended that there will be.
func (c *producerConn) takeAccepted() (err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; c.accepted > 0; c.accepted-- {
		t := c.popLocked(published)
		if t == nil {
			err = unexpected(FrameTypeResponse, []byte(wire.OK))
			continue
		}
		c.ended = append(c.ended, t)
	}
	c.load.Store(int64(c.pending.n))
	if err == nil && c.pending.n == 0 && len(c.queued) == 0 && errors.Is(c.ending, errDrained) {
		err = errDrained
	}
	return err
}

// onError ends the connection, as nsqd does: every error a publisher is told is
// fatal. The transactions behind the refused one are lost with it.
func (c *producerConn) onError(data []byte) error {
	if err := c.onPause(); err != nil { // first in, first out
		return err
	}
	t := c.next(refused)
	if t == nil {
		return unexpected(FrameTypeError, data)
	}
	err := ErrProtocol{string(data)}
	c.end(err) // first, so that the caller's next call does not find this connection
	t.Error = err
	c.finish(t)
	return err
}

func (c *producerConn) onMessage(*Message) error {
	return detailed(ErrInvalidResponse, "unexpected message")
}

func unexpected(frameType int32, data []byte) error {
	return detailed(ErrInvalidResponse, "unexpected response type=%d len=%d data[:32]=0x%x", frameType, len(data), data[:min(len(data), 32)])
}
