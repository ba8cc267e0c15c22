package nsqd_test

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
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

// inBubbles runs a test in a bubble with topics in memory, and in one with durable
// topics.
func inBubbles(t *testing.T, test func(t *testing.T, opts *nsqd.Options)) {
	for _, d := range []nsqd.Durability{nsqd.Memory, nsqd.Disk} {
		t.Run(d.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := nsqtest.Options(t)
				opts.Durability = d
				test(t, opts)
			})
		})
	}
}

// durableOptions are those of a broker whose topics are durable.
func durableOptions(t *testing.T) *nsqd.Options {
	opts := nsqtest.Options(t)
	opts.Durability = nsqd.Disk
	return opts
}

func wantCounts(t *testing.T, n *nsqtest.NSQD, topic, channel string, want nsqd.Counts) {
	t.Helper()
	var got nsqd.Counts
	defer func() {
		if t.Failed() {
			t.Logf("channel %s has %+v, want %+v", channel, got, want)
		}
	}()
	nsqtest.Eventually(t, "channel "+channel+" has its counts", func() bool {
		got, _ = n.ChannelCounts(topic, channel)
		got.OnDisk = want.OnDisk // how much is read ahead is no matter
		return got == want
	})
}

// What a channel held comes again after a restart: what waited, what was in flight and
// what was requeued with their attempts, what was deferred with its time; pauses stay.
func TestRestartOfDurableTopics(t *testing.T) {
	for _, d := range []nsqd.Durability{nsqd.Disk, nsqd.Fsync} {
		t.Run(d.String(), func(t *testing.T) {
			nsqtest.Parallel(t)
			opts := nsqtest.Options(t)
			opts.Durability = d
			opts.MsgTimeout = 30 * time.Second
			n := nsqtest.Start(t, opts)
			a := newAPI(t, n)
			p, c := dialRaw(t, n), dialRaw(t, n)
			c.consume("t", "c", 3)
			a.post("/channel/create?topic=t&channel=other")
			a.post("/channel/pause?topic=t&channel=other")
			p.mpub("alone", bodies("alone", 5)...)
			p.mpub("t", bodies("m", 10)...)
			start := time.Now()
			p.dpub("t", 3*time.Second, "deferred")
			p.dpub("t", time.Hour, "much later")
			c.req(c.wantMessage("m0", 1), 0)
			c.req(c.wantMessage("m1", 1), 2*time.Second)
			attempts := map[string]uint16{}
			for len(attempts) < 6 {
				m := c.message()
				attempts[string(m.Body)] = m.Attempts
				c.fin(m)
			}
			for range 3 {
				m := c.message() // and keep it
				attempts[string(m.Body)] = m.Attempts + 100
			}
			c.sync()
			wantCounts(t, n, "t", "c", nsqd.Counts{InFlight: 3, Deferred: 3})
			wantCounts(t, n, "t", "other", nsqd.Counts{Depth: 10, Deferred: 2})

			n = n.Restart()
			wantCounts(t, n, "t", "c", nsqd.Counts{Depth: 3, Deferred: 3})
			wantCounts(t, n, "t", "other", nsqd.Counts{Depth: 10, Deferred: 2})
			c = dialRaw(t, n)
			c.consume("t", "c", 10)
			for range 3 {
				m := c.message()
				if want := attempts[string(m.Body)] - 100 + 1; m.Attempts != want {
					t.Errorf("%s came at attempt %d, want %d", m.Body, m.Attempts, want)
				}
				c.fin(m)
			}
			c.fin(c.wantMessage("m1", 2))
			if waited := time.Since(start); waited < 2*time.Second {
				t.Errorf("the requeued message came after %v", waited)
			}
			c.fin(c.wantMessage("deferred", 1))
			if waited := time.Since(start); waited < 3*time.Second {
				t.Errorf("the deferred message came after %v", waited)
			}
			c.sync()
			wantCounts(t, n, "t", "c", nsqd.Counts{Deferred: 1})
			newAPI(t, n).post("/channel/unpause?topic=t&channel=other")
			other, alone := dialRaw(t, n), dialRaw(t, n)
			other.consume("t", "other", 20)
			if got, want := sorted(other.take(11)), sorted(append(bodies("m", 10), "deferred")); !slices.Equal(got, want) {
				t.Errorf("the other channel got %q, want %q", got, want)
			}
			alone.consume("alone", "c", 10)
			if got, want := alone.take(5), bodies("alone", 5); !slices.Equal(got, want) {
				t.Errorf("the topic without channel kept %q, want %q", got, want)
			}
			if s := newAPI(t, n).stats("topic=t"); s.Topics[0].Durability != d.String() {
				t.Errorf("the durability is %q", s.Topics[0].Durability)
			}
		})
	}
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

// A topic that has never had a channel gives its first one everything, a later one
// what comes later.
func TestChannelsOfADurableTopic(t *testing.T) {
	n := nsqtest.Start(t, durableOptions(t))
	p, first, second := dialRaw(t, n), dialRaw(t, n), dialRaw(t, n)
	p.mpub("t", "before0", "before1")
	p.dpub("t", time.Millisecond, "before, deferred")
	first.consume("t", "first", 10)
	second.consume("t", "second", 10)
	p.pub("t", "after")
	if got, want := sorted(first.take(4)), []string{"after", "before, deferred", "before0", "before1"}; !slices.Equal(got, want) {
		t.Errorf("the first channel got %q, want %q", got, want)
	}
	second.fin(second.wantMessage("after", 1))
	a := newAPI(t, n)
	a.post("/channel/delete?topic=t&channel=first")
	a.post("/channel/delete?topic=t&channel=second")
	p.pub("t", "without channel")
	if counts, _ := n.TopicCounts("t"); counts.Depth != 1 {
		t.Errorf("the topic has %d messages, want 1", counts.Depth)
	}
	first = dialRaw(t, n)
	first.consume("t", "first", 10) // which is another one
	first.fin(first.wantMessage("without channel", 1))
	first.sync()
	for _, ch := range a.stats("topic=t").Topics[0].Channels {
		if ch.Messages != 1 {
			t.Errorf("channel %s has received %d messages, want 1", ch.Name, ch.Messages)
		}
	}
}

// Ephemeral channels of a durable topic are fed like others, with what fits into
// memory, and are gone after a restart.
func TestEphemeralChannelOfADurableTopic(t *testing.T) {
	opts := durableOptions(t)
	opts.MemQueueSize = 5
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	p, kept, c := dialRaw(t, n), dialRaw(t, n), dialRaw(t, n)
	kept.sub("t", "kept")
	c.sub("t", "e#ephemeral")
	p.mpub("t", bodies("m", 4)...)
	p.dpub("t", 50*time.Millisecond, "deferred")
	c.rdy(10)
	if got, want := c.take(5), append(bodies("m", 4), "deferred"); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	a.post("/topic/pause?topic=t")
	p.pub("t", "paused")
	a.post("/topic/unpause?topic=t")
	c.fin(c.wantMessage("paused", 1))
	c.rdy(0)
	c.sync()
	p.mpub("t", bodies("n", 10)...)
	wantCounts(t, n, "t", "e#ephemeral", nsqd.Counts{Depth: 5})
	n = n.Restart()
	if _, ok := n.ChannelCounts("t", "e#ephemeral"); ok {
		t.Error("the ephemeral channel is there after a restart")
	}
	wantCounts(t, n, "t", "kept", nsqd.Counts{Depth: 16})
}

// Emptying and deleting drop for good what was there, and only that.
func TestEmptyDurable(t *testing.T) {
	n := nsqtest.Start(t, durableOptions(t))
	a := newAPI(t, n)
	p, c := dialRaw(t, n), dialRaw(t, n)
	c.consume("t", "c", 2)
	a.post("/channel/create?topic=t&channel=other")
	p.mpub("t", bodies("m", 10)...)
	p.dpub("t", time.Minute, "deferred")
	m := c.wantMessage("m0", 1)
	c.wantMessage("m1", 1)
	wantCounts(t, n, "t", "c", nsqd.Counts{Depth: 8, InFlight: 2, Deferred: 1})
	a.post("/channel/empty?topic=t&channel=c")
	wantCounts(t, n, "t", "c", nsqd.Counts{})
	c.fin(m)
	c.wantError(fmt.Sprintf("E_FIN_FAILED FIN %s failed ID not in flight", m.ID))
	p.mpub("t", "new0", "new1", "new2")
	if got, want := c.take(3), []string{"new0", "new1", "new2"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	a.post("/topic/pause?topic=t")
	p.mpub("t", "dropped0", "dropped1")
	p.dpub("t", time.Millisecond, "dropped, deferred")
	a.post("/topic/empty?topic=t")
	p.pub("t", "last")
	n = n.Restart()
	wantCounts(t, n, "t", "c", nsqd.Counts{})
	wantCounts(t, n, "t", "other", nsqd.Counts{Depth: 13, Deferred: 1})
	newAPI(t, n).post("/topic/unpause?topic=t")
	c = dialRaw(t, n)
	c.consume("t", "c", 2)
	c.fin(c.wantMessage("last", 1))
	newAPI(t, n).post("/topic/delete?topic=t")
	n = n.Restart()
	if names := newAPI(t, n).topics(); names != "" {
		t.Errorf("after its deletion there is %s", names)
	}
}

// Unsampled messages are finished.
func TestSampledDurableChannelIsDone(t *testing.T) {
	n := nsqtest.Start(t, durableOptions(t))
	p, c := dialRaw(t, n), dialRaw(t, n)
	c.send(wire.AppendIdentify(nil, []byte(`{"sample_rate":1}`)))
	c.want(ok)
	c.sub("t", "c")
	c.rdy(1000)
	p.mpub("t", bodies("m", 200)...)
	nsqtest.Eventually(t, "everything was taken", func() bool {
		counts, _ := n.ChannelCounts("t", "c")
		return counts.Depth == 0
	})
	counts, _ := n.ChannelCounts("t", "c")
	c.close()
	n = n.Restart()
	wantCounts(t, n, "t", "c", nsqd.Counts{Depth: int64(counts.InFlight)})
}

// DPUB and /pub?defer may reach further than REQ.
func TestMaxDeferTimeout(t *testing.T) {
	opts := durableOptions(t)
	opts.MaxReqTimeout = time.Minute
	opts.MaxDeferTimeout = 30 * 24 * time.Hour
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	a.post("/topic/create?topic=t")
	a.post("/channel/create?topic=t&channel=c")
	p := dialRaw(t, n)
	p.dpub("t", opts.MaxDeferTimeout, "far")
	a.want(200, "OK", "POST", fmt.Sprintf("/pub?topic=t&defer=%d", opts.MaxDeferTimeout.Milliseconds()), "far")
	a.want(400, `{"message":"INVALID_DEFER"}`, "POST", fmt.Sprintf("/pub?topic=t&defer=%d", opts.MaxDeferTimeout.Milliseconds()+1), "too far")
	n = n.Restart()
	wantCounts(t, n, "t", "c", nsqd.Counts{Deferred: 2})
}

// The durability of a topic is what was chosen for it; between memory and disk it
// changes only while the topic is empty.
func TestDurabilityIsChosen(t *testing.T) {
	opts := nsqtest.Options(t)
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	durability := func() string {
		t.Helper()
		for _, topic := range newAPI(t, n).stats("topic=t").Topics {
			return topic.Durability
		}
		return "none"
	}
	choose := func(word string) {
		t.Helper()
		newAPI(t, n).post("/topic/create?topic=t&durability=" + word)
		if got := durability(); got != word {
			t.Errorf("the durability is %s, want %s", got, word)
		}
	}
	for _, wrong := range []string{"topic=t&durability=", "topic=t&durability=safe", "topic=t%23ephemeral&durability=disk"} {
		a.want(400, `{"message":"INVALID_DURABILITY"}`, "POST", "/topic/create?"+wrong, "")
	}
	a.post("/topic/create?topic=t")
	if got := durability(); got != "memory" {
		t.Errorf("the durability is %s", got)
	}
	a.post("/channel/create?topic=t&channel=c")
	a.post("/channel/pause?topic=t&channel=c")
	for _, word := range []string{"disk", "fsync", "memory", "memory", "fsync", "disk"} {
		choose(word)
	}
	a.post("/channel/unpause?topic=t&channel=c")
	n = n.Restart() // with the default of memory
	if got := durability(); got != "disk" {
		t.Errorf("after the restart the durability is %s", got)
	}
	p, c := dialRaw(t, n), dialRaw(t, n)
	p.pub("t", "m")
	newAPI(t, n).want(409, `{"message":"TOPIC_NOT_EMPTY"}`, "POST", "/topic/create?topic=t&durability=memory", "")
	choose("fsync")
	c.consume("t", "c", 1)
	c.fin(c.wantMessage("m", 1))
	c.sync()
	choose("memory")
	c.wantClosed() // it comes back
	n.Opts.Durability = nsqd.Disk
	n = n.Restart()
	if got := durability(); got != "memory" {
		t.Errorf("chosen was memory, with another default it is %s", got)
	}
}

// Messages that are published while their topic is moved are not lost.
func TestPublishWhileTheDurabilityChanges(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	a.post("/topic/create?topic=t")
	a.post("/channel/create?topic=t&channel=c")
	var stop atomic.Bool
	var published, moved int
	var clients sync.WaitGroup
	clients.Go(func() {
		for p := newAPI(t, n); !stop.Load(); published++ {
			p.pub("t", fmt.Sprint("m", published))
		}
	})
	var got sync.Map
	consumer := make(chan struct{})
	go func() { // until the broker stops
		defer close(consumer)
		for {
			conn, err := net.Dial("tcp", n.TCPAddr())
			if err != nil {
				return
			}
			c := newRawClient(t, conn, patience)
			c.trySend(wire.AppendRdy(wire.AppendSub([]byte(wire.MagicV2), "t", "c"), 100))
			for f, err := c.tryNext(); err == nil; f, err = c.tryNext() {
				if m, err := wire.ParseMessage([]byte(f.data)); f.kind == wire.FrameMessage && err == nil {
					got.Store(string(m.Body), true)
					c.trySend(wire.AppendFin(nil, m.ID))
				}
			}
			c.close()
		}
	}()
	for i := 0; moved < 10; i++ {
		resp, text, err := a.try("POST", "/topic/create?topic=t&durability="+[]string{"disk", "memory"}[moved%2], nil)
		switch {
		case err != nil:
			t.Fatal(err)
		case resp.StatusCode == 200:
			moved++
		case resp.StatusCode != 409 || i > 10_000:
			t.Fatalf("%d %s", resp.StatusCode, text)
		}
	}
	stop.Store(true)
	clients.Wait()
	nsqtest.Eventually(t, "every message came", func() bool {
		for i := range published {
			if _, ok := got.Load(fmt.Sprint("m", i)); !ok {
				return false
			}
		}
		return true
	})
	t.Logf("%d messages were published while the topic was moved %d times", published, moved)
	n.Stop()
	<-consumer
}

// What a topic has on disk from when it was in memory is delivered, with attempts and
// times, and its files are gone.
func TestClassicBacklogOfADurableTopic(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 2
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	p, c := dialRaw(t, n), dialRaw(t, n)
	p.mpub("alone", bodies("alone", 5)...)
	p.dpub("alone", 2*time.Second, "alone, deferred")
	c.consume("t", "c", 1)
	a.post("/channel/create?topic=t&channel=other")
	p.mpub("t", bodies("m", 10)...)
	held := c.wantMessage("m0", 1)
	start := time.Now()
	p.dpub("t", 2*time.Second, "deferred")
	wantCounts(t, n, "t", "other", nsqd.Counts{Depth: 10, Deferred: 1})
	wantCounts(t, n, "t", "c", nsqd.Counts{Depth: 9, InFlight: 1, Deferred: 1})

	n.Opts.Durability = nsqd.Disk
	n = n.Restart()
	files, err := filepath.Glob(filepath.Join(opts.DataPath, "*queue*"))
	deferred, _ := filepath.Glob(filepath.Join(opts.DataPath, "*.deferred.dat"))
	if err != nil || len(files)+len(deferred) > 0 {
		t.Errorf("left over are %q, %q, %v", files, deferred, err)
	}
	n = n.Restart()
	for channel, attempts := range map[string]uint16{"c": 2, "other": 1} {
		c := dialRaw(t, n)
		c.consume("t", channel, 20)
		var got []string
		for range 11 {
			m := c.message()
			got = append(got, string(m.Body))
			if string(m.Body) == "m0" && (m.Attempts != attempts || m.ID != held.ID || m.Timestamp != held.Timestamp) {
				t.Errorf("m0 is %s of %d at attempt %d, was %s of %d", m.ID, m.Timestamp, m.Attempts, held.ID, held.Timestamp)
			}
			c.fin(m)
		}
		if want := sorted(append(bodies("m", 10), "deferred")); !slices.Equal(sorted(got), want) {
			t.Errorf("channel %s got %q, want %q", channel, got, want)
		}
		if waited := time.Since(start); waited < 2*time.Second {
			t.Errorf("the deferred message came after %v", waited)
		}
	}
	alone := dialRaw(t, n)
	alone.consume("alone", "c", 20)
	if got, want := sorted(alone.take(6)), sorted(append(bodies("alone", 5), "alone, deferred")); !slices.Equal(got, want) {
		t.Errorf("the topic without channel kept %q, want %q", got, want)
	}
}

// A damaged nsqd.dat costs no durable topic, channel or message.
func TestDurableTopicsWithoutMetadata(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "garbage": "{\"topics\":[{\"na", "missing": "-"} {
		t.Run(name, func(t *testing.T) {
			opts := durableOptions(t)
			opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
			n := nsqtest.Start(t, opts)
			c := dialRaw(t, n)
			c.sub("t", "c")
			c.sync()
			dialRaw(t, n).mpub("t", bodies("m", 5)...)
			newAPI(t, n).post("/topic/create?topic=u&durability=fsync")
			n.Stop()
			file := filepath.Join(opts.DataPath, "nsqd.dat")
			if content == "-" {
				if err := os.Remove(file); err != nil {
					t.Fatal(err)
				}
			} else {
				writeFile(t, file, content)
			}
			opts.Durability = nsqd.Memory
			n = nsqtest.Start(t, opts)
			wantCounts(t, n, "t", "c", nsqd.Counts{Depth: 5})
			for _, topic := range newAPI(t, n).stats("").Topics {
				if want := map[string]string{"t": "disk", "u": "fsync"}[topic.Name]; topic.Durability != want {
					t.Errorf("topic %s is %s, want %s", topic.Name, topic.Durability, want)
				}
			}
		})
	}
}

// A drain does not wait for what is kept anyway.
func TestDrainLeavesDurableTopics(t *testing.T) {
	n := nsqtest.Start(t, durableOptions(t))
	p, c := dialRaw(t, n), dialRaw(t, n)
	c.consume("t", "c", 2)
	p.mpub("t", bodies("m", 10)...)
	c.wantMessage("m0", 1)
	c.wantMessage("m1", 1)
	_, _, err := newAPI(t, n).try("POST", "/drain", nil)
	if err != nil {
		t.Fatal(err)
	}
	nsqtest.Eventually(t, "it is drained", func() bool {
		_, text, err := newAPI(t, n).try("GET", "/drain", nil)
		return err == nil && strings.Contains(text, "drained")
	})
	n = n.Restart()
	wantCounts(t, n, "t", "c", nsqd.Counts{Depth: 10})
}

// The text of /stats names the durability of durable topics; the lines of others are as
// scripts know them.
func TestTextOfStatsTellsOfDurableTopics(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	for _, d := range []string{"memory", "disk", "fsync"} {
		a.post("/topic/create?topic=" + d + "&durability=" + d)
	}
	_, text, err := a.try("GET", "/stats", nil)
	if err != nil {
		t.Fatal(err)
	}
	for d, end := range map[string]string{"memory": "e2e%: \n", "disk": "e2e%:  durability: disk\n", "fsync": "e2e%:  durability: fsync\n"} {
		if line := fmt.Sprintf("   [%-15s] depth: 0     be-depth: 0     msgs: 0        %s", d, end); !strings.Contains(text, line) {
			t.Errorf("there is no line %q in\n%s", line, text)
		}
	}
}
