package interop_test

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/bench/interop"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

func TestEveryKindOfPublish(t *testing.T) {
	inEveryPair(t, `
async 1, 1 attempts
async 2, 1 attempts
deferred async, 1 attempts
deferred, 1 attempts
multi 1, 1 attempts
multi 2, 1 attempts
multi async 1, 1 attempts
multi async 2, 1 attempts
outcome of deferred: {nil []}
outcome of multi: {nil [2]}
outcome: {nil [0 async 1]}
outcome: {nil [1 async 2]}
sync, 1 attempts
`, func(s *scenario) {
		d := nsqtest.Start(s, nil)
		p := s.newProducer(d.TCPAddr())
		must(s, p.Ping())
		if p.String() != d.TCPAddr() {
			s.Errorf("the producer is called %q", p)
		}
		const delay = 300 * time.Millisecond
		published := time.Now()
		must(s, p.Publish("kinds", []byte("sync")))
		must(s, p.MultiPublish("kinds", [][]byte{[]byte("multi 1"), []byte("multi 2")}))
		must(s, p.DeferredPublish("kinds", delay, []byte("deferred")))
		for _, o := range p.PublishAsync("kinds", "async 1", "async 2") {
			s.note("outcome: %v", o)
		}
		for _, o := range p.MultiPublishAsync("kinds", "multi async 1", "multi async 2") {
			s.note("outcome of multi: %v", o)
		}
		for _, o := range p.DeferredPublishAsync("kinds", delay, "deferred async") {
			s.note("outcome of deferred: %v", o)
		}

		r := s.newConsumer("kinds", map[string]any{"max_in_flight": 10}, interop.Handler{Handle: func(m interop.Message) error {
			got := m.Delivery()
			if took := time.Since(published); strings.HasPrefix(got.Body, "deferred") && took < delay {
				s.Errorf("%s came after %v", got.Body, took)
			}
			if at := time.Unix(0, got.Timestamp); at.Before(published.Add(-time.Second)) || at.After(time.Now().Add(time.Second)) {
				s.Errorf("%s has the timestamp %v", got.Body, at)
			}
			if len(got.ID) != 16 || got.From != d.TCPAddr() {
				s.Errorf("%s has the ID %q and comes from %s", got.Body, got.ID, got.From)
			}
			s.note("%s, %d attempts", got.Body, got.Attempts)
			return nil
		}})
		must(s, r.ConnectToNSQD(d.TCPAddr()))
		s.await(13)
		s.sort()
	})
}

func TestRefusedPublish(t *testing.T) {
	inEveryPair(t, `
bad topic: ErrProtocol: E_BAD_TOPIC PUB topic name "bad$" is not valid
bad topic, multi: ErrProtocol: E_BAD_TOPIC MPUB topic name "bad$" is not valid
bad topic, deferred: ErrProtocol: E_BAD_TOPIC DPUB topic name "bad$" is not valid
bad topic, async: [{ErrProtocol: E_BAD_TOPIC PUB topic name "bad$" is not valid [0 x]}]
empty: ErrProtocol: E_BAD_MESSAGE PUB invalid message body size 0
too big: ErrProtocol: E_BAD_MESSAGE PUB message too big 1025 > 1024
too big, async: [{ErrProtocol: E_BAD_MESSAGE DPUB message too big 1025 > 1024 []}]
none: ErrProtocol: E_BAD_BODY MPUB invalid message count 0
empty in multi: ErrProtocol: E_BAD_MESSAGE MPUB invalid message(1) body size 0
deferred too long: ErrProtocol: E_INVALID DPUB timeout 7200000 out of range 0-3600000
deferred into the past: ErrProtocol: E_INVALID DPUB could not parse timeout -1000
`, func(s *scenario) {
		opts := nsqtest.Options(s)
		opts.MaxMsgSize = 1024
		d := nsqtest.Start(s, opts)
		x, big := []byte("x"), bytes.Repeat([]byte("x"), 1025)
		for _, c := range []struct {
			name    string
			publish func(interop.Producer) any
		}{
			{"bad topic", func(p interop.Producer) any { return p.Publish("bad$", x) }},
			{"bad topic, multi", func(p interop.Producer) any { return p.MultiPublish("bad$", [][]byte{x}) }},
			{"bad topic, deferred", func(p interop.Producer) any { return p.DeferredPublish("bad$", time.Second, x) }},
			{"bad topic, async", func(p interop.Producer) any { return p.PublishAsync("bad$", "x") }},
			{"empty", func(p interop.Producer) any { return p.Publish("t", []byte{}) }},
			{"too big", func(p interop.Producer) any { return p.Publish("t", big) }},
			{"too big, async", func(p interop.Producer) any { return p.DeferredPublishAsync("t", time.Second, string(big)) }},
			{"none", func(p interop.Producer) any { return p.MultiPublish("t", nil) }},
			{"empty in multi", func(p interop.Producer) any { return p.MultiPublish("t", [][]byte{x, {}}) }},
			{"deferred too long", func(p interop.Producer) any { return p.DeferredPublish("t", 2*time.Hour, x) }},
			{"deferred into the past", func(p interop.Producer) any { return p.DeferredPublish("t", -time.Second, x) }},
		} {
			// go-nsq may fail with ErrNotConnected while it closes the connection.
			p := s.newProducer(d.TCPAddr())
			must(s, p.Publish("t", x))
			got := c.publish(p)
			if err, ok := got.(error); ok {
				got = s.producer.Describe(err)
			}
			s.note("%s: %v", c.name, got)
			p.Stop()
		}
	})
}

func TestProducerWithoutBroker(t *testing.T) {
	inEveryPair(t, `
no broker: dial tcp ADDR: connect: connection refused
no broker, ping: dial tcp ADDR: connect: connection refused
no broker, async: [{at once: dial tcp ADDR: connect: connection refused []}]
lost: ErrNotConnected
stopped: ErrStopped
stopped, async: [{at once: ErrStopped []}]
`, func(s *scenario) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		must(s, err)
		addr := l.Addr().String()
		l.Close()
		without := func(text string) string { return strings.ReplaceAll(text, addr, "ADDR") }
		p := s.newProducer(addr)
		s.note("no broker: %s", without(s.producer.Describe(p.Publish("t", []byte("x")))))
		s.note("no broker, ping: %s", without(s.producer.Describe(p.Ping())))
		outcome := p.PublishAsync("t", "x")
		outcome[0].Error = without(outcome[0].Error)
		s.note("no broker, async: %v", outcome)

		l, err = net.Listen("tcp", "127.0.0.1:0")
		must(s, err)
		defer l.Close()
		go closeAfterPublish(l)
		lost := s.newProducer(l.Addr().String())
		s.note("lost: %s", s.producer.Describe(lost.Publish("t", []byte("last words"))))

		d := nsqtest.Start(s, nil)
		stopped := s.newProducer(d.TCPAddr())
		must(s, stopped.Publish("t", []byte("x")))
		stopped.Stop()
		stopped.Stop()
		s.note("stopped: %s", s.producer.Describe(stopped.Publish("t", []byte("x"))))
		s.note("stopped, async: %v", stopped.PublishAsync("t", "x"))
	})
}

// closeAfterPublish answers IDENTIFY on one connection, and closes it when the
// last words came.
func closeAfterPublish(l net.Listener) {
	c, err := l.Accept()
	if err != nil {
		return
	}
	defer c.Close()
	identified := false
	var got []byte
	for buf := make([]byte, 4096); !bytes.Contains(got, []byte("last words")); {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		got = append(got, buf[:n]...)
		if !identified && bytes.HasSuffix(got, []byte("}")) {
			identified = true
			c.Write([]byte("\x00\x00\x00\x06\x00\x00\x00\x00OK"))
		}
	}
}
