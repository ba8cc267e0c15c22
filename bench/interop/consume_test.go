package interop_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/bench/interop"
	"github.com/seed893f581e/nsq/bench/interop/ours"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

func TestEveryKindOfAnswer(t *testing.T) {
	inEveryPair(t, `
error 1
error 2
finish 1
finish later 1
nil 1
requeue 1
requeue 2
requeue by default 1
requeue by default 2
{Received:9 Finished:6 Requeued:3 Connections:0}
`, func(s *scenario) {
		d := nsqtest.Start(s, nil)
		p := s.newProducer(d.TCPAddr())
		const delay = 200 * time.Millisecond
		var requeued time.Time // by the only handler
		var later sync.WaitGroup
		handle := func(m interop.Message) error {
			got := m.Delivery()
			s.note("%s %d", got.Body, got.Attempts)
			switch {
			case got.Body == "finish":
				m.Finish()
			case got.Body == "finish later":
				m.DisableAutoResponse()
				later.Go(func() {
					<-time.After(50 * time.Millisecond)
					m.Finish()
				})
				return errors.New("for which there is no answer")
			case got.Body == "requeue" && got.Attempts == 1:
				requeued = time.Now()
				m.RequeueWithoutBackoff(delay)
			case got.Body == "requeue":
				if took := time.Since(requeued); took < delay {
					s.Errorf("requeued for %v and back after %v", delay, took)
				}
			case got.Body == "requeue by default" && got.Attempts == 1:
				m.RequeueWithoutBackoff(-1)
			case got.Body == "error" && got.Attempts == 1:
				return errors.New("not this time")
			}
			return nil
		}
		r := s.newConsumer("answers", map[string]any{
			"max_in_flight":         10,
			"default_requeue_delay": "10ms",
			"backoff_multiplier":    "50ms",
		}, interop.Handler{Handle: handle})
		must(s, r.ConnectToNSQD(d.TCPAddr()))
		must(s, p.MultiPublish("answers", [][]byte{
			[]byte("nil"), []byte("finish"), []byte("finish later"), []byte("requeue"), []byte("requeue by default"),
		}))
		s.await(7)
		// Last, and on its own: the consumers back off.
		must(s, p.Publish("answers", []byte("error")))
		s.await(9)
		later.Wait()
		s.sort()
		awaitEmpty(s, d, "answers")
		s.stop(r)
		s.note("%+v", r.Stats())
	})
}

func TestTouch(t *testing.T) {
	inEveryPair(t, `
touched 1
finished
forgotten 1
forgotten 2
`, func(s *scenario) {
		opts := nsqtest.Options(s)
		opts.MsgTimeout = 400 * time.Millisecond
		d := nsqtest.Start(s, opts)
		p := s.newProducer(d.TCPAddr())
		var forgotten interop.Message // by the only handler
		r := s.newConsumer("touch", map[string]any{"max_in_flight": 1}, interop.Handler{Handle: func(m interop.Message) error {
			got := m.Delivery()
			s.note("%s %d", got.Body, got.Attempts)
			if got.Body == "forgotten" {
				if got.Attempts == 1 {
					m.DisableAutoResponse()
					forgotten = m
				} else {
					forgotten.Finish() // or Stop waits for it
				}
				return nil
			}
			for range 10 { // two and a half time-outs
				<-time.After(opts.MsgTimeout / 4)
				m.Touch()
			}
			s.note("finished")
			return nil
		}})
		must(s, r.ConnectToNSQD(d.TCPAddr()))
		must(s, p.Publish("touch", []byte("touched")))
		s.await(2)
		must(s, p.Publish("touch", []byte("forgotten")))
		s.await(4)
	})
}

func TestMaxAttempts(t *testing.T) {
	inEveryPair(t, `
handled 1
handled 2
handled 3
given up x 4
`, func(s *scenario) {
		d := nsqtest.Start(s, nil)
		must(s, s.newProducer(d.TCPAddr()).Publish("attempts", []byte("x")))
		r := s.newConsumer("attempts", map[string]any{"max_attempts": 3}, interop.Handler{
			Handle: func(m interop.Message) error {
				s.note("handled %d", m.Delivery().Attempts)
				m.RequeueWithoutBackoff(0)
				if !m.HasResponded() {
					s.Error("a requeued message counts as unanswered")
				}
				return nil
			},
			Failed: func(got interop.Delivery) { s.note("given up %s %d", got.Body, got.Attempts) },
		})
		must(s, r.ConnectToNSQD(d.TCPAddr()))
		s.await(4)
		awaitEmpty(s, d, "attempts")
	})
}

func TestLookupd(t *testing.T) {
	inEveryPair(t, `
from 0
from 1
from 2, which came late
`, func(s *scenario) {
		l := nsqtest.StartLookupd(s, nil)
		var brokers []*nsqtest.NSQD
		start := func(body string) {
			opts := nsqtest.Options(s)
			opts.LookupdTCPAddresses = []string{l.TCPAddr()}
			d := nsqtest.Start(s, opts)
			must(s, s.newProducer(d.TCPAddr()).Publish("found", []byte(body)))
			brokers = append(brokers, d)
		}
		start("from 0")
		start("from 1")
		nsqtest.Eventually(s, "both brokers registered", func() bool {
			return strings.Count(body(s, l.HTTPURL()+"/lookup?topic=found"), `"tcp_port"`) == 2
		})
		r := s.newConsumer("found", map[string]any{
			"max_in_flight":         10,
			"lookupd_poll_interval": "50ms",
		}, interop.Handler{Handle: func(m interop.Message) error {
			s.note("%s", m.Delivery().Body)
			return nil
		}})
		must(s, r.ConnectToNSQLookupd(l.HTTPAddr()))
		s.await(2)
		start("from 2, which came late")
		s.await(3)
		s.sort()
		if n := r.Stats().Connections; n != len(brokers) {
			s.Errorf("%d connections to %d brokers", n, len(brokers))
		}
	})
}

func TestConnecting(t *testing.T) {
	inEveryPair(t, `
again: ErrAlreadyConnected
unknown: ErrNotConnected
2 connections
1 connections
from 0
from 1
unknown lookupd: ErrNotConnected
stopped: consumer stopped
`, func(s *scenario) {
		brokers := []*nsqtest.NSQD{nsqtest.Start(s, nil), nsqtest.Start(s, nil)}
		addrs := []string{brokers[0].TCPAddr(), brokers[1].TCPAddr()}
		var mu sync.Mutex
		arrived := map[string]bool{}
		r := s.newConsumer("both", map[string]any{"max_in_flight": 10}, interop.Handler{Handle: func(m interop.Message) error {
			mu.Lock()
			defer mu.Unlock()
			got := m.Delivery()
			for i, addr := range addrs {
				if got.From == addr {
					arrived[fmt.Sprint("from ", i)] = true
				}
			}
			return nil
		}})
		must(s, r.ConnectToNSQDs(addrs))
		s.note("again: %s", s.consumer.Describe(r.ConnectToNSQD(addrs[0])))
		s.note("unknown: %s", s.consumer.Describe(r.DisconnectFromNSQD("127.0.0.1:1")))
		s.note("%d connections", r.Stats().Connections)
		for _, addr := range addrs {
			must(s, s.newProducer(addr).Publish("both", []byte("x")))
		}
		nsqtest.EventuallyWithin(s, 30*time.Second, "both messages", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(arrived) == 2
		})
		must(s, r.DisconnectFromNSQD(addrs[1]))
		nsqtest.Eventually(s, "a disconnect", func() bool { return r.Stats().Connections == 1 })
		s.note("%d connections", r.Stats().Connections)
		for i := range brokers {
			if name := fmt.Sprint("from ", i); arrived[name] {
				s.note("%s", name)
			}
		}
		s.note("unknown lookupd: %s", s.consumer.Describe(r.DisconnectFromNSQLookupd("127.0.0.1:1")))
		s.stop(r)
		s.note("stopped: %s", s.consumer.Describe(r.ConnectToNSQD(addrs[1])))
	})
}

// Many messages, published at the same time, with several in flight: each
// arrives, and once with our library, also when consumers are paused and replaced.
func TestManyMessages(t *testing.T) {
	const messages, goroutines = 20_000, 20
	inEveryPair(t, "20000 messages", func(s *scenario) {
		opts := nsqtest.Options(s)
		opts.MemQueueSize = 2000 // the rest is on disk
		d := nsqtest.Start(s, opts)
		var mu sync.Mutex
		seen := map[string]int{}
		count := func() int {
			mu.Lock()
			defer mu.Unlock()
			return len(seen)
		}
		consume := func() interop.Consumer {
			r, err := s.consumer.NewConsumer("many", "ch", interop.Setup{Options: map[string]any{"max_in_flight": 200}}, interop.Handler{
				Handle: func(m interop.Message) error {
					mu.Lock()
					defer mu.Unlock()
					seen[m.Delivery().ID]++
					return nil
				},
			}, 4)
			must(s, err)
			must(s, r.ConnectToNSQD(d.TCPAddr()))
			return r
		}
		first := consume()
		p := s.newProducer(d.TCPAddr())
		must(s, p.PublishConcurrently("many", []byte("a message among many"), goroutines, messages))
		nsqtest.EventuallyWithin(s, 30*time.Second, "a quarter", func() bool { return count() >= messages/4 })
		first.ChangeMaxInFlight(0)
		s.stop(first)
		second := consume()
		nsqtest.EventuallyWithin(s, 30*time.Second, "all messages", func() bool { return count() >= messages })
		awaitEmpty(s, d, "many")
		s.stop(second)
		for id, times := range seen {
			// go-nsq may close a connection with answers that nsqd has not read.
			if times != 1 && s.consumer == (interop.Library)(ours.Library{}) {
				s.Errorf("%s came %d times", id, times)
			}
		}
		s.note("%d messages", len(seen))
	})
}

// awaitEmpty waits until the broker has no message in the topic, its channel,
// or in flight.
func awaitEmpty(s *scenario, d *nsqtest.NSQD, topic string) {
	s.Helper()
	nsqtest.Eventually(s, "an empty channel", func() bool {
		stats := body(s, d.HTTPURL()+"/stats?format=json&topic="+topic)
		for _, field := range []string{`"depth":`, `"in_flight_count":`, `"deferred_count":`} {
			if strings.Count(stats, field) != strings.Count(stats, field+"0,") || !strings.Contains(stats, field) {
				return false
			}
		}
		return true
	})
}

// body returns what a GET of url brings.
func body(tb testing.TB, url string) string {
	tb.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	must(tb, err)
	defer resp.Body.Close()
	var text strings.Builder
	_, err = io.Copy(&text, resp.Body)
	must(tb, err)
	return text.String()
}
