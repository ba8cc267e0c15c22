//go:build unix

package nsqd_test

import (
	"cmp"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// BenchmarkIdleTopics measures what 10,000 topics with one channel each cost
// while nothing happens: memory, CPU, how late deferred messages become due on
// a hundred of them, and the time to create them and to stop and start again.
func BenchmarkIdleTopics(b *testing.B) {
	const topics = 10_000
	for b.Loop() {
		opts := nsqtest.Options(b)
		opts.Logger = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn}))
		n := nsqtest.Start(b, opts)
		empty := nsqtest.MemoryInUse()

		start := time.Now()
		createTopics(b, n, topics)
		b.ReportMetric(time.Since(start).Seconds(), "s-to-create")
		b.ReportMetric(float64(nsqtest.MemoryInUse()-empty)/topics, "B/topic+channel")

		b.ReportMetric(100*idleCPU(b, 3*time.Second), "%CPU-idle")

		late := deferOnSome(b, n, topics, 100)
		b.ReportMetric(float64(late[len(late)/2].Microseconds())/1000, "ms-late-p50")
		b.ReportMetric(float64(late[len(late)-1].Microseconds())/1000, "ms-late-max")

		start = time.Now()
		n.Stop()
		b.ReportMetric(time.Since(start).Seconds(), "s-to-stop")
		start = time.Now()
		n = n.Restart()
		b.ReportMetric(time.Since(start).Seconds(), "s-to-start")
		n.Stop()
	}
	b.ReportMetric(0, "ns/op")
}

func idleTopic(i int) string { return fmt.Sprint("idle", i) }

// createTopics creates topics with a channel "c" each, over 16 connections.
func createTopics(tb testing.TB, n *nsqtest.NSQD, topics int) {
	const connections = 16
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}
	defer client.CloseIdleConnections()
	var running sync.WaitGroup
	for conn := range connections {
		running.Go(func() {
			for i := conn; i < topics; i += connections {
				for _, path := range []string{"/topic/create?topic=", "/channel/create?channel=c&topic="} {
					resp, err := client.Post(n.HTTPURL()+path+idleTopic(i), "", nil)
					if err != nil || resp.StatusCode != http.StatusOK {
						tb.Errorf("%s: %v, %v", path, resp, err)
						return
					}
					resp.Body.Close()
				}
			}
		})
	}
	running.Wait()
}

// idleCPU returns the share of one core that the process takes over a time in
// which nothing happens.
func idleCPU(tb testing.TB, d time.Duration) float64 {
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			tb.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before, start := used(), time.Now()
	<-time.After(d)
	return float64(used()-before) / float64(time.Since(start))
}

// deferOnSome publishes a deferred message to some topics at random and returns
// how late each came, in ascending order.
func deferOnSome(tb testing.TB, n *nsqtest.NSQD, topics, messages int) []time.Duration {
	var mu sync.Mutex
	var late []time.Duration
	var running sync.WaitGroup
	for _, i := range rand.Perm(topics)[:messages] {
		delay := 200*time.Millisecond + rand.N(800*time.Millisecond)
		running.Go(func() {
			d, err := deferOne(n.TCPAddr(), idleTopic(i), delay)
			if err != nil {
				tb.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			late = append(late, d)
		})
	}
	running.Wait()
	if len(late) < messages {
		tb.Fatalf("only %d of %d deferred messages came", len(late), messages)
	}
	slices.SortFunc(late, cmp.Compare)
	return late
}

// deferOne publishes one deferred message and returns how late it comes.
func deferOne(addr, topic string, delay time.Duration) (late time.Duration, err error) {
	conn, err := dial(addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	send := func(b []byte) {
		if _, writeErr := conn.Write(b); err == nil {
			err = writeErr
		}
	}
	send(wire.AppendRdy(wire.AppendSub([]byte(wire.MagicV2), topic, "c"), 1))
	if _, answer, err := wire.ReadFrame(conn, nil, 0); err != nil || string(answer) != wire.OK {
		return 0, fmt.Errorf("SUB answered %q, %w", answer, err)
	}
	start := time.Now()
	send(wire.AppendDPub(nil, topic, delay, []byte("m")))
	for err == nil {
		typ, data, err := wire.ReadFrame(conn, nil, 0)
		if err != nil {
			return 0, err
		}
		if typ == wire.FrameMessage {
			m, err := wire.ParseMessage(data)
			late = time.Since(start) - delay
			conn.Write(wire.AppendFin(nil, m.ID))
			return late, err
		}
	}
	return 0, err
}

// The limits of what an idle topic with a channel may cost, with fewer topics
// than in the benchmark.
func TestIdleTopicsAreCheap(t *testing.T) {
	const topics = 1000
	n := nsqtest.Start(t, nil)
	empty := nsqtest.MemoryInUse()
	createTopics(t, n, topics)
	each := (nsqtest.MemoryInUse() - empty) / topics
	late := deferOnSome(t, n, topics, 50)
	t.Logf("%d bytes each, deferred messages late by %v in the median, %v at most", each, late[len(late)/2], late[len(late)-1])
	if each > 12<<10 {
		t.Errorf("an idle topic with a channel takes %d bytes, want at most 12 KiB", each)
	}
	if median := late[len(late)/2]; median > 50*time.Millisecond {
		t.Errorf("deferred messages were late by %v in the median, want at most 50ms", median)
	}
}

// What a topic needed while it passed on a backlog it does not keep.
func TestTopicsAreCheapAgainAfterABacklog(t *testing.T) {
	const topics, messages = 50, 5000
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 0 // so that messages are taken one by one
	n := nsqtest.Start(t, opts)
	p := dialRaw(t, n)
	list := bodies("m", messages)
	for i := range topics {
		p.mpub(idleTopic(i), list...)
	}
	before := nsqtest.MemoryInUse()
	createTopics(t, n, topics)
	nsqtest.Eventually(t, "the channels have everything", func() bool {
		for i := range topics {
			if counts, _ := n.ChannelCounts(idleTopic(i), "c"); counts.Depth != messages {
				return false
			}
		}
		return true
	})
	const most = 32 << 10
	each := int64(0)
	nsqtest.Eventually(t, fmt.Sprintf("a topic that has passed on a backlog takes at most %d bytes more", most), func() bool {
		each = (nsqtest.MemoryInUse() - before) / topics
		return each < most
	})
	t.Logf("%d bytes each", each)
}

// A consumer on which nothing happens costs its two goroutines, on stacks of 2 KiB,
// and little else; with heartbeats, too.
func TestIdleConsumersAreCheap(t *testing.T) {
	if isChildBroker(t) {
		return
	}
	if nsqtest.RaceEnabled {
		t.Skip("with the race detector stacks are larger")
	}
	const connections, most = 300, 9 << 10
	b := startChildBroker(t, connections+100)
	before := b.state()
	var consumers []*rawClient
	for range connections {
		c := b.dial()
		c.send(wire.AppendIdentify(nil, []byte(`{"client_id":"idle","feature_negotiation":true,"heartbeat_interval":3000}`)))
		c.next()
		c.consume("t", "c", 1)
		consumers = append(consumers, c)
	}
	each := func() int64 { return (b.state().Memory - before.Memory) / connections }
	subscribed := each()
	for _, c := range consumers {
		if f, err := c.tryFrame(time.Minute); f != heartbeat {
			t.Fatalf("got %v, %v, want a heartbeat", f, err)
		}
		c.nop()
	}
	beaten := each()
	t.Logf("%d bytes each, %d after heartbeats", subscribed, beaten)
	if max(subscribed, beaten) > most {
		t.Errorf("a consumer takes %d bytes, and %d after heartbeats, want at most %d", subscribed, beaten, most)
	}
}
