package nsqd

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/auth"
	"github.com/seed893f581e/nsq/internal/wire"
)

// A publish collects the messages of pipelined PUBs to one topic, as far as
// they lie in the read buffer, so that they make one batch. IOLoop owns it.
type publish struct {
	topic   [wire.MaxNameLen]byte
	nameLen int
	gather  *[]byte // the payload so far, in a buffer of the pool; nil with no messages
	count   int
}

func (b *publish) name() []byte { return b.topic[:b.nameLen] }

// gathering has buffers for payloads that are being collected. Those that are
// published are copies of the right size, as they may be kept for long.
var gathering = sync.Pool{New: func() any { return new(make([]byte, 0, wire.MaxLineLen)) }}

// commit publishes what is pending and appends an OK for each message. All of
// them are accepted or none.
func (p *protocolV2) commit(c *client) error {
	b := &c.pending
	if b.count == 0 {
		return nil
	}
	payload, count := bytes.Clone(*b.gather), b.count
	*b.gather = (*b.gather)[:0]
	gathering.Put(b.gather)
	b.gather, b.count = nil, 0
	return p.publishPubs(c, payload, count)
}

// publishPubs publishes the messages of count PUBs to the pending topic.
func (p *protocolV2) publishPubs(c *client, payload []byte, count int) error {
	return p.publish(c, "PUB", c.pending.name(), payload, count, count, 0)
}

// errPublish says why messages could not be kept, in one line, and counts that.
func (p *protocolV2) errPublish(command string, err error) error {
	p.env.publishFailed(err)
	return wire.PublishFailed(command, oneLine(err), err)
}

// oneLine returns the text of an error that may be several.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// gatherPub takes PUB: if its message has arrived whole, it joins those that
// are pending; commit answers them.
func (p *protocolV2) gatherPub(c *client, l *wire.Line) error {
	if l.Params() < 1 {
		return wire.NewError(wire.Invalid, "PUB insufficient number of parameters", nil)
	}
	topic := l.Param(0)
	if err := checkTopic("PUB", topic); err != nil {
		return err
	}
	if c.pending.count > 0 && (string(topic) != string(c.pending.name()) || c.pending.count == maxBatch) {
		if err := p.commit(c); err != nil {
			return err
		}
	}
	c.pending.nameLen = copy(c.pending.topic[:], topic)

	size, err := p.messageSize(c, "PUB")
	if err != nil {
		return err
	}
	if c.pending.count == 0 { // else the first of them was allowed just now
		if err := p.authorize(c, "PUB", auth.Publish, c.pending.name(), nil); err != nil {
			return err
		}
	}
	if size > c.br.Buffered() {
		if err := p.commit(c); err != nil {
			return err
		}
		payload, err := wire.ReadToPayload(c.br, nil, size)
		if err != nil {
			return wire.NewError(wire.BadMessage, "PUB failed to read message body", err)
		}
		return p.publishPubs(c, payload, 1)
	}
	if c.pending.gather == nil {
		c.pending.gather = gathering.Get().(*[]byte)
	}
	body, _ := c.br.Peek(size) // cannot fail: the bytes are buffered
	*c.pending.gather = wire.AppendToPayload(*c.pending.gather, body)
	c.pending.count++
	c.br.Discard(size)
	return nil
}

// dpub takes DPUB: one message that channels hold back for some milliseconds.
func (p *protocolV2) dpub(c *client, l *wire.Line) ([]byte, error) {
	if l.Params() < 2 {
		return nil, wire.NewError(wire.Invalid, "DPUB insufficient number of parameters", nil)
	}
	if err := checkTopic("DPUB", l.Param(0)); err != nil {
		return nil, err
	}
	ms, err := wire.ParseNumber(l.Param(1))
	if err != nil {
		return nil, wire.NewError(wire.Invalid, fmt.Sprintf("DPUB could not parse timeout %s", l.Param(1)), err)
	}
	if limit := p.env.opts.MaxDeferTimeout.Milliseconds(); ms > limit {
		return nil, wire.NewError(wire.Invalid, fmt.Sprintf("DPUB timeout %d out of range 0-%d", ms, limit), nil)
	}
	topic := append([]byte(nil), l.Param(0)...) // the line goes with the next read
	size, err := p.messageSize(c, "DPUB")
	if err != nil {
		return nil, err
	}
	if err := p.authorize(c, "DPUB", auth.Publish, topic, nil); err != nil {
		return nil, err
	}
	payload, err := wire.ReadToPayload(c.br, nil, size)
	if err != nil {
		return nil, wire.NewError(wire.BadMessage, "DPUB failed to read message body", err)
	}
	return nil, p.publish(c, "DPUB", topic, payload, 1, 1, time.Duration(ms)*time.Millisecond)
}

// mpub takes MPUB: several messages, of which all are accepted or none.
func (p *protocolV2) mpub(c *client, l *wire.Line) ([]byte, error) {
	if l.Params() < 1 {
		return nil, wire.NewError(wire.Invalid, "MPUB insufficient number of parameters", nil)
	}
	if err := checkTopic("MPUB", l.Param(0)); err != nil {
		return nil, err
	}
	topic := append([]byte(nil), l.Param(0)...) // the line goes with the next read
	if err := p.authorize(c, "MPUB", auth.Publish, topic, nil); err != nil {
		return nil, err
	}
	size, err := wire.ReadSize(c.br)
	if err != nil {
		return nil, wire.NewError(wire.BadBody, "MPUB failed to read body size", err)
	}
	if size <= 0 {
		return nil, wire.NewError(wire.BadBody, fmt.Sprintf("MPUB invalid body size %d", size), nil)
	}
	limit := p.env.opts.MaxBodySize
	if int64(size) > limit {
		return nil, wire.NewError(wire.BadBody, fmt.Sprintf("MPUB body too big %d > %d", size, limit), nil)
	}
	if head, err := c.br.Peek(min(int(size), wire.SizeLen)); err == nil {
		// A client that would send a large body in vain is told at once.
		if _, err := wire.ParseBatchCount(head, int(limit)); err != nil {
			return nil, err
		}
	}
	body, readErr := wire.ReadBody(c.br, nil, int(size))
	count, payload, rest, err := wire.ParseBatch(body, int(limit), int(p.env.opts.MaxMsgSize))
	switch {
	case err != nil: // also where reading failed: the batch is cut then
		return nil, err
	case readErr != nil:
		return nil, wire.NewError(wire.BadBody, "MPUB failed to read body", readErr)
	case len(rest) > 0:
		return nil, wire.NewError(wire.BadBody, fmt.Sprintf("MPUB body has %d bytes after its last message", len(rest)), nil)
	}
	return nil, p.publish(c, "MPUB", topic, payload, count, 1, 0)
}

func checkTopic(command string, name []byte) error {
	if wire.ValidName(name) {
		return nil
	}
	return wire.NewError(wire.BadTopic, fmt.Sprintf("%s topic name %q is not valid", command, name), nil)
}

// messageSize reads and checks the size of the message that follows.
func (p *protocolV2) messageSize(c *client, command string) (int, error) {
	size, err := wire.ReadSize(c.br)
	if err != nil {
		return 0, wire.NewError(wire.BadMessage, command+" failed to read message body size", err)
	}
	if size <= 0 {
		return 0, wire.NewError(wire.BadMessage, fmt.Sprintf("%s invalid message body size %d", command, size), nil)
	}
	if limit := p.env.opts.MaxMsgSize; int64(size) > limit {
		return 0, wire.NewError(wire.BadMessage, fmt.Sprintf("%s message too big %d > %d", command, size, limit), nil)
	}
	return int(size), nil
}
