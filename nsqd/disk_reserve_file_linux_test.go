package nsqd_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/diskspace"
	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// When others have filled the disk to the last byte, before the start or after it, consumers that
// finish what durable topics have make room: nobody else has to. With that, publishing is possible
// again, and the disk has its reserve again.
func TestConsumersMakeRoomOnADiskWithoutAByteFree(t *testing.T) {
	for _, d := range []nsqd.Durability{nsqd.Disk, nsqd.Fsync} {
		for _, when := range []string{"after the start", "before the start"} {
			t.Run(d.String()+", "+when, func(t *testing.T) {
				nsqtest.Parallel(t)
				consumersMakeRoom(t, d, when == "before the start")
			})
		}
	}
}

func consumersMakeRoom(t *testing.T, d nsqd.Durability, restart bool) {
	const backlog = 40 // of 1 MB each
	var log loggingtest.Buffer
	opts := nsqtest.Options(t)
	opts.DataPath = nsqtest.SmallDisk(t, 64<<20)
	opts.Durability = d
	opts.MaxMsgSize, opts.MaxBodySize = 2<<20, 4<<20
	opts.Logger = log.Logger(slog.LevelWarn)
	n := nsqtest.Start(t, opts)
	newAPI(t, n).post("/topic/create?topic=t")
	newAPI(t, n).post("/channel/create?topic=t&channel=c")
	p := &publisher{t: t, n: n, topic: "t"}
	for range backlog {
		if refused := p.pub(1_000_000); refused != "" {
			t.Fatal(refused)
		}
	}
	if restart {
		n.Stop()
	}
	reserve := filepath.Join(opts.DataPath, "store", "reserve")
	if info, err := os.Stat(reserve); err != nil || info.Size() != 1<<20 {
		t.Fatalf("the reserve of a disk of 64 MiB: %v, %v; want 1 MiB", info, err)
	}
	nsqtest.FillDisk(t, filepath.Join(opts.DataPath, "ballast"))
	if restart {
		n = nsqtest.Start(t, opts)
	}
	p.n = n
	p.wantAll("c")
	nsqtest.Eventually(t, "what is finished makes room", func() bool {
		free, _, err := diskspace.Free(opts.DataPath)
		return err == nil && free > (backlog-2)*1_000_000
	})
	eventuallyWell(t, n)
	if refused := p.pub(1000); refused != "" {
		t.Errorf("with space again, refused with %q", refused)
	}
	nsqtest.Eventually(t, "there is a reserve again", func() bool {
		info, err := os.Stat(reserve)
		return err == nil && info.Size() == 1<<20
	})
	if !strings.Contains(log.String(), "the disk is full: a reserve is given up") {
		t.Errorf("it logged %s", log.String())
	}
	n = n.Restart()
	c := dialRaw(t, n)
	c.consume("t", "c", 1)
	if got := c.take(1); !slices.Equal(got, p.acked[backlog:]) {
		t.Errorf("after a restart there is %.10q", got)
	}
}

// To empty and to delete works on a disk without a byte free, for good, as the store gives up its reserve to
// write that down.
func TestToDeleteNeedsNoByteFree(t *testing.T) {
	for _, path := range []string{
		"/topic/empty?topic=durable", "/channel/empty?topic=durable&channel=goes", "/channel/delete?topic=durable&channel=goes",
		"/topic/delete?topic=memory", "/channel/delete?topic=memory&channel=goes",
	} {
		opts := nsqtest.Options(t)
		opts.DataPath = nsqtest.SmallDisk(t, 64<<20)
		opts.MinFreeDisk = 1
		opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
		n := nsqtest.Start(t, opts)
		a := newAPI(t, n)
		for topic, durability := range map[string]string{"durable": "disk", "memory": "memory"} {
			a.post("/topic/create?topic=" + topic + "&durability=" + durability)
			a.post("/channel/create?channel=goes&topic=" + topic)
			a.post("/channel/create?channel=stays&topic=" + topic)
		}
		nsqtest.FillDisk(t, filepath.Join(opts.DataPath, "ballast"))
		a.post(path)
		after := statsOf(t, n)
		if got := statsOf(t, n.Restart()); got != after {
			t.Errorf("%s: after a restart there is %s, want %s", path, got, after)
		}
	}
}
