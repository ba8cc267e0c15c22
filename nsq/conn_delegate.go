package nsq

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// ConnDelegate is told what happens on a Conn. Its methods are called by three
// goroutines, each of them for one thing after the other: what arrives, by the one
// that reads, which reads nothing else until the method returns, no heartbeat
// either; answers to messages, by another one, before nsqd gets them; OnIOError and
// OnClose last, when both have ended. A delegate may call any method of the Conn and
// of messages. What it is given belongs to it.
type ConnDelegate interface {
	// OnResponse is told of a response, such as OK or CLOSE_WAIT.
	OnResponse(c *Conn, data []byte)
	// OnError is told of an error, such as E_FIN_FAILED and why. After most of them
	// nsqd closes the connection; see ErrorCode.
	OnError(c *Conn, data []byte)
	// OnMessage is given a message, which it should hand on rather than handle.
	OnMessage(c *Conn, m *Message)

	// OnMessageFinished is told of a message's Finish. OnResume follows.
	OnMessageFinished(c *Conn, m *Message)
	// OnMessageRequeued is told of a message's Requeue, which OnBackoff follows, or
	// RequeueWithoutBackoff, which OnContinue follows.
	OnMessageRequeued(c *Conn, m *Message)
	// OnBackoff, OnContinue and OnResume say how a message went: badly, neither way
	// or well. Commands that they send reach nsqd before the answer.
	OnBackoff(c *Conn)
	OnContinue(c *Conn)
	OnResume(c *Conn)

	// OnIOError is told why a connection was lost that Close was not called for.
	OnIOError(c *Conn, err error)
	// OnHeartbeat is called before a heartbeat is answered.
	OnHeartbeat(c *Conn)
	// OnClose is called once, when the connection has ended for whatever reason. No
	// method is called after it: answers to messages that are left reach nobody.
	OnClose(c *Conn)
}

// run serves the connection until it ends.
func (c *Conn) run(nc *nsqdConn) {
	var answering sync.WaitGroup
	answering.Go(c.answerLoop)
	c.reading.Lock()
	err := nc.serve((*connFrames)(c))
	c.reading.Unlock()
	closing, left := c.end()
	c.abandon(detailed(ErrNotConnected, "connection to nsqd lost - %v", err))
	answering.Wait()

	if left > 0 {
		c.log.log(eventUnanswered, left)
	}
	switch {
	case closing:
		c.log.log(eventConnectionClosed)
	default:
		c.log.log(eventConnectionLost, err)
		c.delegate.OnIOError(c, err)
	}
	c.delegate.OnClose(c)
}

// end notes that there is no connection any more. It reports whether Close was
// called, and how many messages were not answered.
func (c *Conn) end() (closing bool, left int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	c.answers = ring[connAnswer]{}
	c.answered.Signal()
	if c.timeout != nil {
		c.timeout.Stop()
	}
	return c.closing, c.inFlight
}

// connFrames is a Conn as what it is to its nsqdConn.
type connFrames Conn

// tell calls the delegate, which may read meanwhile.
func (f *connFrames) tell(call func(*Conn)) {
	f.reading.Unlock()
	defer f.reading.Lock()
	call((*Conn)(f))
}

func (f *connFrames) onResponse(data []byte) error {
	data = bytes.Clone(data) // before others may read
	f.tell(func(c *Conn) { c.delegate.OnResponse(c, data) })
	return nil
}

func (f *connFrames) onError(data []byte) error {
	f.log.log(eventProtocolError, data)
	data = bytes.Clone(data)
	f.tell(func(c *Conn) { c.delegate.OnError(c, data) })
	return nil
}

func (f *connFrames) onHeartbeat() {
	f.tell(func(c *Conn) { c.delegate.OnHeartbeat(c) })
}

// onPause has nothing to do: the delegate is told of every frame as it comes.
func (f *connFrames) onPause() error { return nil }

func (f *connFrames) onMessage(m *Message) error {
	m.Delegate = &f.messages
	f.lastMessage.Store(f.nsqd.link.lastRead.UnixNano())
	if !f.startMessage() {
		f.nsqd.send(func(b []byte) []byte { return wire.AppendReq(b, m.ID, 0) })
		return nil
	}
	f.tell(func(c *Conn) { c.delegate.OnMessage(c, m) })
	return nil
}

// startMessage counts a message that arrived, unless the connection is closing.
func (f *connFrames) startMessage() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return false
	}
	f.inFlight++
	return true
}

// connMessages is the delegate of the messages of a Conn.
type connMessages struct{ conn *Conn }

// connAnswer is the answer to a message.
type connAnswer struct {
	m       *Message
	outcome outcome
	delay   time.Duration // with which it is requeued
}

// Context returns what Message.Context does.
func (d *connMessages) Context(*Message) context.Context { return d.conn.handling }

// OnFinish has the message finished.
func (d *connMessages) OnFinish(m *Message) {
	d.conn.answer(connAnswer{m: m, outcome: succeeded})
}

// OnRequeue has the message requeued.
func (d *connMessages) OnRequeue(m *Message, delay time.Duration, backoff bool) {
	a := connAnswer{m: m, outcome: undecided, delay: d.conn.config.requeueDelay(m, delay)}
	if backoff {
		a.outcome = failed
	}
	d.conn.answer(a)
}

// OnTouch sends TOUCH.
func (d *connMessages) OnTouch(m *Message) {
	d.conn.connection().send(func(b []byte) []byte { return wire.AppendTouch(b, m.ID) })
}

// answer queues an answer for answerLoop: whoever answers a message does not wait
// for the delegate.
func (c *Conn) answer(a connAnswer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.answers.push(a)
		c.answered.Signal()
	}
}

// answerLoop tells the delegate of answers and sends them, until the connection
// ends.
func (c *Conn) answerLoop() {
	for {
		a, ok := c.nextAnswer()
		if !ok {
			return
		}
		if a.outcome == succeeded {
			c.delegate.OnMessageFinished(c, a.m)
		} else {
			c.delegate.OnMessageRequeued(c, a.m)
		}
		switch a.outcome {
		case succeeded:
			c.delegate.OnResume(c)
		case failed:
			c.delegate.OnBackoff(c)
		case undecided:
			c.delegate.OnContinue(c)
		}
		c.nsqd.send(func(b []byte) []byte {
			if a.outcome == succeeded {
				return wire.AppendFin(b, a.m.ID)
			}
			return wire.AppendReq(b, a.m.ID, a.delay)
		})
		c.endMessage()
	}
}

// nextAnswer waits for an answer. It returns false when the connection has ended.
func (c *Conn) nextAnswer() (connAnswer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.answers.n == 0 && !c.ended {
		c.answered.Wait()
	}
	return c.answers.pop()
}

// endMessage notes that nsqd is sent the answer to a message. After the last one, a
// closing connection can end.
func (c *Conn) endMessage() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight--
	if c.closing && c.inFlight == 0 {
		c.nsqd.drain()
	}
}
