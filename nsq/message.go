package nsq

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// MsgIDLength is the length of a MessageID in bytes.
const MsgIDLength = wire.MessageIDLen

// MessageID names a message on the topic of one nsqd: 16 hexadecimal digits.
type MessageID [MsgIDLength]byte

// Message is one delivery of a message. Its Body belongs to the handler: the
// package neither changes nor reuses it.
//
// A message must be answered once, by Finish or Requeue, before the time-out
// that nsqd set for it; a Consumer does so by itself after the handler
// returns, unless DisableAutoResponse was called. The methods may be called
// from any goroutine. They do not wait for the network, and an answer that
// comes too late, or after the connection was lost, is dropped: nsqd then
// delivers the message again.
type Message struct {
	ID          MessageID
	Body        []byte
	Timestamp   int64  // when nsqd accepted it, in nanoseconds since the Unix epoch
	Attempts    uint16 // deliveries so far, this one included
	NSQDAddress string // the nsqd that delivered it

	// Delegate is told about the answers. A Consumer sets it; a message
	// without one, as NewMessage returns it, only remembers its answer.
	Delegate MessageDelegate

	responded            atomic.Bool
	autoResponseDisabled atomic.Bool
}

// MessageDelegate carries the answers to a message to whoever delivered it. A
// test of a handler can set its own on a message from NewMessage.
type MessageDelegate interface {
	// OnFinish is called for the first answer, if that is Finish.
	OnFinish(m *Message)
	// OnRequeue is called for the first answer, if that is Requeue or
	// RequeueWithoutBackoff; delay is what they were given.
	OnRequeue(m *Message, delay time.Duration, backoff bool)
	// OnTouch is called for every Touch before the first answer.
	OnTouch(m *Message)
}

// ContextDelegate may be implemented by a MessageDelegate, for Message.Context.
type ContextDelegate interface {
	// Context returns the context in which m is to be handled.
	Context(m *Message) context.Context
}

// TimeoutDelegate may be implemented by a MessageDelegate, for Message.Timeout.
type TimeoutDelegate interface {
	// Timeout returns how long nsqd waits for an answer to m.
	Timeout(m *Message) time.Duration
}

// NewMessage returns a message with the current time as its timestamp. Body is
// kept, not copied.
func NewMessage(id MessageID, body []byte) *Message {
	return &Message{ID: id, Body: body, Timestamp: time.Now().UnixNano()}
}

// DecodeMessage parses the data of a message frame. The message's body is a
// slice of b.
func DecodeMessage(b []byte) (*Message, error) {
	w, err := wire.ParseMessage(b)
	if err != nil {
		return nil, ErrShortMessage
	}
	return &Message{ID: w.ID, Body: w.Body, Timestamp: w.Timestamp, Attempts: w.Attempts}, nil
}

// Finish tells nsqd that the message is done with. It does nothing if the
// message was answered before.
func (m *Message) Finish() {
	if m.responded.CompareAndSwap(false, true) && m.Delegate != nil {
		m.Delegate.OnFinish(m)
	}
}

// Requeue gives the message back to nsqd, which delivers it again, to any
// consumer of the channel, after delay. A delay of -1 stands for
// DefaultRequeueDelay times the attempts so far, at most MaxRequeueDelay. It
// does nothing if the message was answered before.
func (m *Message) Requeue(delay time.Duration) {
	m.requeue(delay, true)
}

// RequeueWithoutBackoff is Requeue for a message that did not fail: it says
// nothing about the health of what the handler works with.
func (m *Message) RequeueWithoutBackoff(delay time.Duration) {
	m.requeue(delay, false)
}

func (m *Message) requeue(delay time.Duration, backoff bool) {
	if m.responded.CompareAndSwap(false, true) && m.Delegate != nil {
		m.Delegate.OnRequeue(m, delay, backoff)
	}
}

// Touch asks nsqd to start the message's time-out again, for a handler that
// needs longer. It may be called repeatedly, and does nothing once the message
// was answered.
func (m *Message) Touch() {
	if !m.responded.Load() && m.Delegate != nil {
		m.Delegate.OnTouch(m)
	}
}

// Context returns a context for what a handler does with the message. It ends when
// an answer would reach nobody any more, because the connection to nsqd was lost
// or because the Consumer has stopped and waits no longer; context.Cause says so.
// A handler may then give up: the message comes again. On the last of MaxAttempts,
// after which it would not be handled again, a lost connection is no reason to give
// up, and does not end the context. Nor does Stop by itself. A message without a
// ContextDelegate has the background context.
func (m *Message) Context() context.Context {
	if d, ok := m.Delegate.(ContextDelegate); ok {
		return d.Context(m)
	}
	return context.Background()
}

// Timeout returns how long nsqd waits for an answer before it delivers the message
// again, from the delivery or the last Touch: what was agreed on with the nsqd that
// delivered it. It is 0 if that is not known, as without a TimeoutDelegate.
func (m *Message) Timeout() time.Duration {
	if d, ok := m.Delegate.(TimeoutDelegate); ok {
		return d.Timeout(m)
	}
	return 0
}

// HasResponded reports whether the message was finished or requeued.
func (m *Message) HasResponded() bool { return m.responded.Load() }

// DisableAutoResponse makes the handler responsible for answering the message:
// nothing is sent when it returns. The answer may come later, from another
// goroutine.
func (m *Message) DisableAutoResponse() { m.autoResponseDisabled.Store(true) }

// IsAutoResponseDisabled reports whether DisableAutoResponse was called.
func (m *Message) IsAutoResponseDisabled() bool { return m.autoResponseDisabled.Load() }

// WriteTo writes the message as the data of a message frame, which
// DecodeMessage parses.
func (m *Message) WriteTo(w io.Writer) (int64, error) {
	b := make([]byte, 0, wire.MessageHeaderLen+len(m.Body))
	b = wire.AppendMessage(b, m.Timestamp, m.Attempts, 0, m.Body)
	copy(b[wire.MessageHeaderLen-MsgIDLength:], m.ID[:]) // which need not be hexadecimal
	n, err := w.Write(b)
	return int64(n), err
}
