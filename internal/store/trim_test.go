package store

import (
	"bytes"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// A disk below its reserve gets room again only by what is removed.
func TestDiskBelowItsReserveIsFreedOfWhatIsFinished(t *testing.T) {
	var isFull atomic.Bool
	o := testOptions(t, vfs.NewMem())
	o.SegmentBytes = 2000
	o.Room = func() error {
		if isFull.Load() {
			return syscall.ENOSPC
		}
		return nil
	}
	s := mustOpen(t, o)
	defer mustClose(t, s)
	topic, channels := mustCreate(t, s, "orders", "a")
	topic.Release()
	deferred := batch("much later")
	deferred.Due = hour(1)
	mustAppend(t, topic, numbered(0, 100))
	mustAppend(t, topic, deferred)
	kept := next(t, channels[0], 1) // which is never finished
	for i := range 100 {
		mustAppend(t, topic, numbered(100*i, 100*i+100))
	}
	finish(channels[0], next(t, channels[0], 1<<20))
	before := topic.Bytes()
	isFull.Store(true)
	noteAll(s)
	if after := topic.Bytes(); after > before/10 {
		t.Errorf("the topic takes %d bytes, %d before all but two messages were finished", after, before)
	}
	finish(channels[0], kept)
	messages, _ := due(t, channels[0], hour(2), 10)
	wantBodies(t, each(messages), []string{"much later"})
}

func TestTrimsThatFailAreToldOnce(t *testing.T) {
	var isFull atomic.Bool
	o := testOptions(t, errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if isFull.Load() && strings.Contains(op.Path, keptDir) && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return syscall.ENOSPC
		}
		return nil
	})))
	var log bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	o.SegmentBytes = 900
	s := mustOpen(t, o)
	defer mustClose(t, s)
	topic, channels := mustCreate(t, s, "orders", "a")
	topic.Release()
	deferred := batch("much later")
	deferred.Due = hour(1)
	mustAppend(t, topic, deferred)
	for _, full := range []bool{true, false} {
		isFull.Store(full)
		for i := range 5 {
			mustAppend(t, topic, numbered(100*i, 100*i+100))
			finish(channels[0], next(t, channels[0], 100))
			noteAll(s)
		}
		fails, works := strings.Count(log.String(), "a log is not trimmed"), strings.Count(log.String(), "a log is trimmed again")
		if want := map[bool]int{true: 0, false: 1}[full]; fails != 1 || works != want {
			t.Errorf("full %v: it is told %d times that trims fail and %d times that they work, want 1 and %d: %s", full, fails, works, want, &log)
		}
	}
}
