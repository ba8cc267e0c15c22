package interop_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/bench/interop"
	"github.com/seed893f581e/nsq/bench/interop/gonsq"
	"github.com/seed893f581e/nsq/bench/interop/ours"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// IDENTIFY says the same, but for what is newer than go-nsq v1.1.0.
func TestIdentify(t *testing.T) {
	for name, options := range map[string]map[string]any{
		"defaults": nil,
		"everything": {
			"client_id": "id", "hostname": "host", "user_agent": "agent", "heartbeat_interval": "2s", "sample_rate": 42,
			"output_buffer_size": 64, "output_buffer_timeout": "25ms", "msg_timeout": "3s", "deflate": true, "deflate_level": 3,
		},
		"switched off":            {"heartbeat_interval": -1, "output_buffer_timeout": -1, "output_buffer_size": -1, "user_agent": ""},
		"switched off by a field": {"heartbeat_interval": time.Duration(-1), "output_buffer_timeout": time.Duration(-1), "snappy": true},
	} {
		t.Run(name, func(t *testing.T) {
			d := allow([]difference{
				{"user_agent", `go-nsq/1\.1\.0`, `go-nsq/[0-9.]+`, "it has the version"},
				{"topology_(?:region|zone)", "<nil>", "", "newer than go-nsq v1.1.0"},
			})
			said := func(l interop.Library) map[string]any {
				broker := nsqtest.Start(t, nil)
				p := record(t, broker.TCPAddr())
				producer, err := l.NewProducer(p.addr(), interop.Setup{Options: options})
				must(t, err)
				must(t, producer.Ping())
				producer.Stop()
				var body map[string]any
				must(t, json.Unmarshal(p.identify(), &body))
				return body
			}
			theirs, own := said(gonsq.Library{}), said(ours.Library{})
			for key := range own {
				d.compare(t, key, fmt.Sprint(theirs[key]), fmt.Sprint(own[key]))
				delete(theirs, key)
			}
			if len(theirs) > 0 {
				t.Errorf("ours does not say %v", theirs)
			}
		})
	}
}

func TestPublishesOnTheWire(t *testing.T) {
	inBoth(t, `
IDENTIFY
NOP
PUB t "x"
MPUB t "\x00\x00\x00\x02\x00\x00\x00\x01a\x00\x00\x00\x02bc"
DPUB t 1 "x"
DPUB t 3600000 "x"
PUB t "1"
PUB t "2"
PUB t "3"
DPUB t 1000 "x"
MPUB t "\x00\x00\x00\x01\x00\x00\x00\x01x"
`, func(s *scenario) {
		d := nsqtest.Start(s, nil)
		r := record(s, d.TCPAddr())
		p := s.newProducer(r.addr())
		must(s, p.Ping())
		must(s, p.Publish("t", []byte("x")))
		must(s, p.MultiPublish("t", [][]byte{[]byte("a"), []byte("bc")}))
		must(s, p.DeferredPublish("t", 1999*time.Microsecond, []byte("x")))
		must(s, p.DeferredPublish("t", time.Hour, []byte("x")))
		p.PublishAsync("t", "1", "2", "3")
		p.DeferredPublishAsync("t", time.Second, "x")
		p.MultiPublishAsync("t", "x")
		r.await(11)
		s.note("%s", strings.Join(r.noted(), "\n"))
	})
}

// Outcomes come in the order of the publishes.
func TestOutcomesInOrder(t *testing.T) {
	bodies := make([]string, 1000)
	var want []string
	for i := range bodies {
		bodies[i] = fmt.Sprint("message ", i)
		want = append(want, fmt.Sprintf("{nil [%d message %d]}", i, i))
	}
	inBoth(t, strings.Join(want, "\n"), func(s *scenario) {
		d := nsqtest.Start(s, nil)
		for _, o := range s.newProducer(d.TCPAddr()).PublishAsync("t", bodies...) {
			s.note("%v", o)
		}
	})
}

// What a consumer sends from the beginning to the end.
func TestConsumerOnTheWire(t *testing.T) {
	inBoth(t, `
IDENTIFY
SUB t ch
RDY 10
FIN ID
REQ ID 1
FIN ID
REQ ID 90000
TOUCH ID
TOUCH ID
FIN ID
FIN ID
RDY 4
RDY 0
RDY 10
CLS
`, func(s *scenario) {
		d := nsqtest.Start(s, nil)
		p := s.newProducer(d.TCPAddr())
		wire := record(s, d.TCPAddr())
		r := s.newConsumer("t", map[string]any{"max_in_flight": 10, "msg_timeout": "30s"}, interop.Handler{Handle: func(m interop.Message) error {
			if m.Delivery().Attempts > 1 {
				return nil
			}
			switch m.Delivery().Body {
			case "requeue":
				m.RequeueWithoutBackoff(1999 * time.Microsecond)
			case "requeue by default":
				m.RequeueWithoutBackoff(-1)
			case "touch":
				m.Touch()
				m.Touch()
			case "finish":
				m.Finish()
				return errors.New("after the answer")
			}
			return nil
		}})
		must(s, r.ConnectToNSQD(wire.addr()))
		wire.await(3)
		for _, c := range []struct {
			body     string
			commands int
		}{{"nil", 4}, {"requeue", 6}, {"requeue by default", 7}, {"touch", 10}, {"finish", 11}} {
			must(s, p.Publish("t", []byte(c.body)))
			wire.await(c.commands)
		}
		for i, n := range []int{4, 4, 0, 0, 10} {
			r.ChangeMaxInFlight(n)
			wire.await(11 + []int{1, 1, 2, 2, 3}[i])
		}
		s.stop(r)
		wire.await(15)
		s.note("%s", strings.Join(wire.noted(), "\n"))
	})
}

// In back-off RDY 0 comes before the answer that is the reason, and what the
// reference says of log lines holds.
func TestBackoffOnTheWire(t *testing.T) {
	inBoth(t, `
IDENTIFY
SUB t ch
RDY 10
RDY 0
REQ ID 0
RDY 1
RDY 0
REQ ID 0
RDY 1
RDY 0
FIN ID
RDY 1
RDY 10
FIN ID
ERR Handler returned error (first) for msg ID
WRN backing off for 100ms (backoff level 1), setting all to RDY 0
WRN (ADDR) backoff timeout expired, sending RDY 1
ERR Handler returned error (second) for msg ID
WRN backing off for 200ms (backoff level 2), setting all to RDY 0
WRN (ADDR) backoff timeout expired, sending RDY 1
WRN backing off for 100ms (backoff level 1), setting all to RDY 0
WRN (ADDR) backoff timeout expired, sending RDY 1
WRN exiting backoff, returning all to RDY 10
`, func(s *scenario) {
		d := nsqtest.Start(s, nil)
		wire := record(s, d.TCPAddr())
		log := &logged{}
		var handled atomic.Int64
		r, err := s.consumer.NewConsumer("t", "ch", interop.Setup{
			Options: map[string]any{"max_in_flight": 10, "backoff_multiplier": "50ms", "default_requeue_delay": 0},
			Log:     log.add,
		}, interop.Handler{Handle: func(interop.Message) error {
			// go-nsq ignores a failure while it is still ending the pause before.
			<-time.After(30 * time.Millisecond)
			switch handled.Add(1) {
			case 1:
				return errors.New("first")
			case 2:
				return errors.New("second")
			}
			return nil
		}}, 1)
		must(s, err)
		s.Cleanup(func() { s.stop(r) })
		must(s, r.ConnectToNSQD(wire.addr()))
		wire.await(3)
		p := s.newProducer(d.TCPAddr())
		must(s, p.Publish("t", []byte("x")))
		wire.await(11)
		must(s, p.Publish("t", []byte("x")))
		wire.await(14)
		s.note("%s", strings.Join(wire.noted(), "\n"))
		s.note("%s", log.quoted(wire.addr()))
	})
}

// A consumer gives every connection its share, and changes it.
func TestSharesOnTheWire(t *testing.T) {
	inBoth(t, "connected: RDY 5\npaused: RDY 0\nresumed: RDY 3", func(s *scenario) {
		var wires []*recorder
		var addrs []string
		for range 2 {
			wire := record(s, nsqtest.Start(s, nil).TCPAddr())
			wires = append(wires, wire)
			addrs = append(addrs, wire.addr())
		}
		r := s.newConsumer("t", map[string]any{"max_in_flight": 10}, interop.Handler{Handle: func(interop.Message) error { return nil }})
		must(s, r.ConnectToNSQDs(addrs))
		all := func(what, rdy string, wires ...*recorder) {
			for _, wire := range wires {
				wire.awaitLast(rdy)
			}
			s.note("%s: %s", what, rdy)
		}
		all("connected", "RDY 5", wires...)
		r.ChangeMaxInFlight(0)
		all("paused", "RDY 0", wires...)
		r.ChangeMaxInFlight(7)
		all("resumed", "RDY 3", wires...)
	})
}
