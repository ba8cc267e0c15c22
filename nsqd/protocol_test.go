package nsqd_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

func TestMessagesOfAVanishedClientComeBackAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		b.dial().mpub("t", bodies("m", 5)...)
		first := b.dial()
		first.consume("t", "c", 4)
		for i := range 4 {
			first.wantMessage(fmt.Sprint("m", i), 1)
		}
		start := time.Now()
		first.close()
		synctest.Wait()
		b.wantCounts("t", "c", nsqd.Counts{Depth: 5})
		second := b.dial()
		second.consume("t", "c", 5)
		second.wantMessage("m4", 1)
		for i := range 4 {
			second.wantMessage(fmt.Sprint("m", i), 2)
		}
		wantDue(t, "they came back", start, 0)
	})
}

func TestTimedOutMessagesComeAgain(t *testing.T) {
	for identify, timeout := range map[string]time.Duration{
		`{}`:                     time.Minute,
		`{"msg_timeout":1000}`:   time.Second,
		`{"msg_timeout":900000}`: 15 * time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			b := startInBubble(t, nil)
			c := b.dial()
			c.identify(identify)
			c.consume("t", "c", 1)
			b.dial().pub("t", "m")
			start := time.Now()
			for attempt := range uint16(5) {
				m := c.wantMessage("m", attempt+1)
				wantDue(t, fmt.Sprintf("with %s attempt %d came", identify, attempt+1), start, time.Duration(attempt)*timeout)
				start = time.Now().Add(-time.Duration(attempt) * timeout)
				if attempt == 4 {
					c.fin(m)
				}
			}
			c.wantNothing(2 * timeout)
			b.wantCounts("t", "c", nsqd.Counts{})
		})
	}
}

// What timed out is no longer the client's, even while it waits for another.
func TestTimedOutMessageIsNotInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		c := b.dial()
		c.consume("t", "c", 1)
		b.dial().pub("t", "m")
		m := c.wantMessage("m", 1)
		c.rdy(0)
		c.wantNothing(time.Minute + late)
		c.fin(m)
		c.wantError(fmt.Sprintf("E_FIN_FAILED FIN %s failed ID not in flight", m.ID))
		b.wantCounts("t", "c", nsqd.Counts{Depth: 1})
		c.rdy(1)
		c.wantMessage("m", 2)
	})
}

func TestTouchExtendsUpToMaxMsgTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := nsqtest.Options(t)
		opts.MsgTimeout = 2 * time.Second
		opts.MaxMsgTimeout = 5 * time.Second
		b := startInBubble(t, opts)
		c := b.dial()
		c.consume("t", "c", 2)
		b.dial().mpub("t", "touched", "touched once")
		start := time.Now()
		touched := c.wantMessage("touched", 1)
		once := c.wantMessage("touched once", 1)
		c.wantNothing(1500 * time.Millisecond)
		c.touch(touched)
		c.touch(once)
		c.wantNothing(1500 * time.Millisecond)
		c.touch(touched)
		c.fin(c.wantMessage("touched once", 2))
		wantDue(t, "what was touched after 1.5 s came", start, 3500*time.Millisecond)
		c.touch(touched)
		c.wantNothing(1400 * time.Millisecond)
		c.touch(touched) // succeeds and changes nothing
		m := c.wantMessage("touched", 2)
		wantDue(t, "what was touched often came", start, 5*time.Second)

		// The next delivery has a maximum of its own.
		start = time.Now()
		c.wantNothing(1900 * time.Millisecond)
		c.touch(m)
		c.fin(c.wantMessage("touched", 3))
		wantDue(t, "what was touched again came", start, 3900*time.Millisecond)
	})
}

// --max-msg-timeout bounds what clients ask for, not --msg-timeout itself.
func TestTouchNeverShortensATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := nsqtest.Options(t)
		opts.MsgTimeout = 5 * time.Second
		opts.MaxMsgTimeout = 2 * time.Second
		b := startInBubble(t, opts)
		c := b.dial()
		c.consume("t", "c", 1)
		b.dial().pub("t", "m")
		start := time.Now()
		m := c.wantMessage("m", 1)
		c.wantNothing(time.Second)
		c.touch(m)
		c.wantMessage("m", 2)
		wantDue(t, "it came", start, 5*time.Second)
	})
}

func TestRDYIsALimitOfMessagesInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		b.dial().mpub("t", bodies("m", 20)...)
		c := b.dial()
		c.sub("t", "c")
		var held []wire.Message
		next := 0
		receive := func(n int) {
			t.Helper()
			for range n {
				held = append(held, c.wantMessage(fmt.Sprint("m", next), 1))
				next++
			}
			c.wantNothing(time.Second)
		}
		fin := func(n int) {
			t.Helper()
			for range n {
				c.fin(held[0])
				held = held[1:]
			}
		}
		receive(0)
		c.rdy(3)
		receive(3)
		c.rdy(3)
		receive(0)
		fin(1)
		receive(1)
		c.rdy(5)
		receive(2)
		c.rdy(2) // less than are in flight
		fin(3)
		receive(0)
		fin(1)
		receive(1)
		c.rdy(0)
		fin(2)
		receive(0)
		c.rdy(2500)
		receive(13)
		b.wantCounts("t", "c", nsqd.Counts{InFlight: 13})
	})
}

func TestREQFreesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		b.dial().mpub("t", "a", "b")
		c := b.dial()
		c.consume("t", "c", 1)
		a := c.wantMessage("a", 1)
		start := time.Now()
		c.req(a, 10*time.Second)
		c.fin(c.wantMessage("b", 1))
		wantDue(t, "the other one came", start, 0)
		c.wantMessage("a", 2)
		wantDue(t, "the requeued one came", start, 10*time.Second)
	})
}

func TestREQIsClampedToMaxReqTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		b.dial().pub("t", "m")
		c := b.dial()
		c.consume("t", "c", 1)
		m := c.wantMessage("m", 1)
		start := time.Now()
		c.sendf("REQ %s 9223372036854775807\n", m.ID)
		c.wantMessage("m", 2)
		wantDue(t, "it came", start, time.Hour)
	})
}

func TestAfterCLSNothingIsDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		p := b.dial()
		p.mpub("t", bodies("m", 3)...)
		c := b.dial()
		c.consume("t", "c", 2)
		m := c.wantMessage("m0", 1)
		c.wantMessage("m1", 1)
		c.send(wire.AppendCls(nil))
		c.want(frame{wire.FrameResponse, wire.CloseWait})
		c.fin(m)
		p.pub("t", "m3")
		c.rdy(10)
		c.wantNothing(10 * time.Minute) // m1 times out, the connection stays
		b.wantCounts("t", "c", nsqd.Counts{Depth: 3})
	})
}

func TestHeartbeats(t *testing.T) {
	for _, tc := range []struct {
		identify string
		interval time.Duration
	}{
		{"", 30 * time.Second}, // none sent
		{`{}`, 30 * time.Second},
		{`{"heartbeat_interval":1000}`, time.Second},
		{`{"heartbeat_interval":60000}`, time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := startInBubble(t, nil)
			c := b.dial()
			if tc.identify != "" {
				c.identify(tc.identify)
			}
			c.consume("t", "c", 1)
			start := time.Now()
			for i := range time.Duration(5) {
				f, err := c.tryFrame(2 * tc.interval)
				if f != heartbeat {
					t.Fatalf("got %v, %v, want a heartbeat", f, err)
				}
				wantDue(t, "the heartbeat came", start, (i+1)*tc.interval)
				c.nop()
			}
			// From here on the client is silent. It read a heartbeat when it last
			// said something.
			start = time.Now()
			for {
				f, err := c.tryFrame(10 * tc.interval)
				if err != nil {
					if !isClosed(err) {
						t.Errorf("the silent connection ended with %v", err)
					}
					break
				}
				if f != heartbeat {
					t.Errorf("got %v", f)
				}
			}
			wantDue(t, "the silent connection was closed", start, 2*tc.interval)
		})
	}
}

func TestHeartbeatsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		c := b.dial()
		c.identify(`{"heartbeat_interval":-1}`)
		if f, err := c.tryFrame(24 * time.Hour); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a day later there is %v, %v", f, err)
		}
		c.sync()
	})
}

// Another implementation takes only the first IDENTIFY for the heartbeat timer.
func TestSecondIdentifyChangesTheHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		c := b.dial()
		for _, seconds := range []time.Duration{30, 1, 60, 2} {
			c.identify(fmt.Sprintf(`{"heartbeat_interval":%d}`, seconds*1000))
			start := time.Now()
			for i := range time.Duration(3) {
				if f, err := c.tryFrame(time.Hour); f != heartbeat {
					t.Fatalf("got %v, %v, want a heartbeat", f, err)
				}
				wantDue(t, "the heartbeat came", start, (i+1)*seconds*time.Second)
				c.nop()
			}
		}
	})
}

// The deadline covers a command's line and body: a body that trickles in does
// not extend it.
func TestTricklingBodyIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		c := b.dial()
		c.identify(`{"heartbeat_interval":1000}`)
		start := time.Now()
		c.send(append([]byte("PUB t\n"), wire.AppendSize(nil, 1000)...))
		var trickle sync.WaitGroup
		defer trickle.Wait()
		trickle.Go(func() {
			for c.trySend([]byte("x")) == nil {
				<-time.After(300 * time.Millisecond)
			}
		})
		for {
			f, err := c.tryFrame(time.Minute)
			if err == nil && f == heartbeat {
				continue
			}
			if want := (frame{wire.FrameError, "E_BAD_MESSAGE PUB failed to read message body"}); f != want {
				t.Errorf("got %v, %v, want %v", f, err, want)
			}
			break
		}
		wantDue(t, "the error came", start, 2*time.Second)
		c.wantClosed()
	})
}

func TestConnectionWithoutMagicHasTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		for _, said := range []string{"", "  V"} {
			c := b.connect()
			start := time.Now()
			c.send([]byte(said))
			c.wantClosed()
			wantDue(t, "it was closed", start, 10*time.Second)
		}
	})
}

func TestConnectionWithoutMagicDoesNotHoldUpExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		silent, half, idle, busy := b.connect(), b.connect(), b.dial(), b.dial()
		half.send([]byte("  V"))
		busy.send([]byte("PUB t\n\x00\x00"))
		start := time.Now()
		b.stop()
		wantDue(t, "the broker stopped", start, 0)
		for _, c := range []*rawClient{silent, half, idle, busy} {
			if f, err := c.tryFrame(time.Minute); !isClosed(err) && f.kind != wire.FrameError {
				t.Errorf("after the stop the connection gave %v, %v", f, err)
			}
		}
	})
}

// A client that says it is alive but does not read is a zombie: it is dropped
// within two heartbeats, and what it was sent goes to others.
func TestConsumerThatDoesNotReadIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		zombie := b.dial()
		zombie.identify(`{"heartbeat_interval":1000}`)
		zombie.consume("t", "c", 10)
		dropped := make(chan struct{})
		go func() {
			for zombie.trySend(wire.AppendNop(nil)) == nil {
				<-time.After(200 * time.Millisecond)
			}
			close(dropped)
		}()
		start := time.Now()
		b.dial().mpub("t", bodies("m", 3)...)
		synctest.Wait()
		b.wantCounts("t", "c", nsqd.Counts{InFlight: 3})
		c := b.dial()
		c.consume("t", "c", 10)
		for i := range 3 {
			c.fin(c.wantMessage(fmt.Sprint("m", i), 2))
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("the messages came to the other consumer after %v", took)
		}
		<-dropped
		c.sync()
		b.wantCounts("t", "c", nsqd.Counts{})
	})
}

func TestPublisherThatDoesNotReadIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		c := b.dial()
		start := time.Now()
		for c.trySend(wire.AppendPub(nil, "t", []byte("m"))) == nil {
		}
		// A write has a heartbeat interval and a quarter; a heartbeat that comes to
		// wait behind it starts that anew, once.
		if took := time.Since(start); took < 30*time.Second || took > 75*time.Second {
			t.Errorf("it was dropped after %v", took)
		}
	})
}

func TestPausedChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		p, c := b.dial(), b.dial()
		c.consume("t", "c", 3)
		p.pub("t", "in flight")
		p.pub("t", "finished")
		m := c.wantMessage("in flight", 1)
		finished := c.wantMessage("finished", 1)
		b.post("/channel/pause?topic=t&channel=c")
		p.pub("t", "paused")
		p.dpub("t", time.Second, "deferred")
		c.touch(m)
		c.fin(finished)
		c.wantNothing(2 * time.Minute) // the time-out goes on
		b.wantCounts("t", "c", nsqd.Counts{Depth: 3})

		b = b.restart(time.Second) // it stays paused
		c = b.dial()
		c.consume("t", "c", 3)
		c.wantNothing(time.Minute)
		start := time.Now()
		b.post("/channel/unpause?topic=t&channel=c")
		c.wantMessage("paused", 1)
		c.wantMessage("deferred", 1)
		c.wantMessage("in flight", 2)
		wantDue(t, "the messages came", start, 0)
	})
}

func TestPausedTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		p, c := b.dial(), b.dial()
		c.consume("t", "c", 1)
		p.mpub("t", "before0", "before1")
		before := c.wantMessage("before0", 1)
		b.post("/topic/pause?topic=t")
		p.pub("t", "paused")
		p.dpub("t", 10*time.Second, "deferred")
		c.fin(before)
		c.fin(c.wantMessage("before1", 1)) // what the channel has goes on
		c.wantNothing(time.Minute)

		b = b.restart(time.Second) // it stays paused
		c = b.dial()
		c.consume("t", "c", 1)
		c.wantNothing(time.Minute)
		if counts, _ := b.TopicCounts("t"); counts.Depth != 2 {
			t.Errorf("%d messages wait in the topic, want 2", counts.Depth)
		}
		start := time.Now()
		b.post("/topic/unpause?topic=t")
		c.fin(c.wantMessage("paused", 1))
		wantDue(t, "the paused message came", start, 0)
		c.wantMessage("deferred", 1)
		wantDue(t, "the deferral began with the end of the pause, and the message came", start, 10*time.Second)
	})
}

func TestEmptyChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := nsqtest.Options(t)
		opts.MemQueueSize = 3
		b := startInBubble(t, opts)
		p, c := b.dial(), b.dial()
		c.consume("t", "c", 2)
		b.createChannel("t", "other")
		p.mpub("t", bodies("m", 10)...)
		p.dpub("t", time.Minute, "deferred")
		m := c.wantMessage("m0", 1)
		c.wantMessage("m1", 1)
		synctest.Wait()
		b.post("/channel/empty?topic=t&channel=c")
		b.wantCounts("t", "c", nsqd.Counts{})
		c.fin(m)
		c.wantError(fmt.Sprintf("E_FIN_FAILED FIN %s failed ID not in flight", m.ID))
		start := time.Now()
		p.mpub("t", "new0", "new1", "new2")
		c.fin(c.wantMessage("new0", 1)) // RDY has its room back
		c.fin(c.wantMessage("new1", 1))
		c.fin(c.wantMessage("new2", 1))
		wantDue(t, "new messages came", start, 0)
		c.wantNothing(10 * time.Minute)
		other := b.dial()
		other.consume("t", "other", 100)
		if got, want := other.take(14), append(bodies("m", 10), "new0", "new1", "new2", "deferred"); !slices.Equal(got, want) {
			t.Errorf("the other channel had %q, want %q", got, want)
		}
	})
}

func TestEmptyTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := nsqtest.Options(t)
		opts.MemQueueSize = 3
		b := startInBubble(t, opts)
		p, c := b.dial(), b.dial()
		c.sub("t", "c")
		p.mpub("t", "first0", "first1")
		synctest.Wait()
		b.post("/topic/pause?topic=t")
		p.mpub("t", bodies("m", 10)...)
		p.dpub("t", time.Second, "deferred")
		b.post("/topic/empty?topic=t")
		b.post("/topic/unpause?topic=t")
		p.pub("t", "last")
		c.rdy(10)
		if got, want := c.take(3), []string{"first0", "first1", "last"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		c.wantNothing(time.Minute)
	})
}

func TestDeletedChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := nsqtest.Options(t)
		opts.MemQueueSize = 2
		b := startInBubble(t, opts)
		p, c, idle, other := b.dial(), b.dial(), b.dial(), b.dial()
		c.consume("t", "c", 1)
		idle.sub("t", "c")
		other.consume("t", "other", 10)
		p.mpub("t", bodies("m", 10)...)
		c.wantMessage("m0", 1)
		b.post("/channel/delete?topic=t&channel=c")
		c.wantClosed()
		idle.wantClosed()
		other.take(10) // is not touched
		p.pub("t", "next")
		other.fin(other.wantMessage("next", 1))
		if _, exists := b.ChannelCounts("t", "c"); exists {
			t.Error("the channel still exists")
		}
		again := b.dial()
		again.consume("t", "c", 10)
		p.pub("t", "fresh")
		again.fin(again.wantMessage("fresh", 1)) // the old messages are gone
		again.wantNothing(10 * time.Minute)
	})
}

func TestDeletedTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := nsqtest.Options(t)
		opts.MemQueueSize = 2
		b := startInBubble(t, opts)
		p, c1, c2 := b.dial(), b.dial(), b.dial()
		c1.consume("t", "c1", 1)
		c2.consume("t", "c2", 1)
		p.mpub("t", bodies("m", 10)...)
		p.dpub("t", time.Minute, "deferred")
		c1.wantMessage("m0", 1)
		c2.wantMessage("m0", 1)
		b.post("/topic/delete?topic=t")
		c1.wantClosed()
		c2.wantClosed()
		if _, exists := b.TopicCounts("t"); exists {
			t.Error("the topic still exists")
		}
		p.pub("t", "fresh") // publishers are not touched
		again := b.dial()
		again.consume("t", "c1", 10)
		again.fin(again.wantMessage("fresh", 1))
		again.wantNothing(2 * time.Minute)
	})
}

func TestEphemeralChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := nsqtest.Options(t)
		opts.MemQueueSize = 3
		b := startInBubble(t, opts)
		p, c, second := b.dial(), b.dial(), b.dial()
		c.sub("t", "c#ephemeral")
		second.sub("t", "c#ephemeral")
		for _, body := range bodies("m", 10) {
			p.pub("t", body)
			synctest.Wait()
		}
		c.rdy(10)
		if got, want := c.take(3), bodies("m", 3); !slices.Equal(got, want) { // what does not fit is dropped
			t.Errorf("got %q, want %q", got, want)
		}
		c.wantNothing(time.Second)
		c.close()
		synctest.Wait()
		b.wantCounts("t", "c#ephemeral", nsqd.Counts{}) // one consumer is left
		second.close()
		synctest.Wait()
		if _, exists := b.ChannelCounts("t", "c#ephemeral"); exists {
			t.Error("the channel outlived its last consumer")
		}
		if _, exists := b.TopicCounts("t"); !exists {
			t.Error("the topic went with it")
		}
		p.pub("t", "backlog")
		c = b.dial()
		c.consume("t", "c#ephemeral", 1)
		c.wantMessage("backlog", 1)
	})
}

func TestEphemeralTopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := nsqtest.Options(t)
		opts.MemQueueSize = 3
		b := startInBubble(t, opts)
		p := b.dial()
		p.mpub("t#ephemeral", bodies("m", 5)...)
		c, normal := b.dial(), b.dial()
		c.consume("t#ephemeral", "c#ephemeral", 10)
		c.take(3)
		c.wantNothing(time.Second)
		normal.sub("t#ephemeral", "normal")
		p.mpub("t#ephemeral", bodies("m", 20)...)
		c.close()
		normal.close()
		synctest.Wait()
		b.wantCounts("t#ephemeral", "normal", nsqd.Counts{Depth: 3}) // a normal channel keeps the topic
		if _, exists := b.ChannelCounts("t#ephemeral", "c#ephemeral"); exists {
			t.Error("the ephemeral channel outlived its last consumer")
		}
		if files, _ := os.ReadDir(b.opts.DataPath); len(files) != 1 {
			t.Errorf("the data path has %v, want nsqd.dat alone", files)
		}
		b.post("/channel/delete?topic=t%23ephemeral&channel=normal")
		if _, exists := b.TopicCounts("t#ephemeral"); exists {
			t.Error("the topic outlived its last channel")
		}
		p.pub("u#ephemeral", "m")
		b = b.restart(time.Second)
		if _, exists := b.TopicCounts("u#ephemeral"); exists {
			t.Error("an ephemeral topic survived a restart")
		}
	})
}

func TestFirstChannelGetsTheBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := nsqtest.Options(t)
		opts.MemQueueSize = 3
		b := startInBubble(t, opts)
		p := b.dial()
		p.mpub("t", bodies("m", 10)...)
		if counts, _ := b.TopicCounts("t"); counts != (nsqd.Counts{Depth: 10, OnDisk: 7}) {
			t.Errorf("the topic has %+v", counts)
		}
		first, second := b.dial(), b.dial()
		first.sub("t", "first")
		synctest.Wait()
		second.consume("t", "second", 100)
		b.wantCounts("t", "first", nsqd.Counts{Depth: 10, OnDisk: 7})
		p.pub("t", "new")
		second.wantMessage("new", 1)
		second.wantNothing(time.Second)
		first.rdy(100)
		if got, want := first.take(11), append(bodies("m", 10), "new"); !slices.Equal(got, want) {
			t.Errorf("the first channel gave %q, want %q", got, want)
		}
	})
}

// One consumer sees what one publisher published in its order, wherever it
// waited.
func TestOrderIsKept(t *testing.T) {
	for _, memQueueSize := range []int64{0, 3, 100, 10000} {
		t.Run(fmt.Sprint("mem-queue-size ", memQueueSize), func(t *testing.T) {
			opts := nsqtest.Options(t)
			opts.MemQueueSize = memQueueSize
			opts.MaxBytesPerFile = 2000
			n := nsqtest.Start(t, opts)
			p, c := dialRaw(t, n), dialRaw(t, n)
			published := 0
			publish := func(count int) {
				t.Helper()
				for end := published + count; published < end; {
					batch := bodies("", published+min(20, end-published))[published:]
					published += len(batch)
					if rand.IntN(2) == 0 {
						p.mpub("t", batch...)
						continue
					}
					var commands []byte
					for _, body := range batch {
						commands = wire.AppendPub(commands, "t", []byte(body))
					}
					p.send(commands)
					for range batch {
						p.want(ok)
					}
				}
			}
			publish(300) // wait in the topic
			c.sub("t", "c")
			publish(300) // wait in the channel, or in the topic behind the others
			c.rdy(20)
			got := c.take(100)
			publish(300) // come while others are taken
			c.rdy(200)
			got = append(got, c.take(published-100)...)
			if want := bodies("", published); !slices.Equal(got, want) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestMessageIDs(t *testing.T) {
	const publishers, messages = 8, 500
	opts := nsqtest.Options(t)
	opts.ID = 617
	n := nsqtest.Start(t, opts)
	c, copies := dialRaw(t, n), dialRaw(t, n)
	c.consume("t", "c", 2500)
	copies.consume("t", "copies", 2500)
	var running sync.WaitGroup
	for i := range publishers {
		p := dialRaw(t, n)
		running.Go(func() {
			for j := 0; j < messages; j += 5 {
				commands := wire.AppendMPub(nil, "t", byteSlices(bodies("", 3)))
				commands = wire.AppendPub(commands, "t", []byte("a"))
				commands = wire.AppendDPub(commands, "t", 0, []byte{byte(i)})
				if err := p.trySend(commands); err != nil {
					t.Error(err)
					return
				}
				for range 3 {
					if f, err := p.tryNext(); f != ok {
						t.Errorf("got %v, %v", f, err)
						return
					}
				}
			}
		})
	}
	ids := make(map[[wire.MessageIDLen]byte]bool)
	for range publishers * messages {
		m := c.message()
		c.fin(m)
		if ids[m.ID] {
			t.Fatalf("id %s came twice", m.ID)
		}
		ids[m.ID] = true
		id, valid := wire.ParseID(m.ID[:])
		if !valid {
			t.Fatalf("id %s is not one of ours", m.ID)
		}
		if node := id >> 12 & 1023; node != 617 {
			t.Fatalf("id %s has node %d, want 617", m.ID, node)
		}
		at := time.Unix(0, int64(id>>22+1288834974288)<<20)
		if off := at.Sub(time.Unix(0, m.Timestamp)).Abs(); off > 100*time.Millisecond {
			t.Fatalf("id %s is of %v, its message of %v", m.ID, at, time.Unix(0, m.Timestamp))
		}
		if age := time.Since(time.Unix(0, m.Timestamp)); age < 0 || age > time.Minute {
			t.Fatalf("the timestamp is %v old", age)
		}
	}
	for range publishers * messages {
		m := copies.message()
		copies.fin(m)
		if !ids[m.ID] {
			t.Fatalf("id %s is on one channel only", m.ID)
		}
		delete(ids, m.ID)
	}
	running.Wait()
}

func TestSampleRate(t *testing.T) {
	const messages = 4000
	for rate, bounds := range map[int][2]int{ // six standard deviations around what is expected
		0:  {messages, messages},
		1:  {2, 78},
		50: {1810, 2190},
		99: {3922, 3998},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := startInBubble(t, nil)
			b.dial().mpub("t", bodies("m", messages)...)
			c := b.dial()
			c.identify(fmt.Sprintf(`{"sample_rate":%d}`, rate))
			c.consume("t", "c", 100)
			got := 0
			for {
				f, err := c.tryFrame(time.Second)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					break
				}
				m, perr := wire.ParseMessage([]byte(f.data))
				if err := errors.Join(err, perr); err != nil {
					t.Fatal(err)
				}
				c.fin(m)
				got++
			}
			if got < bounds[0] || got > bounds[1] {
				t.Errorf("at rate %d %d of %d came, want %d to %d", rate, got, messages, bounds[0], bounds[1])
			}
			b.wantCounts("t", "c", nsqd.Counts{}) // the others are gone for the channel
		})
	}
}

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

// TestPipelinedPublishesOfEverySize lets commands end anywhere in the broker's
// read buffer: all sizes up to 4 KiB, all around that of the buffer and of two
// buffers, and of the others up to 40,000 one in eight, each time other ones.
func TestPipelinedPublishesOfEverySize(t *testing.T) {
	var sizes []int
	for size := 1; size <= 40000; size++ {
		if size <= 4096 || size > 16200 && size < 16500 || size > 32600 && size < 32900 || size == 40000 || rand.IntN(8) == 0 {
			sizes = append(sizes, size)
		}
	}
	rand.Shuffle(len(sizes), func(i, j int) { sizes[i], sizes[j] = sizes[j], sizes[i] })
	noise := make([]byte, 41000)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	body := func(i int) []byte { return noise[i%1000:][:sizes[i]] }

	n := nsqtest.Start(t, nil)
	p, c := dialRaw(t, n), dialRaw(t, n)
	c.consume("t", "c", 1000)
	var running sync.WaitGroup
	running.Go(func() {
		var buf []byte
		for i := range sizes {
			buf = wire.AppendPub(buf, "t", body(i))
			if len(buf) > 100_000 || i == len(sizes)-1 {
				if err := p.trySend(buf); err != nil {
					t.Error(err)
					return
				}
				buf = buf[:0]
			}
		}
	})
	running.Go(func() {
		for range sizes {
			if f, err := p.tryNext(); f != ok {
				t.Errorf("PUB was answered with %v, %v", f, err)
				return
			}
		}
	})
	for i := range sizes {
		m := c.message()
		if !bytes.Equal(m.Body, body(i)) {
			t.Fatalf("message %d of %d bytes arrived with %d and other content", i, sizes[i], len(m.Body))
		}
		c.fin(m)
	}
	running.Wait()
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

// What a topic takes whole, consumers get whole, up to the largest message.
func TestLargestMessage(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 1
	n := nsqtest.Start(t, opts)
	p, c := dialRaw(t, n), dialRaw(t, n)
	large := strings.Repeat("0123456789abcdef", int(opts.MaxMsgSize)/16)
	p.pub("t", large)
	p.dpub("t", 0, large)
	p.mpub("t", large, "small", large)
	c.consume("t", "c", 10)
	for _, want := range []string{large, large, large, "small", large} {
		if m := c.message(); string(m.Body) != want {
			t.Errorf("a message of %d bytes arrived with %d", len(want), len(m.Body))
		}
	}
	if _, err := io.WriteString(c.conn, "NOP\n"); err != nil {
		t.Error(err)
	}
}
