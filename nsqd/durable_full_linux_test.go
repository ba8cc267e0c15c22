package nsqd_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

// TestFullDiskOfDurableTopics fills the disk of a durable topic. Publishes are refused
// with the reason before the reserve is touched, consuming goes on, some messages are
// requeued with a delay all the same; with room again publishing is possible again, and
// what was acknowledged is all there, also after a restart.
func TestFullDiskOfDurableTopics(t *testing.T) {
	opts := durableOptions(t)
	opts.DataPath = nsqtest.SmallDisk(t, 48<<20)
	opts.MinFreeDisk = 16 << 20
	opts.MsgTimeout = 2 * time.Second
	opts.MaxRdyCount = 5000
	opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	c := dialRaw(t, n)
	c.sub("t", "c")
	a.post("/channel/create?topic=t&channel=d")
	p := &publisher{t: t, n: n, topic: "t"}
	for range 1100 { // more than may be deferred in memory
		if refused := p.pub(1); refused != "" {
			t.Fatal(refused)
		}
	}
	ballast := filepath.Join(opts.DataPath, "ballast")
	writeFile(t, ballast, strings.Repeat("x", 28<<20))
	refused := p.fill(2000)
	if !strings.HasPrefix(refused, "E_PUB_FAILED PUB failed ") || !strings.Contains(refused, noSpace) || !strings.Contains(refused, "are kept for") {
		t.Errorf("refused with %q", refused)
	}
	p.fillOverHTTP(a, "/pub?topic=t", strings.Repeat("x", 100_000))
	wantPing(t, n, 500, noSpace)

	c.rdy(1100)
	var ids [][wire.MessageIDLen]byte
	for range 1100 {
		ids = append(ids, c.message().ID)
	}
	c.rdy(0)
	c.send([]byte("NOP\n"))
	failed := 0
	for _, id := range ids {
		c.send(wire.AppendReq(nil, id, 2*time.Second)) // none is due before the last is sent
	}
	c.send(wire.AppendTouch(nil, [wire.MessageIDLen]byte{})) // whose answer comes behind theirs
	for {
		f := c.next()
		if strings.HasPrefix(f.data, "E_TOUCH_FAILED") {
			break
		}
		if !strings.HasPrefix(f.data, "E_REQ_FAILED REQ ") || !strings.Contains(f.data, noSpace) {
			t.Fatalf("got %v", f)
		}
		failed++
	}
	if failed != 100 {
		t.Errorf("%d of 1100 REQs failed, want the 100 beyond those in memory", failed)
	}
	c.close()
	wantCounts(t, n, "t", "d", nsqd.Counts{Depth: int64(len(p.acked))})
	p.wantAll("c")

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventuallyWell(t, n) // without a publish
	if refused := p.pub(2000); refused != "" {
		t.Errorf("with space again, refused with %q", refused)
	}
	p.n = n.Restart()
	p.wantAll("d")
	if counts, _ := p.n.ChannelCounts("t", "c"); counts.Depth != 1 {
		t.Errorf("the other channel has %+v, want the one message that it was not given", counts)
	}
}

// A broker whose disk is full starts, and keeps what topics that are durable now have on
// disk from when they were in memory, until it is started with room for it. What is
// emptied or deleted meanwhile does not come back.
func TestClassicBacklogOnAFullDisk(t *testing.T) {
	for _, metadata := range []string{"with nsqd.dat", "without nsqd.dat"} {
		t.Run(metadata, func(t *testing.T) {
			opts := nsqtest.Options(t)
			opts.DataPath = nsqtest.SmallDisk(t, 48<<20)
			opts.MinFreeDisk = 16 << 20
			opts.MemQueueSize = 2
			n := nsqtest.Start(t, opts)
			p := dialRaw(t, n)
			topics := []string{"emptied", "deleted", "t"}
			body := strings.Repeat("x", 1000)
			for _, topic := range topics {
				a := newAPI(t, n)
				a.post("/topic/create?topic=" + topic)
				a.post("/channel/create?topic=" + topic + "&channel=c")
				p.mpub(topic, bodies("m"+body, 10)...)
				p.dpub(topic, 2*time.Second, "deferred")
				wantCounts(t, n, topic, "c", nsqd.Counts{Depth: 10, Deferred: 1})
			}
			p.mpub("alone", bodies("alone", 5)...)
			p.dpub("alone", time.Millisecond, "deferred")
			n.Stop()
			ballast := filepath.Join(opts.DataPath, "ballast")
			writeFile(t, ballast, strings.Repeat("x", 34<<20))
			if metadata == "without nsqd.dat" {
				if err := os.Remove(filepath.Join(opts.DataPath, "nsqd.dat")); err != nil {
					t.Fatal(err)
				}
			}

			var log loggingtest.Buffer
			opts.Logger = log.Logger(slog.LevelWarn)
			opts.Durability = nsqd.Disk
			n = nsqtest.Start(t, opts)
			a := newAPI(t, n)
			for _, topic := range topics {
				wantCounts(t, n, topic, "c", nsqd.Counts{})
				if want := "there is no room to take over what a durable topic has on disk"; !strings.Contains(log.String(), want) ||
					!strings.Contains(log.String(), "queue="+topic+":c ") {
					t.Errorf("the log does not say %q of topic %s: %s", want, topic, log.String())
				}
			}
			a.want(507, `{"message":"DISK_FULL"}`, "POST", "/pub?topic=t", "refused")
			a.post("/channel/empty?topic=emptied&channel=c")
			a.post("/topic/delete?topic=deleted")
			n.Stop()

			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			n = nsqtest.Start(t, opts)
			wantCounts(t, n, "emptied", "c", nsqd.Counts{})
			if _, ok := n.TopicCounts("deleted"); ok {
				t.Error("a topic that was deleted is there again")
			}
			c, alone := dialRaw(t, n), dialRaw(t, n)
			c.consume("t", "c", 20)
			if got, want := sorted(c.take(11)), sorted(append(bodies("m"+body, 10), "deferred")); !slices.Equal(got, want) {
				t.Errorf("the channel got %.20q, want %.20q", got, want)
			}
			alone.consume("alone", "c", 20)
			if got, want := sorted(alone.take(6)), sorted(append(bodies("alone", 5), "deferred")); !slices.Equal(got, want) {
				t.Errorf("the topic without channel kept %q, want %q", got, want)
			}
			c.sync()
			n = n.Restart()
			wantCounts(t, n, "t", "c", nsqd.Counts{})
		})
	}
}
