package nsqd_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

// wantLatency compares the percentiles of every topic and channel, in the form
// "topic: 3 1=250ms 0.5=10ms; topic/channel: ...".
func wantLatency(t *testing.T, n *nsqd.NSQD, want string) {
	t.Helper()
	got := ""
	show := func(name string, l stats.Latency) {
		if got != "" {
			got += "; "
		}
		got += fmt.Sprintf("%s: %d", name, l.Count)
		for _, p := range l.Percentiles {
			got += fmt.Sprintf(" %v=%v", p.Quantile, time.Duration(p.Value).Round(25*time.Millisecond)) // they are exact to 1 %
		}
	}
	for _, topic := range n.Stats().Topics {
		show(topic.Name, topic.E2E)
		for _, ch := range topic.Channels {
			show(topic.Name+"/"+ch.Name, ch.E2E)
		}
	}
	if got != want {
		t.Errorf("\ngot  %s\nwant %s", got, want)
	}
}

func optionsWithPercentiles(tb testing.TB, percentiles ...float64) *nsqd.Options {
	opts := nsqtest.Options(tb)
	opts.E2EProcessingLatencyPercentiles = percentiles
	return opts
}

// after waits on a bubble's clock.
func after(d time.Duration) { <-time.After(d) }

func TestLatencyIsFromPublishToFIN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, optionsWithPercentiles(t, 1, 0.5))
		b.createChannel("t", "a")
		b.createChannel("t", "b")
		wantLatency(t, b.NSQD, "t: 0 1=0s 0.5=0s; t/a: 0 1=0s 0.5=0s; t/b: 0 1=0s 0.5=0s")

		p, c := b.dial(), b.dial()
		c.consume("t", "a", 10)
		p.mpub("t", "1", "2", "3")
		p.dpub("t", time.Second, "4")
		one, two, three := c.message(), c.message(), c.message()
		after(250 * time.Millisecond)
		c.fin(one)
		c.fin(two)
		c.req(three, 0) // is not done
		three = c.message()
		after(500 * time.Millisecond)
		c.fin(three)
		c.fin(c.message()) // the deferred one
		synctest.Wait()
		wantLatency(t, b.NSQD, "t: 4 1=1s 0.5=250ms; t/a: 4 1=1s 0.5=250ms; t/b: 0 1=0s 0.5=0s")

		d := b.dial()
		d.consume("t", "b", 3)
		d.take(2)
		d.message()
		after(9 * time.Second)
		d.close() // its messages come back, unfinished, and what it finished counts on
		synctest.Wait()
		wantLatency(t, b.NSQD, "t: 6 1=1s 0.5=750ms; t/a: 4 1=1s 0.5=250ms; t/b: 2 1=1s 0.5=1s")
	})
}

func TestTimeOutIsNoLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := optionsWithPercentiles(t, 1)
		opts.MsgTimeout = time.Second
		b := startInBubble(t, opts)
		c := b.dial()
		c.consume("t", "c", 1)
		b.dial().pub("t", "x")
		c.message()
		m := c.message() // a second later
		synctest.Wait()
		wantLatency(t, b.NSQD, "t: 0 1=0s; t/c: 0 1=0s")
		c.fin(m)
		c.fin(m) // in vain
		c.next()
		wantLatency(t, b.NSQD, "t: 1 1=1s; t/c: 1 1=1s")
	})
}

// A message that lay on disk over a restart has its time from then.
func TestLatencyCoversARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, optionsWithPercentiles(t, 1))
		b.createChannel("t", "c")
		b.dial().pub("t", "x")
		b = b.restart(time.Hour)
		c := b.dial()
		c.consume("t", "c", 1)
		c.take(1)
		synctest.Wait()
		wantLatency(t, b.NSQD, "t: 1 1=1h0m0s; t/c: 1 1=1h0m0s")
	})
}

func TestLatencyIsForgottenAfterTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := optionsWithPercentiles(t, 1)
		opts.E2EProcessingLatencyWindowTime = 4 * time.Minute
		b := startInBubble(t, opts)
		c, p := b.dial(), b.dial()
		p.identify(`{"heartbeat_interval":-1}`)
		c.consume("t", "c", 1)
		go func() {
			for m := range 4 {
				p.pub("t", fmt.Sprint(m))
				after(time.Minute)
			}
		}()
		for range 4 {
			c.take(1)
		}
		synctest.Wait()
		wantLatency(t, b.NSQD, "t: 4 1=0s; t/c: 4 1=0s") // at 0, 1, 2 and 3 minutes
		after(time.Minute - time.Second)
		wantLatency(t, b.NSQD, "t: 4 1=0s; t/c: 4 1=0s")
		after(time.Second)
		wantLatency(t, b.NSQD, "t: 2 1=0s; t/c: 2 1=0s")
		after(2 * time.Minute)
		wantLatency(t, b.NSQD, "t: 0 1=0s; t/c: 0 1=0s")
	})
}

// What a client finished counts, also if its next command ends the connection.
func TestLatencyBeforeAFatalError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, optionsWithPercentiles(t, 1))
		c := b.dial()
		c.consume("t", "c", 1)
		b.dial().pub("t", "x")
		m := c.message()
		after(time.Second)
		c.send(append(wire.AppendFin(nil, m.ID), "BOGUS\n"...))
		c.next()
		synctest.Wait()
		wantLatency(t, b.NSQD, "t: 1 1=1s; t/c: 1 1=1s")
	})
}

func TestNoLatencyWithoutPercentiles(t *testing.T) {
	n := nsqtest.Start(t, nil)
	c := dialRaw(t, n)
	c.consume("t", "c", 10)
	dialRaw(t, n).mpub("t", "1", "2", "3")
	c.take(3)
	c.sync()
	wantLatency(t, n.NSQD, "sync#ephemeral: 0; t: 0; t/c: 0")
	if n.RecordsLatency("t", "c") {
		t.Error("there is a window nobody can see")
	}
}

// Consumers of one channel finish messages at the same time, while somebody
// reads the statistics.
func TestConcurrentLatency(t *testing.T) {
	const consumers, each = 4, 2000
	n := nsqtest.Start(t, optionsWithPercentiles(t, 1, 0.99))
	a := newAPI(t, n)
	a.post("/topic/create?topic=t")
	a.post("/channel/create?topic=t&channel=c")
	var running sync.WaitGroup
	for range consumers {
		c, p := dialRaw(t, n), dialRaw(t, n)
		c.consume("t", "c", 100)
		running.Go(func() {
			for range each / 100 {
				if p.trySend(wire.AppendMPub(nil, "t", byteSlices(bodies("", 100)))) != nil {
					return
				}
				if f, err := p.tryNext(); f != ok {
					t.Errorf("MPUB was answered %v, %v", f, err)
				}
			}
		})
		running.Go(func() {
			defer c.close()
			for {
				f, err := c.tryNext()
				if err != nil || f.kind != wire.FrameMessage {
					return // the test is over
				}
				m, err := wire.ParseMessage([]byte(f.data))
				if err != nil {
					t.Error(err)
				}
				c.trySend(wire.AppendFin(nil, m.ID))
			}
		})
		t.Cleanup(c.close)
	}
	var counts []int
	nsqtest.Eventually(t, "every FIN is counted", func() bool {
		s := a.stats("topic=t").Topics[0]
		l := s.Channels[0].E2E
		counts = append(counts, l.Count)
		if l.Count > 0 && !(l.Percentiles[0].Value >= l.Percentiles[1].Value && l.Percentiles[1].Value > 0) {
			t.Errorf("percentiles %+v", l)
		}
		return l.Count == consumers*each && s.E2E.Count == l.Count
	})
	if !slices.IsSorted(counts) {
		t.Errorf("the count went back: %v", counts)
	}
	n.Stop()
	running.Wait()
}
