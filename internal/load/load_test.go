package load_test

import (
	"context"
	"crypto/tls"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/load"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

const (
	topic   = "t"
	channel = "c"
)

// A consuming is a consumer that runs until it is ended.
type consuming struct {
	*load.Consumer
	gate    *load.Gate
	stopped sync.WaitGroup
	err     error
}

// consume subscribes and consumes. What set changes is changed before.
func consume(t *testing.T, addr string, s load.Settings, set func(c *load.Consumer)) *consuming {
	t.Helper()
	sub, err := load.Subscribe(t.Context(), addr, s, topic, channel, 100)
	if err != nil {
		t.Fatal(err)
	}
	c := &consuming{Consumer: sub, gate: load.NewGate(1000, 1)}
	c.Took = func(n int) { c.gate.Consumed(0, n) }
	set(sub)
	c.stopped.Go(func() { c.err = sub.Run() })
	t.Cleanup(func() { c.end() })
	return c
}

// end ends it and returns what it finished.
func (c *consuming) end() load.Tally {
	c.Conn.Close()
	c.stopped.Wait()
	return c.Finished
}

// times returns a function that says yes so many times.
func times(n int) func() bool {
	return func() bool { n--; return n >= 0 }
}

func nothing(*load.Consumer) {}

func TestWhatIsPublishedArrives(t *testing.T) {
	pair := certstest.SelfSigned(t)
	opts := nsqtest.Options(t)
	opts.TLSCert, opts.TLSKey = pair.Write(t, t.TempDir(), "nsqd")
	d := nsqtest.Start(t, opts)
	bodies := load.Bodies(7, 300)
	for name, s := range map[string]load.Settings{
		"plain":   {},
		"small":   {Small: true},
		"TLS":     {TLS: &tls.Config{InsecureSkipVerify: true}},
		"snappy":  {Snappy: true},
		"deflate": {Deflate: 3},
	} {
		c := consume(t, d.TCPAddr(), s, nothing)
		var sent load.Tally
		for i, batch := range []*load.Batch{load.MPub(topic, bodies), load.Pubs(topic, bodies), load.DPub(topic, time.Millisecond, bodies[0])} {
			conn, err := load.Dial(t.Context(), d.TCPAddr(), s)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			p := load.NewProducer(conn, batch, 2, i)
			if err := p.Run(times(10)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if p.Sent.Count != int64(10*batch.Len()) || p.Confirmed.Load() != p.Sent.Count {
				t.Errorf("%s: %d sent and %d confirmed, want %d", name, p.Sent.Count, p.Confirmed.Load(), 10*batch.Len())
			}
			sent.Merge(p.Sent, 1)
			conn.Close()
		}
		nsqtest.Eventually(t, "all arrived", func() bool { return c.gate.Total() == sent.Count })
		if got := c.end(); got != sent {
			t.Errorf("%s: %+v arrived of %+v", name, got, sent)
		}
	}
}

func TestHTTP(t *testing.T) {
	d := nsqtest.Start(t, nil)
	c := consume(t, d.TCPAddr(), load.Settings{}, nothing)
	u, err := url.Parse(d.HTTPURL())
	if err != nil {
		t.Fatal(err)
	}
	bodies := load.Bodies(5, 50)
	var sent load.Tally
	for i, batch := range []*load.Batch{load.HTTPPub(topic, bodies[0]), load.HTTPMPub(topic, bodies), load.HTTPPub("*", bodies[0])} {
		nc, err := net.Dial("tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		p := load.NewHTTPProducer(nc, batch, i)
		err = p.Run(times(3))
		if i == 2 {
			if want := `publishing: the answer is "HTTP/1.1 400 Bad Request"`; err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
			continue
		}
		if err != nil {
			t.Error(err)
		}
		sent.Merge(p.Sent, 1)
	}
	nsqtest.Eventually(t, "all arrived", func() bool { return c.gate.Total() == sent.Count })
	if got := c.end(); got != sent || sent.Count != 18 {
		t.Errorf("%+v arrived of %+v", got, sent)
	}
}

func TestRequeue(t *testing.T) {
	d := nsqtest.Start(t, nil)
	conn, err := load.Dial(t.Context(), d.TCPAddr(), load.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	p := load.NewProducer(conn, load.MPub(topic, load.Bodies(10, 20)), 1, 0)
	if err := p.Run(times(1)); err != nil {
		t.Fatal(err)
	}
	c := consume(t, d.TCPAddr(), load.Settings{}, func(c *load.Consumer) {
		c.Requeue = func(m *wire.Message) bool { return m.Attempts < 4 }
	})
	nsqtest.Eventually(t, "all were delivered four times", func() bool { return c.gate.Total() == 40 })
	if got := c.end(); got != p.Sent {
		t.Errorf("%+v arrived of %+v", got, p.Sent)
	}
}

func TestPace(t *testing.T) {
	d := nsqtest.Start(t, nil)
	var mu sync.Mutex
	var late []time.Duration
	c := consume(t, d.TCPAddr(), load.Settings{}, func(c *load.Consumer) {
		c.Timed = func(stamp, now int64) {
			mu.Lock()
			defer mu.Unlock()
			late = append(late, time.Duration(now-stamp))
		}
	})
	conn, err := load.Dial(t.Context(), d.TCPAddr(), load.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	start := load.Now()
	pace := load.Pace{
		Batches:  []*load.Batch{load.Pubs(topic, load.Bodies(1, 100))},
		Interval: time.Millisecond,
		Stamp: func(i int, due, now int64) int64 {
			if want := start + int64(i)*int64(time.Millisecond); due != want || now < due {
				t.Errorf("message %d is due at %d, want %d, and sent at %d", i, due, want, now)
			}
			return due
		},
	}
	sent, err := pace.Run(t.Context(), conn, start, start+int64(30*time.Millisecond))
	if err != nil || sent.Count != 30 {
		t.Errorf("%d messages were sent, want 30, %v", sent.Count, err)
	}
	nsqtest.Eventually(t, "all arrived", func() bool { return c.gate.Total() == sent.Count })
	if got := c.end(); got != sent || len(late) != 30 {
		t.Errorf("%+v arrived of %+v, %d with a time", got, sent, len(late))
	}
	for _, l := range late {
		if l < 0 || l > nsqtest.Patience {
			t.Errorf("a message arrived %v after it was due", l)
		}
	}
}

func TestPaceEndsWithItsContext(t *testing.T) {
	d := nsqtest.Start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	conn, err := load.Dial(ctx, d.TCPAddr(), load.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	pace := load.Pace{
		Batches:  []*load.Batch{load.Pubs(topic, load.Bodies(1, 100))},
		Interval: 10 * time.Millisecond,
		Stamp: func(i int, due, _ int64) int64 {
			if i == 3 {
				cancel()
			}
			return due
		},
	}
	start := load.Now()
	if _, err := pace.Run(ctx, conn, start, start+int64(time.Hour)); err == nil {
		t.Error("no error")
	}
}

func TestErrorsAreToldInTheWordsOfNSQD(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MaxMsgSize, opts.Snappy = 100, false
	d := nsqtest.Start(t, opts)
	conn, err := load.Dial(t.Context(), d.TCPAddr(), load.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	err = load.NewProducer(conn, load.Pubs(topic, load.Bodies(1, 101)), 1, 0).Run(times(1))
	if want := "publishing: E_BAD_MESSAGE PUB message too big 101 > 100"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = load.Subscribe(t.Context(), d.TCPAddr(), load.Settings{}, "*", channel, 1)
	if want := `subscribing to */c: E_BAD_TOPIC SUB topic name "*" is not valid`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = load.Dial(t.Context(), d.TCPAddr(), load.Settings{Snappy: true})
	if err == nil || !strings.HasSuffix(err.Error(), ", which is not what was asked for") {
		t.Errorf("got %v for snappy that is off", err)
	}
}
