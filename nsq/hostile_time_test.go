package nsq

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// trickle writes a byte at a time, each after a pause, until it is done or the
// connection is gone.
func trickle(nc net.Conn, b []byte, pause time.Duration) {
	for i := range b {
		<-time.After(pause)
		if _, err := nc.Write(b[i : i+1]); err != nil {
			return
		}
	}
}

// publishingInBubble is publishing with a channel that belongs to the bubble, as
// those that Publish uses again and again may not.
func publishingInBubble(p *Producer, body []byte) <-chan error {
	published := make(chan error, 1)
	go func() {
		done := make(chan *ProducerTransaction, 1)
		err := p.PublishAsync("t", body, done)
		if err == nil {
			err = (<-done).Error
		}
		published <- err
	}()
	return published
}

// A connection is not made for ever, however busy nsqd pretends to be.
func TestSlowHandshakeEnds(t *testing.T) {
	for name, frame := range map[string][]byte{
		"a byte now and then": wire.AppendFrame(nil, wire.FrameResponse, nsqtest.Negotiated),
		"nothing":             nil,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				go io.Copy(io.Discard, server)
				go trickle(server, frame, 10*time.Second)
				start := time.Now()
				err := newNSQDConn(client, "pipe", NewConfig()).handshake()
				if took := time.Since(start); took != time.Minute || !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%v after %v", err, took)
				}
				client.Close()
				server.Close()
				<-time.After(time.Minute) // for trickle to notice
			})
		})
	}
}

// A slow answer is an answer: no deadline holds for a whole frame.
func TestAnswerAByteAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, server := pipedProducer(t)
		published := publishingInBubble(p, []byte("x"))
		c := nsqtest.NewFakeConn(t, server)
		c.Expect("PUB t")
		answer := wire.AppendFrame(nil, wire.FrameResponse, wire.OK)
		start := time.Now()
		trickle(server, answer, 50*time.Second)
		if err := <-published; err != nil || time.Since(start) != time.Duration(len(answer))*50*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		server.Close()
		p.Stop()
	})
}

func TestMessageAByteAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handled := make(chan string, 1)
		r, c := pipeConsumer(t, func(m *Message) error { handled <- string(m.Body); return nil })
		trickle(c.Conn, wire.AppendMessageFrame(nil, 1, 1, 1, []byte("slow")), 50*time.Second)
		if body := <-handled; body != "slow" {
			t.Errorf("got %q", body)
		}
		c.Expect("FIN " + nsqtest.ID(1))
		c.Conn.Close()
		r.Stop()
		<-r.StopChan
	})
}

// A producer whose nsqd is silent, heartbeats included, ends what waits.
func TestSilentNSQDFailsPublishing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, server := pipedProducer(t)
		go io.Copy(io.Discard, server)
		start := time.Now()
		var calls []<-chan error
		for range 10 {
			calls = append(calls, publishingInBubble(p, []byte("x")))
		}
		for _, published := range calls {
			if err := <-published; !errors.Is(err, ErrNotConnected) {
				t.Errorf("got %v", err)
			}
		}
		if took := time.Since(start); took != time.Minute {
			t.Errorf("calls ended after %v", took)
		}
		server.Close()
		p.Stop()
	})
}

// An nsqd that says it lives, but reads nothing, is left after WriteTimeout, as is
// what waits to be written to it; that holds for answers to its heartbeats alone.
func TestNSQDStopsReading(t *testing.T) {
	for name, publishers := range map[string]int{"nobody publishes": 0, "many do": 50} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, server := pipedProducer(t)
				start := time.Now()
				var calls []<-chan error
				for range publishers {
					calls = append(calls, publishingInBubble(p, make([]byte, 100_000))) // together more than may wait
				}
				for {
					if _, err := server.Write(wire.AppendFrame(nil, wire.FrameResponse, wire.Heartbeat)); err != nil {
						break
					}
					<-time.After(10 * time.Millisecond)
				}
				if took := time.Since(start); took > 3*time.Second {
					t.Errorf("the connection ended after %v", took)
				}
				for _, published := range calls {
					if err := <-published; err == nil {
						t.Error("a message was taken")
					}
				}
				server.Close()
				p.Stop()
			})
		})
	}
}

// An nsqd that does not read costs a consumer the connection to that, and nothing
// else; nor does it hold up Stop.
func TestNSQDStopsReadingFromAConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handled := make(chan string, 10)
		r, stuck := pipeConsumer(t, func(m *Message) error { handled <- string(m.Body); return nil })
		r.ChangeMaxInFlight(2)
		stuck.Expect("RDY 2")
		works := addPipe(t, r, "works")
		stuck.Expect("RDY 1")
		works.Expect("SUB t c")
		works.Respond(wire.OK)
		works.Expect("RDY 1")

		stuck.Message(1, 1, "stuck") // nobody reads its FIN
		<-handled
		start := time.Now()
		for i := range uint64(5) {
			works.Message(i, 1, fmt.Sprint(i))
			<-handled
			expectAmongRDY(works, "FIN "+nsqtest.ID(i))
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("the other nsqd's messages took %v", took)
		}
		works.Expect("RDY 2")                                            // its share now
		if took := time.Since(start); took != time.Second+drainTimeout { // WriteTimeout, and for what nsqd may have said
			t.Errorf("the stuck connection was left after %v", took)
		}
		synctest.Wait()
		if n := r.Stats().Connections; n != 1 {
			t.Errorf("%d connections are left", n)
		}
		stuck.Conn.Close()
		r.Stop()
		expectAmongRDY(works, "CLS")
		works.Respond(wire.CloseWait)
		works.ExpectEnd()
		works.Conn.Close()
		<-r.StopChan
	})
}
