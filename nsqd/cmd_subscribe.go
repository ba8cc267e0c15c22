package nsqd

import (
	"context"
	"fmt"

	"github.com/seed893f581e/nsq/internal/auth"
	"github.com/seed893f581e/nsq/internal/store"
	"github.com/seed893f581e/nsq/internal/wire"
)

// sub takes SUB: the connection becomes a consumer. Messages flow once RDY
// allows it, and after the OK.
func (p *protocolV2) sub(c *client, l *wire.Line) ([]byte, error) {
	if c.state.Load() != stateInit {
		return nil, errState("SUB")
	}
	if c.settings.Load().heartbeat == 0 {
		return nil, wire.NewError(wire.Invalid, "cannot SUB with heartbeats disabled", nil)
	}
	if l.Params() < 2 {
		return nil, wire.NewError(wire.Invalid, "SUB insufficient number of parameters", nil)
	}
	if err := checkTopic("SUB", l.Param(0)); err != nil {
		return nil, err
	}
	if name := l.Param(1); !wire.ValidName(name) {
		return nil, wire.NewError(wire.BadChannel, fmt.Sprintf("SUB channel name %q is not valid", name), nil)
	}
	if err := p.authorize(c, "SUB", auth.Subscribe, l.Param(0), l.Param(1)); err != nil {
		return nil, err
	}
	ch, err := p.topics.subscribe(l.Param(0), string(l.Param(1)), c)
	if err != nil {
		return nil, wire.NewError(wire.SubFailed, fmt.Sprintf("SUB failed %s", err), err)
	}
	c.state.Store(stateSubscribed)
	c.channel.Store(ch)
	if ch.queue.log != nil {
		c.kept = new([]store.Run)
	}
	if !ch.topic.ephemeral {
		// Topic and channel are to be there after a crash. Where that cannot be
		// written they work all the same: it is logged and tried again.
		_ = p.env.saved(c.ctx)
	}
	p.recheck(c, l.Param(0), l.Param(1))
	return okResponse, nil
}

// rdy takes RDY: how many messages may be in flight.
func (p *protocolV2) rdy(c *client, l *wire.Line) ([]byte, error) {
	switch c.state.Load() {
	case stateClosing:
		return nil, nil
	case stateInit:
		return nil, errState("RDY")
	}
	count := int64(1)
	if l.Params() > 0 {
		var err error
		if count, err = wire.ParseNumber(l.Param(0)); err != nil {
			return nil, wire.NewError(wire.Invalid, fmt.Sprintf("RDY could not parse count %s", l.Param(0)), err)
		}
	}
	if limit := p.env.opts.MaxRdyCount; count > limit {
		return nil, wire.NewError(wire.Invalid, fmt.Sprintf("RDY count %d out of range 0-%d", count, limit), nil)
	}
	// The answer to SUB must not come after the first message.
	if err := c.flush(); err != nil {
		return nil, err
	}
	c.rdy.Store(count)
	c.wakePump()
	return nil, nil
}

// cls takes CLS: no more messages; those in flight can still be answered. The
// pump may be sending: CLOSE_WAIT comes after its last message.
func (p *protocolV2) cls(c *client, _ *wire.Line) ([]byte, error) {
	if c.state.Load() != stateSubscribed {
		return nil, errState("CLS")
	}
	c.quiet = make(chan struct{}) // before the state, which has the pump close it
	c.rdy.Store(0)                // too: whoever sees the state must not deliver
	c.state.Store(stateClosing)
	c.wakePump()
	select {
	case <-c.quiet:
		return []byte(wire.CloseWait), nil
	case <-c.ctx.Done():
		return nil, context.Cause(c.ctx)
	}
}
