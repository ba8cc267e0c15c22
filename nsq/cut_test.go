package nsq

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// healthyNSQD answers as an nsqd does that has nothing to complain about. Each
// topic has two messages, which it delivers, one at a time, until they are
// finished.
type healthyNSQD struct {
	*nsqtest.Fake

	mu        sync.Mutex
	finished  map[string]int  // by topic: 2 at the end
	published map[string]bool // bodies
}

func newHealthyNSQD(t *testing.T) *healthyNSQD {
	var serving sync.WaitGroup
	t.Cleanup(serving.Wait) // after the fake has ended
	h := &healthyNSQD{Fake: nsqtest.NewFake(t), finished: map[string]int{}, published: map[string]bool{}}
	serving.Go(func() {
		for nc := range h.Conns {
			serving.Go(func() { h.serve(nc) })
		}
	})
	return h
}

func (h *healthyNSQD) serve(nc net.Conn) {
	defer nc.Close()
	c := nsqtest.NewFakeConn(h.TB, nc)
	c.Reader.Discard(len(wire.MagicV2))
	topic, inFlight := "", false
	for {
		line, body, err := c.Read()
		if err != nil {
			return
		}
		var answer []byte
		switch name, rest, _ := strings.Cut(line, " "); name {
		case "IDENTIFY":
			answer = wire.AppendFrame(nil, wire.FrameResponse, nsqtest.Negotiated)
		case "PUB", "MPUB":
			h.took(string(body))
			answer = wire.AppendFrame(nil, wire.FrameResponse, wire.Heartbeat)
			answer = wire.AppendFrame(answer, wire.FrameResponse, wire.OK)
		case "SUB":
			topic, _, _ = strings.Cut(rest, " ")
			answer = wire.AppendFrame(nil, wire.FrameResponse, wire.OK)
		case "RDY":
			if inFlight || rest == "0" {
				continue
			}
			answer, inFlight = h.next(topic)
		case "FIN":
			h.finish(topic, rest)
			answer, inFlight = h.next(topic)
		case "CLS":
			answer = wire.AppendFrame(nil, wire.FrameResponse, wire.CloseWait)
		}
		if _, err := nc.Write(answer); err != nil {
			return
		}
	}
}

func (h *healthyNSQD) took(body string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.published[body] = true
}

// next returns a frame with the message of a topic that is to be delivered, if
// there is one.
func (h *healthyNSQD) next(topic string) (frame []byte, ok bool) {
	n := h.finishedOf(topic)
	if n == 2 {
		return nil, false
	}
	return wire.AppendMessageFrame(nil, 1234567890, 1, uint64(n), fmt.Append(nil, n)), true
}

func (h *healthyNSQD) finish(topic, id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if id == nsqtest.ID(uint64(h.finished[topic])) {
		h.finished[topic]++
	}
}

func (h *healthyNSQD) finishedOf(topic string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.finished[topic]
}

// cutEverywhere calls run with every position in which the first connection of
// a client of h can be cut, in either direction: with a proxy that does so, and
// a name that is used once. It fails if run does, or does not return.
func cutEverywhere(t *testing.T, h *healthyNSQD, run func(name, addr string) error) {
	for _, answers := range []bool{false, true} {
		for _, manners := range [][]nsqtest.Manner{
			{nsqtest.Reset},
			{nsqtest.Closed, nsqtest.HalfClosed, nsqtest.Stalled, nsqtest.Lopsided},
		} {
			var position, cuts atomic.Int64
			var workers sync.WaitGroup
			for range 100 {
				workers.Go(func() {
					for wasCut := true; wasCut && !t.Failed(); {
						n := position.Add(1) - 1
						cut := nsqtest.Cut{After: n, Answers: answers, Manner: manners[int(n)%len(manners)], Pause: 10 * time.Millisecond}
						var made atomic.Bool
						proxy := nsqtest.NewProxy(t, h.Addr, func() nsqtest.Cut {
							if made.Swap(true) {
								return nsqtest.NoCut
							}
							return cut
						})
						if err := run(fmt.Sprintf("t%d.%d.%04d", len(manners), len(fmt.Sprint(answers)), n), proxy.Addr); err != nil {
							t.Errorf("%s after %d bytes, answers %v: %v", cut.Manner, n, answers, err)
						}
						cuts.Add(proxy.Cuts())
						wasCut = proxy.Cuts() > 0
						proxy.Close()
					}
				})
			}
			nsqtest.Within(t, "the end of all that was cut", workers.Wait)
			t.Logf("%d positions, answers %v", cuts.Load(), answers)
			if cuts.Load() < 100 {
				t.Errorf("only %d cuts", cuts.Load())
			}
		}
	}
}

// isLoss reports whether err is what a call may say whose connection is lost.
func isLoss(err error) bool {
	var identify ErrIdentify
	return errors.As(err, &identify) || errors.Is(err, ErrNotConnected) ||
		errors.Is(err, syscall.ECONNRESET) // while it was dialed
}

// cutConfig has time for connections: with so many at once, the network drops
// attempts, which are repeated after a second.
func cutConfig() *Config {
	cfg := NewConfig()
	cfg.DialTimeout = nsqtest.Patience
	return cfg
}

// Wherever a producer's connection is cut, one call fails at most, what did not
// fail is there, and Stop returns.
func TestProducerIsCutAtEveryByte(t *testing.T) {
	h := newHealthyNSQD(t)
	cutEverywhere(t, h, func(name, addr string) error {
		p, err := NewProducer(addr, cutConfig())
		if err != nil {
			return err
		}
		defer p.Stop()
		p.SetLogger(nil, LogLevelInfo)
		failures := 0
		done := make(chan *ProducerTransaction, 1)
		for i, publish := range []func(body []byte) error{
			func(body []byte) error { return p.Publish("t", body) },
			func(body []byte) error { return p.MultiPublish("t", [][]byte{body, body}) },
			func(body []byte) error {
				if err := p.PublishAsync("t", body, done); err != nil {
					return err
				}
				return (<-done).Error
			},
			func(body []byte) error { return p.Publish("t", body) },
		} {
			body := fmt.Append(nil, name, " ", i)
			for {
				err := publish(body)
				if err == nil {
					break
				}
				failures++
				if failures > 1 || !isLoss(err) {
					return fmt.Errorf("call %d failed, %d failures: %w", i, failures, err)
				}
			}
			taken := string(body)
			if i == 1 {
				taken = string(wire.AppendBatch(nil, [][]byte{body, body}))
			}
			h.mu.Lock()
			there := h.published[taken]
			h.mu.Unlock()
			if !there {
				return fmt.Errorf("message %q is not there", taken)
			}
		}
		return nil
	})
}

// Wherever a consumer's connection is cut, it comes back, both messages are
// handled and finished, and the consumer stops.
func TestConsumerIsCutAtEveryByte(t *testing.T) {
	h := newHealthyNSQD(t)
	cutEverywhere(t, h, func(name, addr string) error {
		cfg := cutConfig()
		cfg.LookupdPollInterval = 10 * time.Millisecond // between attempts to connect again
		r, err := NewConsumer(name, "c", cfg)
		if err != nil {
			return err
		}
		r.SetLogger(nil, LogLevelInfo)
		var mu sync.Mutex
		handled := map[string]bool{}
		r.AddHandler(HandlerFunc(func(m *Message) error {
			mu.Lock()
			defer mu.Unlock()
			handled[string(m.Body)] = true
			return nil
		}))
		defer func() {
			r.Stop()
			<-r.StopChan
		}()
		if err := r.ConnectToNSQD(addr); err != nil {
			if !isLoss(err) {
				return err
			}
			if err := r.ConnectToNSQD(addr); err != nil {
				return fmt.Errorf("for a second time: %w", err)
			}
		}
		for tick := time.NewTicker(time.Millisecond); h.finishedOf(name) < 2; {
			<-tick.C
		}
		mu.Lock()
		defer mu.Unlock()
		if len(handled) != 2 {
			return fmt.Errorf("handled were %v", handled)
		}
		return nil
	})
}
