package nsq

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// pipeConsumer returns a consumer of one message at a time with a connection to
// the returned one, over a pipe, so that a test can run on a fake clock.
func pipeConsumer(t *testing.T, h HandlerFunc) (*Consumer, *nsqtest.FakeConn) {
	r, err := NewConsumer("t", "c", NewConfig())
	if err != nil {
		t.Fatal(err)
	}
	r.SetLogger(nil, LogLevelInfo)
	r.AddHandler(h)
	s := addPipe(t, r, "pipe")
	s.Expect("SUB t c")
	s.Respond(wire.OK)
	s.Expect("RDY 1")
	return r, s
}

// addPipe gives the consumer a connection to the returned one.
func addPipe(t *testing.T, r *Consumer, addr string) *nsqtest.FakeConn {
	client, server := net.Pipe()
	n, err := r.register(addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &consumerConn{nsqdConn: newNSQDConn(client, addr, &r.config), consumer: r, nsqd: n, made: time.Now()}
	c.identity.MaxRdyCount = defaultMaxRDY
	c.identity.MsgTimeout = 10_000
	if _, err := r.add(c); err != nil {
		t.Fatal(err)
	}
	go r.keepConnected(n, c)
	return nsqtest.NewFakeConn(t, server)
}

// A handler can find out by when nsqd wants to hear of it.
func TestMessageTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan time.Duration, 1)
		r, s := pipeConsumer(t, func(m *Message) error { got <- m.Timeout(); return nil })
		s.Message(1, 1, "x")
		if timeout := <-got; timeout != 10*time.Second {
			t.Errorf("the time-out is %v, nsqd said 10s", timeout)
		}
		s.Expect("FIN " + nsqtest.ID(1))
		r.Stop()
		s.Expect("CLS")
		s.Respond(wire.CloseWait)
		<-r.StopChan
		drainCommands(s)
	})
	if timeout := NewMessage(MessageID{}, nil).Timeout(); timeout != 0 {
		t.Errorf("the time-out of a message that nobody delivered is %v", timeout)
	}
}

func TestStopDoesNotWaitForHangingHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		entered, release := make(chan struct{}), make(chan struct{})
		r, s := pipeConsumer(t, func(*Message) error { close(entered); <-release; return nil })
		s.Message(1, 1, "x")
		<-entered
		start := time.Now()
		r.Stop()
		s.Expect("CLS")
		s.Respond(wire.CloseWait)
		<-r.StopChan
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("StopChan was closed after %v", took)
		}
		close(release)
		drainCommands(s)
	})
}

func TestStopDoesNotWaitForCloseWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := pipeConsumer(t, func(*Message) error { return nil })
		start := time.Now()
		r.Stop()
		s.Expect("CLS") // and no answer
		<-r.StopChan
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("StopChan was closed after %v", took)
		}
		s.Conn.Close()
	})
}

// A connection on which not even heartbeats arrive is given up on.
func TestSilentNSQDIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := pipeConsumer(t, func(*Message) error { return nil })
		s.Conn.SetReadDeadline(time.Time{})
		start := time.Now()
		for {
			if _, _, err := s.Read(); err != nil {
				break
			}
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("the connection ended after %v", took)
		}
		s.Conn.Close()
		r.Stop()
		<-r.StopChan
	})
}

// A message nsqd has given up waiting for is not handled late: it comes again.
func TestStaleMessagesAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bodies, release := make(chan string, 10), make(chan struct{})
		r, s := pipeConsumer(t, func(m *Message) error {
			bodies <- string(m.Body)
			<-release
			return nil
		})
		s.Message(1, 1, "first")
		if body := <-bodies; body != "first" {
			t.Errorf("got %q", body)
		}
		l := &callingLog{call: func() {}}
		r.SetLogger(l, LogLevelWarning)
		s.Message(2, 1, "stale")
		s.Message(3, 6, "one that handlers are not given any more")
		<-time.After(10*time.Second + time.Nanosecond)
		close(release)
		s.Expect("FIN " + nsqtest.ID(1))
		synctest.Wait()
		if n := r.conns[0].inFlight.Load(); n != 0 || len(bodies) != 0 {
			t.Errorf("%d messages are in flight, %d were handled", n, len(bodies))
		}
		<-time.After(10 * time.Second)
		synctest.Wait()
		if n := l.expect(t, "WRN ", "dropped 2 messages"); n != 1 {
			t.Errorf("%d log lines, want one for both messages", n)
		}
		s.Conn.Close()
		r.Stop()
		<-r.StopChan
	})
}

// A message that comes to a handler once more, or never, comes to it however
// late; with handlers that hang, no more are asked for than can be kept.
func TestLastAttemptsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bodies, release := make(chan string, 10), make(chan struct{})
		r, s := pipeConsumer(t, func(m *Message) error {
			bodies <- string(m.Body)
			<-release
			return nil
		})
		for i, body := range []string{"first", "second", "third"} {
			<-time.After(10*time.Second + time.Nanosecond)
			s.Message(uint64(i+1), 5, body)
		}
		s.Expect("RDY 0") // as two wait, and one may be in flight
		<-time.After(10*time.Second + time.Nanosecond)
		close(release)
		s.Expect("FIN " + nsqtest.ID(1))
		s.Expect("FIN " + nsqtest.ID(2))
		s.Expect("RDY 1")
		s.Expect("FIN " + nsqtest.ID(3))
		s.Message(4, 1, "fourth")
		s.Expect("FIN " + nsqtest.ID(4))
		for _, want := range []string{"first", "second", "third", "fourth"} {
			if body := <-bodies; body != want {
				t.Errorf("got %q, want %q", body, want)
			}
		}
		s.Conn.Close()
		r.Stop()
		<-r.StopChan
	})
}

func TestLastAttemptsOutliveTheirConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bodies, release := make(chan string, 10), make(chan struct{})
		r, s := pipeConsumer(t, func(m *Message) error {
			bodies <- string(m.Body)
			<-release
			return nil
		})
		s.Message(1, 1, "first")
		<-bodies
		s.Message(2, 4, "will be sent again")
		s.Message(3, 5, "will not")
		synctest.Wait()
		s.Conn.Close()
		synctest.Wait()
		close(release)
		r.Stop()
		<-r.StopChan
		if body := <-bodies; body != "will not" || len(bodies) != 0 {
			t.Errorf("got %q, and %d more", body, len(bodies))
		}
	})
}

// With one message for four connections, none waits longer for its turn than
// RDYRedistributeInterval, whether messages arrive or not, and no two have theirs
// at the same time.
func TestNoConnectionStarves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pipes = 4
		r, first := pipeConsumer(t, func(*Message) error { return nil })
		conns := []*nsqtest.FakeConn{first}
		for i := range pipes - 1 {
			conns = append(conns, addPipe(t, r, fmt.Sprint("pipe", i)))
		}
		var turns [pipes][]time.Time
		turns[0] = []time.Time{time.Now()}
		var draining sync.WaitGroup
		for i, c := range conns {
			draining.Go(func() {
				c.Conn.SetReadDeadline(time.Time{})
				for {
					line, _, err := c.Read()
					if err != nil {
						c.Conn.Close()
						return
					}
					switch line {
					case "SUB t c":
						c.Respond(wire.OK)
					case "RDY 1":
						turns[i] = append(turns[i], time.Now())
						if i%2 == 0 {
							c.Message(uint64(len(turns[i])), 1, "x")
						}
					}
				}
			})
		}
		for range 300 {
			<-time.After(100 * time.Millisecond)
			synctest.Wait()
			ready := int64(0)
			r.mu.Lock()
			for _, c := range r.conns {
				ready += c.rdy.Load()
			}
			r.mu.Unlock()
			if ready != 1 {
				t.Errorf("RDY adds up to %d", ready)
			}
		}
		r.Stop()
		for _, c := range conns {
			c.Conn.Close()
		}
		draining.Wait()
		<-r.StopChan
		for i, at := range turns {
			if len(at) < 6 {
				t.Errorf("connection %d had %d turns", i, len(at))
			}
			for j := range at[1:] {
				if waited := at[j+1].Sub(at[j]); waited > 5*time.Second {
					t.Errorf("connection %d waited %v for turn %d", i, waited, j+1)
				}
			}
		}
	})
}

// A program that closes what its handlers use once StopChan is closed must not
// see one begin after that.
func TestNoHandlerBeginsAfterStopChanIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var began, stopped atomic.Int32
		r, s := pipeConsumer(t, func(*Message) error {
			began.Add(1)
			<-time.After(20 * time.Second)
			return nil
		})
		r.ChangeMaxInFlight(8)
		s.Expect("RDY 8")
		for i := range 8 {
			s.Message(uint64(i+1), 5, "x") // the last attempt: kept however late
		}
		synctest.Wait()
		go drainCommands(s)
		r.Stop()
		<-r.StopChan
		stopped.Store(began.Load())
		<-time.After(time.Hour)
		if began.Load() != stopped.Load() {
			t.Errorf("%d messages were handled before the end and %d after", stopped.Load(), began.Load()-stopped.Load())
		}
		s.Conn.Close()
	})
}
