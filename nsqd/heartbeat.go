package nsqd

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

var heartbeatFrame = wire.AppendFrame(nil, wire.FrameResponse, wire.Heartbeat)

// heartbeatGrid returns the distance of the times at which heartbeats of an interval
// are sent, so that one wake-up serves all clients whose time is nearly the same. A
// first heartbeat is late by so much at most.
func heartbeatGrid(interval int64) int64 { return min(interval/128, int64(40*time.Millisecond)) }

// A heartbeat is when a client is to be sent one. The queue scan, which knows the
// next time of all, wakes the pump then: no connection has a timer of its own.
type heartbeat struct {
	item scanItem
	due  atomic.Bool // the pump has not sent it yet

	mu       sync.Mutex // interval, next
	interval int64      // 0 when heartbeats are off
	next     int64      // on the daemon's clock
}

// take reports whether a heartbeat is due, which the caller then sends.
func (h *heartbeat) take() bool { return h.due.Load() && h.due.Swap(false) }

// setHeartbeat has a heartbeat sent every interval from now on, or none if it
// is 0. If that is how it was, nothing changes.
func (c *client) setHeartbeat(interval time.Duration) {
	h := &c.heartbeat
	h.mu.Lock()
	if h.interval == int64(interval) {
		h.mu.Unlock()
		return
	}
	h.interval = int64(interval)
	h.next = 0
	if interval > 0 {
		h.next = c.env.now() + h.interval
		grid := heartbeatGrid(h.interval)
		h.next += grid - h.next%grid
	}
	next := h.next
	h.mu.Unlock()
	c.env.scan.schedule(&h.item, next)
}

// stopHeartbeat is for the end of the connection.
func (c *client) stopHeartbeat() {
	c.setHeartbeat(0)
	c.env.scan.forget(&c.heartbeat.item)
}

// heartbeatDue wakes the pump if it is time, for the scan, which may come too
// early where the interval was changed.
func (c *client) heartbeatDue(now int64) (next int64) {
	h := &c.heartbeat
	h.mu.Lock()
	due := h.next != 0 && h.next <= now
	if due {
		if h.next += h.interval; h.next <= now {
			h.next = now + h.interval // those missed are not made up for
		}
		h.due.Store(true)
	}
	next = h.next
	h.mu.Unlock()
	if due {
		c.wakePump()
	}
	return next
}
