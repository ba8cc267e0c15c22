package nsqd

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/seed893f581e/nsq/internal/store"
	"github.com/seed893f581e/nsq/internal/wire"
)

// pumpWrite is how much the pump takes and writes in one step.
const pumpWrite = 64 << 10

// messagePump sends the client its messages, as many as RDY allows, and
// heartbeats, until the connection ends; if itself must end, so does the
// connection.
func (p *protocolV2) messagePump(c *client) {
	defer c.pumpEnds()
	c.pump.c = c
	c.close(c.pump.run())
}

// pumpEnds is deferred by messagePump.
func (c *client) pumpEnds() {
	defer c.pumping.Done()
	defer c.close(errPumpEnded)
	defer c.env.recoverPanic("PROTOCOL(V2)", c.conn.RemoteAddr()) // of leave
	if r := recover(); r != nil {
		c.env.logPanic("PROTOCOL(V2)", c.conn.RemoteAddr(), r)
	}
	c.pump.leave()
}

var errPumpEnded = errors.New("message pump ended")

// A pump is what messagePump keeps between two steps.
type pump struct {
	c      *client
	spans  []span // taken from the channel
	groups []span // the same, as they are in flight
	buf    []byte // and as they are written
	used   bool   // since the last heartbeat
	quiet  bool   // the client knows that no message will follow

	entered  *nearestFirst // of the channel, while the client wants messages there
	locality locality      // with which it was entered
}

// run never waits with a message in hand: what it takes is written with one
// call.
func (p *pump) run() error {
	c := p.c
	woken := false // by the channel's token, which must be used or passed on
	for {
		room := c.room()
		ch := c.channel.Load() // after room: with RDY there is a channel
		if room > 0 && p.mayTake(ch) {
			sent, err := p.deliver(ch, room)
			if err != nil {
				return err
			}
			woken = false
			if sent {
				if err := p.beatIfDue(); err != nil {
					return err
				}
				continue
			}
		}

		if woken {
			ch.queue.signal()
		}
		var ready <-chan struct{}
		if room > 0 {
			ready = p.enter(ch)
		} else {
			p.leave()
			c.waitsForRoom.Store(true)
			if c.room() > 0 { // it was made before anybody knew that we wait for it
				c.waitsForRoom.Store(false)
				woken = false
				continue
			}
		}
		if woken = p.wait(ready); !woken {
			if err := p.adjust(); err != nil {
				return err
			}
		}
		c.waitsForRoom.Store(false)
	}
}

// wait reports whether there was something in ready; if not, the pump was
// woken. What it needs of the stack is not in the way of run.
func (p *pump) wait(ready <-chan struct{}) bool {
	select {
	case <-ready:
		return true
	case <-p.c.wake:
		return false
	}
}

// adjust follows what has changed: the end of the connection, the state by CLS,
// a heartbeat that is due.
func (p *pump) adjust() error {
	if p.c.ctx.Err() != nil {
		return context.Cause(p.c.ctx)
	}
	if p.c.state.Load() == stateClosing && !p.quiet {
		p.quiet = true
		close(p.c.quiet)
	}
	return p.beatIfDue()
}

// beatIfDue sends a heartbeat if it is time. Buffers that were not used since
// the last one go.
func (p *pump) beatIfDue() error {
	if !p.c.heartbeat.take() {
		return nil
	}
	if !p.used {
		p.spans, p.groups, p.buf = nil, nil, nil
	}
	p.used = false
	if err := p.c.lockWrites(); err != nil {
		return err
	}
	err := p.c.armWritesLocked() // with less on the stack than the write has
	if err == nil {
		err = p.c.writeLocked(heartbeatFrame)
	}
	p.c.unlockWrites()
	return err
}

// mayTake reports whether it is the client's turn to take from the channel.
func (p *pump) mayTake(ch *channel) bool {
	near := ch.queue.near
	return near == nil || near.mayTake(p.c.env.opts.localityOf(p.c.settings.Load()))
}

// enter returns what the client receives from when it is its turn.
func (p *pump) enter(ch *channel) <-chan struct{} {
	near := ch.queue.near
	if near == nil {
		return ch.queue.ready
	}
	if p.entered == nil {
		p.entered, p.locality = near, p.c.env.opts.localityOf(p.c.settings.Load())
		return near.enter(p.locality)
	}
	return near.ready[p.locality]
}

// leave says that the client has taken or cannot: what is there is for others.
func (p *pump) leave() {
	if p.entered != nil {
		p.entered.leave(p.locality)
		p.entered = nil
	}
}

// deliver takes up to n messages from the channel, enters them in flight and
// sends them. It reports false when the channel had none.
func (p *pump) deliver(ch *channel, n int) (bool, error) {
	c, emptyings := p.c, ch.queue.log.emptyings()
	spans, inMemory := ch.queue.take(p.spans[:0], n, pumpWrite)
	p.spans = spans
	p.leave() // before the write, which may take its time
	if len(spans) == 0 {
		return false, nil
	}
	p.used = true
	settings := c.settings.Load()
	if rate := settings.sampleRate; rate > 0 {
		spans = ch.sample(spans, rate)
	}
	sent := 0
	p.buf, p.groups = p.buf[:0], p.groups[:0]
	for i := range spans {
		sent += int(spans[i].count)
		p.buf, p.groups = spans[i].appendFrames(p.buf, p.groups)
	}
	c.env.scan.schedule(&c.expiry, c.inflight.enterKept(ch.queue.log, emptyings, p.groups, c.env.now(), int64(settings.msgTimeout)))
	ch.countFromMemory(c, settings, inMemory)
	c.messages.Add(uint64(sent))
	clear(p.groups)
	clear(p.spans) // let go of the batches
	var err error
	if sent > 0 {
		err = c.write(p.buf)
	}
	if cap(p.buf) > 2*pumpWrite {
		p.buf = nil
	}
	return true, err
}

// appendFrames appends the message frames of s for this delivery to dst, and s
// itself, as groups, to those that are about to be in flight.
func (s span) appendFrames(dst []byte, groups []span) ([]byte, []span) {
	h := wire.NewMessageFrameHeader(s.b.time, nextAttempt(s.attempts))
	for s.count > 0 {
		group := s.group()
		groups = append(groups, group)
		for range group.count {
			m := s.pop()
			dst = h.AppendFrame(dst, uint64(m.id()), m.body())
		}
	}
	return dst, groups
}

// sample picks each message with a probability of rate percent. The others are
// gone for the channel.
func (ch *channel) sample(spans []span, rate int32) (picked []span) {
	var finished []store.Run
	for _, s := range spans {
		for s.count > 0 {
			switch m := s.pop(); {
			case rand.Int32N(100) < rate:
				picked = append(picked, m)
			case ch.queue.log != nil:
				finished = appendRun(finished, m.run())
			}
		}
	}
	if ch.queue.log != nil {
		ch.queue.log.finish(finished)
	}
	return picked
}
