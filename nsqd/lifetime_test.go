package nsqd_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

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
	inBubbles(t, func(t *testing.T, opts *nsqd.Options) {
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
	inBubbles(t, func(t *testing.T, opts *nsqd.Options) {
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
	inBubbles(t, func(t *testing.T, opts *nsqd.Options) {
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
	inBubbles(t, func(t *testing.T, opts *nsqd.Options) {
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
	inBubbles(t, func(t *testing.T, opts *nsqd.Options) {
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

// What an ephemeral topic or channel drops counts as published and received.
func TestEphemeralDropsCount(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 3
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	dialRaw(t, n).sub("t", "c#ephemeral")
	p := dialRaw(t, n)
	for range 10 {
		p.pub("t", "x")
		p.pub("e#ephemeral", "x")
	}
	nsqtest.Eventually(t, "the channel has received everything", func() bool {
		return a.stats("topic=t").Topics[0].Channels[0].Messages == 10
	})
	if got := a.stats("topic=t").Topics[0].Channels[0].Depth; got != 3 {
		t.Errorf("the channel kept %d messages, want 3", got)
	}
	if got := a.stats("topic=e%23ephemeral").Topics[0]; got.Messages != 10 || got.Depth != 3 {
		t.Errorf("the topic counts %d messages and kept %d, want 10 and 3", got.Messages, got.Depth)
	}
}
