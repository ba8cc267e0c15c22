package nsqd

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// pumpWrite is how much the pump takes and writes in one step.
const pumpWrite = 64 << 10

// messagePump sends the client its messages, as many as RDY allows, and
// heartbeats, until the connection ends. It never waits with a message in
// hand: what it takes is written with one call.
func (p *protocolV2) messagePump(c *client) error {
	pump := newPump(c)
	defer pump.ticker.Stop()
	defer pump.leave()
	woken := false // by the channel's token, which must be used or passed on
	for {
		room := c.room()
		ch := c.channel.Load() // after room: with RDY there is a channel
		if room > 0 && pump.mayTake(ch) {
			sent, err := pump.deliver(ch, room)
			if err != nil {
				return err
			}
			woken = false
			if sent {
				if err := pump.beatIfDue(); err != nil {
					return err
				}
				continue
			}
		}

		if woken {
			ch.queue.signal()
			woken = false
		}
		var ready <-chan struct{}
		if room > 0 {
			ready = pump.enter(ch)
		} else {
			pump.leave()
			c.waitsForRoom.Store(true)
			if c.room() > 0 { // it was made before anybody knew that we wait for it
				c.waitsForRoom.Store(false)
				continue
			}
		}
		select {
		case <-ready:
			woken = true
		case <-c.wake:
			pump.adjust()
		case <-pump.beats:
			if err := pump.beat(); err != nil {
				return err
			}
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		}
		c.waitsForRoom.Store(false)
	}
}

// A pump is what messagePump keeps between two steps.
type pump struct {
	c      *client
	spans  []span // taken from the channel
	groups []span // the same, as they are in flight
	buf    []byte // and as they are written
	used   bool   // since the last heartbeat

	heartbeat time.Duration
	ticker    *time.Ticker
	beats     <-chan time.Time // of ticker, nil when heartbeats are off
	quiet     bool             // the client knows that no message will follow

	entered  *nearestFirst // of the channel, while the client wants messages there
	locality locality      // with which it was entered
}

func newPump(c *client) *pump {
	ticker := time.NewTicker(defaultHeartbeatInterval)
	p := &pump{c: c, heartbeat: defaultHeartbeatInterval, ticker: ticker, beats: ticker.C}
	p.adjust() // IOLoop may have been faster
	return p
}

// adjust follows what IOLoop changed: the heartbeat by IDENTIFY, the state by
// CLS.
func (p *pump) adjust() {
	if p.c.state.Load() == stateClosing && !p.quiet {
		p.quiet = true
		close(p.c.quiet)
	}
	hb := p.c.settings.Load().heartbeat
	if hb == p.heartbeat {
		return
	}
	p.heartbeat = hb
	if p.beats = nil; hb > 0 {
		p.ticker.Reset(hb)
		p.beats = p.ticker.C
	}
}

// beatIfDue sends a heartbeat if it is time: under load, too.
func (p *pump) beatIfDue() error {
	select {
	case <-p.beats:
		return p.beat()
	default:
		return nil
	}
}

var heartbeatFrame = wire.AppendFrame(nil, wire.FrameResponse, wire.Heartbeat)

// beat sends a heartbeat. Buffers that were not used since the last one go.
func (p *pump) beat() error {
	if !p.used {
		p.spans, p.groups, p.buf = nil, nil, nil
	}
	p.used = false
	return p.c.write(heartbeatFrame)
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
	c := p.c
	spans, inMemory := ch.queue.take(p.spans[:0], n, pumpWrite)
	p.spans = spans
	p.leave() // before the write, which may take its time
	if len(spans) == 0 {
		return false, nil
	}
	p.used = true
	settings := c.settings.Load()
	if rate := settings.sampleRate; rate > 0 {
		spans = sample(spans, rate)
	}
	sent := 0
	p.buf, p.groups = p.buf[:0], p.groups[:0]
	for i := range spans {
		sent += int(spans[i].count)
		p.buf, p.groups = spans[i].appendFrames(p.buf, p.groups)
	}
	c.env.scan.schedule(&c.expiry, c.inflight.add(p.groups, c.env.now(), int64(settings.msgTimeout)))
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

// sample keeps each message with a probability of rate percent. The others are
// gone for the channel.
func sample(spans []span, rate int32) []span {
	var kept []span
	for _, s := range spans {
		for s.count > 0 {
			if m := s.pop(); rand.Int32N(100) < rate {
				kept = append(kept, m)
			}
		}
	}
	return kept
}
