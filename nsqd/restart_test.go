package nsqd_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

func TestRestartKeepsEverything(t *testing.T) {
	for _, memQueueSize := range []int64{0, 2, 10000} {
		t.Run(fmt.Sprint("mem-queue-size ", memQueueSize), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := nsqtest.Options(t)
				opts.MemQueueSize = memQueueSize
				b := startInBubble(t, opts)
				p, c := b.dial(), b.dial()
				c.consume("t", "c", 3)
				p.mpub("alone", bodies("alone", 5)...)
				p.mpub("t", bodies("m", 10)...)
				p.dpub("t", time.Hour, "deferred")
				synctest.Wait() // the channel has everything, so what is requeued goes behind it
				c.req(c.wantMessage("m0", 1), 0)
				c.req(c.wantMessage("m1", 1), 30*time.Minute)
				held := c.wantMessage("m2", 1)
				for i := 3; i < 9; i++ {
					c.fin(c.wantMessage(fmt.Sprint("m", i), 1))
				}
				c.wantMessage("m9", 1)
				c.wantMessage("m0", 2)
				c.sync()
				b.wantCounts("t", "c", nsqd.Counts{InFlight: 3, Deferred: 2})

				b = b.restart(time.Minute)
				b.wantCounts("t", "c", nsqd.Counts{Depth: 3, OnDisk: 3, Deferred: 2})
				c = b.dial()
				c.consume("t", "c", 10)
				attempts := make(map[string]uint16)
				for range 5 {
					m := c.message()
					attempts[string(m.Body)] = m.Attempts
					if string(m.Body) == "m2" && (m.ID != held.ID || m.Timestamp != held.Timestamp) {
						t.Errorf("m2 is %s of %d, was %s of %d", m.ID, m.Timestamp, held.ID, held.Timestamp)
					}
					c.fin(m)
				}
				want := map[string]uint16{"m2": 2, "m9": 2, "m0": 3, "m1": 2, "deferred": 1}
				if fmt.Sprint(attempts) != fmt.Sprint(want) {
					t.Errorf("got attempts %v, want %v", attempts, want)
				}
				c.wantNothing(2 * time.Hour)
				alone := b.dial()
				alone.consume("alone", "c", 10)
				got := alone.take(5)
				slices.Sort(got) // a restart does not keep the order
				if want := bodies("alone", 5); !slices.Equal(got, want) {
					t.Errorf("the topic without channel kept %q, want %q", got, want)
				}
			})
		})
	}
}

func TestStopUnderLoadLosesNothing(t *testing.T) {
	for _, memQueueSize := range []int64{0, 50, 10000} {
		t.Run(fmt.Sprint("mem-queue-size ", memQueueSize), func(t *testing.T) {
			opts := nsqtest.Options(t)
			opts.MemQueueSize = memQueueSize
			n := nsqtest.Start(t, opts)
			keep := dialRaw(t, n)
			keep.sub("t", "keep") // and take nothing

			l := load{acknowledged: make(map[string]bool), finished: make(map[string]bool)}
			var running sync.WaitGroup
			for range 2 {
				c := dialRaw(t, n)
				c.consume("t", "c", 50)
				running.Go(func() { l.consume(c) })
			}
			for i := range 3 {
				p := dialRaw(t, n)
				running.Go(func() { l.publish(p, fmt.Sprintf("%d.", i)) })
			}
			nsqtest.Eventually(t, "there is load", func() bool { return l.count.Load() > 2000 })
			n.Stop()
			running.Wait()

			n = n.Restart()
			dialRaw(t, n).pub("t", "end") // comes behind everything else
			wantAll := func(channel string, got, elsewhere map[string]bool) {
				t.Helper()
				lost := 0
				for body := range l.acknowledged {
					if !got[body] && !elsewhere[body] {
						lost++
					}
				}
				if lost > 0 {
					t.Errorf("%s: %d of %d acknowledged messages are gone", channel, lost, len(l.acknowledged))
				}
			}
			wantAll("c", drain(t, n, "c"), l.finished)
			wantAll("keep", drain(t, n, "keep"), nil)
		})
	}
}

// A load is what clients did before their connections ended.
type load struct {
	count atomic.Int64 // of acknowledged

	mu           sync.Mutex
	acknowledged map[string]bool
	finished     map[string]bool
}

func (l *load) publish(c *rawClient, prefix string) {
	for i := 0; ; i++ {
		list := bodies(fmt.Sprint(prefix, i, "."), 1+rand.IntN(10))
		var commands []byte
		answers := len(list)
		if rand.IntN(2) == 0 {
			commands, answers = wire.AppendMPub(nil, "t", byteSlices(list)), 1
		} else {
			for _, body := range list {
				commands = wire.AppendPub(commands, "t", []byte(body))
			}
		}
		if c.trySend(commands) != nil {
			return
		}
		for j := range answers {
			if f, err := c.tryNext(); err != nil || f != ok {
				return
			}
			l.mu.Lock()
			for _, body := range list[j : j+len(list)/answers] {
				l.acknowledged[body] = true
			}
			l.mu.Unlock()
		}
		l.count.Add(int64(len(list)))
	}
}

func (l *load) consume(c *rawClient) {
	for {
		f, err := c.tryNext()
		if err != nil {
			return
		}
		m, err := wire.ParseMessage([]byte(f.data))
		if err != nil {
			return
		}
		l.mu.Lock()
		l.finished[string(m.Body)] = true
		l.mu.Unlock()
		if c.trySend(wire.AppendFin(nil, m.ID)) != nil {
			return
		}
	}
}

// drain takes what a channel of topic t has up to the message "end". None may
// come twice.
func drain(t *testing.T, n *nsqtest.NSQD, channel string) map[string]bool {
	t.Helper()
	got := make(map[string]bool)
	c := dialRaw(t, n)
	c.consume("t", channel, 2500)
	for !got["end"] {
		m := c.message()
		if got[string(m.Body)] {
			t.Errorf("%s: message %s came twice", channel, m.Body)
		}
		got[string(m.Body)] = true
		c.fin(m)
	}
	c.sync()
	if counts, _ := n.ChannelCounts("t", channel); counts != (nsqd.Counts{}) {
		t.Errorf("%s still has %+v", channel, counts)
	}
	return got
}

// At a stop, what one consumer gives back must not go to another that is being
// closed, too: each such round would count as an attempt.
func TestStopCountsNoAttempts(t *testing.T) {
	n := nsqtest.Start(t, nil)
	p := dialRaw(t, n)
	const consumers, messages = 40, 200
	for range consumers {
		dialRaw(t, n).consume("t", "c", 2*messages) // each has room for all
	}
	p.mpub("t", bodies("m", messages)...)
	nsqtest.Eventually(t, "everything is in flight", func() bool {
		counts, _ := n.ChannelCounts("t", "c")
		return counts.InFlight == messages
	})
	n = n.Restart()
	c := dialRaw(t, n)
	c.consume("t", "c", messages)
	for range messages {
		if m := c.message(); m.Attempts != 2 {
			t.Fatalf("after one delivery and a stop, attempts are %d", m.Attempts)
		}
	}
}

// A stop takes the answers of consumers that come at once, so that not every
// restart delivers again what was in flight.
func TestStopTakesAnswers(t *testing.T) {
	for what, answered := range map[string]int{"all answered": 3, "one is not": 2, "none is": 0} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := startInBubble(t, nil)
				busy, idle := b.dial(), b.dial()
				busy.consume("t", "c", 10)
				idle.consume("t", "idle", 0)
				b.dial().mpub("t", "m0", "m1", "m2")
				var inFlight []wire.Message
				for range 3 {
					inFlight = append(inFlight, busy.message())
				}
				start := time.Now()
				stopped := make(chan error)
				go func() { stopped <- b.Exit() }()
				synctest.Wait()
				for _, m := range inFlight[:answered] {
					busy.fin(m)
				}
				busy.wantClosed()
				idle.wantClosed()
				if err := <-stopped; err != nil {
					t.Error(err)
				}
				if took := time.Since(start); (took == 0) != (answered == 3) || took > time.Second {
					t.Errorf("with %d of 3 messages answered the stop took %v", answered, took)
				}
				b = b.restart(0)
				b.wantCounts("t", "c", nsqd.Counts{Depth: int64(3 - answered), OnDisk: int64(3 - answered)})
				b.wantCounts("t", "idle", nsqd.Counts{Depth: 3, OnDisk: 3})
			})
		})
	}
}

// A stop does not wait for the pump of a topic, and loses nothing that it holds.
func TestStopKeepsTheBacklogOfATopic(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 200_000
	n := nsqtest.Start(t, opts)
	p := dialRaw(t, n)
	list := bodies("m", 4000)
	for range 50 {
		p.mpub("t", list...)
	}
	dialRaw(t, n).sub("t", "c") // the pump begins
	stopped := n.NSQD
	if steps := stopped.StopSteps(); steps != 0 {
		t.Errorf("%d steps of a stop that has not begun", steps)
	}
	n = n.Restart()
	if steps := stopped.StopSteps(); steps < 3 { // the messages are some MiB, in two queues
		t.Errorf("%d steps of the stop, want some", steps)
	}
	nsqtest.Eventually(t, "the channel has everything", func() bool {
		counts, _ := n.ChannelCounts("t", "c")
		return counts.Depth == 50*4000
	})
}
