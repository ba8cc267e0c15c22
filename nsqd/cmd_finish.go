package nsqd

import (
	"errors"
	"fmt"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/wire"
)

// finishArrived takes the FIN commands that lie in the read buffer, under one lock.
// What it leaves to fin is the first one that a read brings, and whatever is unusual
// or an error.
func (p *protocolV2) finishArrived(c *client) {
	for c.pending.count == 0 && c.br.Buffered() >= wire.FinLen {
		arrived, _ := c.br.Peek(c.br.Buffered()) // cannot fail: the bytes are buffered
		n, full := c.inflight.finish(arrived, &c.done, c.kept)
		c.br.Discard(n * wire.FinLen)
		c.finished.Add(uint64(n))
		c.freed = c.freed || n > 0
		if !full {
			return
		}
		c.recordLatencies(time.Now())
	}
}

// fin takes FIN: the message is done on this channel.
func (p *protocolV2) fin(c *client, l *wire.Line) ([]byte, error) {
	id, ok, err := messageID(c, l, "FIN", 1)
	if err != nil {
		return nil, err
	}
	var s span
	if ok {
		s, ok = c.inflight.remove(id)
	}
	if !ok {
		return nil, errNotInFlight(c, wire.FinFailed, "FIN", l, id)
	}
	c.finished.Add(1)
	c.freed = true
	if c.kept != nil {
		*c.kept = appendRun(*c.kept, s.run())
	}
	c.countFinished(&s)
	s.b.finished(1)
	return nil, nil
}

// req takes REQ: the message is to be delivered again, at once or deferred.
func (p *protocolV2) req(c *client, l *wire.Line) ([]byte, error) {
	id, ok, err := messageID(c, l, "REQ", 2)
	if err != nil {
		return nil, err
	}
	ms, err := wire.ParseNumber(l.Param(1))
	if err != nil {
		return nil, wire.NewError(wire.Invalid, fmt.Sprintf("REQ could not parse timeout %s", l.Param(1)), err)
	}
	var delay time.Duration
	if limit := p.env.opts.MaxReqTimeout; ms > limit.Milliseconds() {
		p.env.log.Info(fmt.Sprintf("[%s] REQ timeout %d out of range 0-%d. Setting to %s", c.conn.RemoteAddr(), ms, limit.Milliseconds(), limit), "client", logging.Said(c.conn.RemoteAddr()))
		delay = limit
	} else {
		delay = time.Duration(ms) * time.Millisecond
	}
	if ok {
		ok, err = c.requeue(id, delay)
	}
	if err != nil {
		return nil, wire.NewError(wire.ReqFailed, fmt.Sprintf("REQ %s failed %s", l.Param(0), oneLine(err)), err)
	}
	if !ok {
		return nil, errNotInFlight(c, wire.ReqFailed, "REQ", l, id)
	}
	return nil, nil
}

// requeue gives a message back to the channel, if it is in flight. With an error it stays
// there, unless the channel is being deleted.
func (c *client) requeue(id guid, delay time.Duration) (ok bool, err error) {
	ch := c.channel.Load()
	if !ch.returning.enter() {
		return true, errExiting
	}
	defer ch.returning.leave()
	f, ok := c.inflight.removeFlight(id)
	if !ok {
		return false, nil
	}
	c.requeued.Add(1)
	c.freed = true
	if err = ch.answerReq(f.s, delay); err != nil && !errors.Is(err, errExiting) {
		c.requeued.Add(^uint64(0))
		c.env.scan.schedule(&c.expiry, c.inflight.putBack(f))
	}
	return true, err
}

// touch takes TOUCH: the message's time-out starts again.
func (p *protocolV2) touch(c *client, l *wire.Line) ([]byte, error) {
	id, ok, err := messageID(c, l, "TOUCH", 1)
	if err != nil {
		return nil, err
	}
	timeout := c.settings.Load().msgTimeout
	if !ok || !c.inflight.touch(id, p.env.now(), int64(timeout), int64(p.env.opts.MaxMsgTimeout)) {
		return nil, errNotInFlight(c, wire.TouchFailed, "TOUCH", l, id)
	}
	return nil, nil
}

// messageID checks the state and the parameters of a command about a message.
// Any 16 bytes are accepted; ok is false where they cannot be one of our ids.
func messageID(c *client, l *wire.Line, command string, params int) (id guid, ok bool, err error) {
	if c.state.Load() == stateInit {
		return 0, false, errState(command)
	}
	if l.Params() < params {
		return 0, false, wire.NewError(wire.Invalid, command+" insufficient number of params", nil)
	}
	if len(l.Param(0)) != wire.MessageIDLen {
		return 0, false, wire.NewError(wire.Invalid, "invalid message ID", nil)
	}
	n, ok := wire.ParseID(l.Param(0))
	return guid(n), ok, nil
}

func errNotInFlight(c *client, code, command string, l *wire.Line, id guid) error {
	reason := "ID not in flight"
	if c.channel.Load().owner(id) != nil {
		reason = "client does not own message"
	}
	return wire.NewError(code, fmt.Sprintf("%s %s failed %s", command, l.Param(0), reason), nil)
}
