package store

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
)

// fullAfter returns a file system on which so many writes succeed, and then none until there are
// more left.
func fullAfter(mem vfs.FS, writes int64) (fs vfs.FS, left *atomic.Int64) {
	left = new(atomic.Int64)
	left.Store(writes)
	return errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpCreate, errorfs.OpRename, errorfs.OpReuseForWrite, errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFileSync:
			if left.Add(-1) < 0 {
				return syscall.ENOSPC
			}
		}
		return nil
	})), left
}

// oneSegment has room for all that the tests of full disks write, and not for so many zeros in front of that
// that most of their time goes by with these.
const oneSegment = 16 << 10

// withMessages makes a store of 30 messages, of which two are finished and one is deferred,
// that was not closed, and returns a copy as a kill leaves it.
func withMessages(t *testing.T, d Durability) *vfs.MemFS {
	mem := vfs.NewCrashableMem()
	o := testOptions(t, mem)
	o.SegmentBytes = oneSegment
	s := mustOpen(t, o)
	topic, err := s.Create("orders", d)
	if err != nil {
		t.Fatal(err)
	}
	c, err := topic.CreateChannel("a")
	if err != nil {
		t.Fatal(err)
	}
	topic.Release()
	mustAppend(t, topic, numbered(0, 30))
	finish(c, next(t, c, 2))
	messages, err := c.Next(nil, 1, 100)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Defer(messages[0], hour(1)); err != nil {
		t.Fatal(err)
	}
	noteAll(s)
	killed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))})
	mustClose(t, s)
	return killed
}

// Wherever the disk becomes full while a store is opened, the store opens, gives what it has,
// refuses to be written to, and goes on by itself when there is room.
func TestAStoreOpensOnADiskThatIsFullOrBecomesSo(t *testing.T) {
	opensOnAFullDisk(t, 1, func(vfs.FS) error { return nil })
	opensOnAFullDisk(t, 3, func(disk vfs.FS) error { return damageFile(disk, topicsDir, topicDir(1, "orders"), metaFile) })
	opensOnAFullDisk(t, 10, func(disk vfs.FS) error { return damageFile(disk, formatFile) })
}

// damageFile replaces a file of a store.
func damageFile(disk vfs.FS, path ...string) error {
	return writeFile(disk, disk.PathJoin(append([]string{testDir}, path...)...), []byte("damaged"))
}

func opensOnAFullDisk(t *testing.T, step int64, damage func(vfs.FS) error) {
	for _, d := range []Durability{Disk, Fsync} {
		for writes, open := int64(0), false; !open; writes += step {
			disk := withMessages(t, d)
			if err := damage(disk); err != nil {
				t.Fatal(err)
			}
			fs, left := fullAfter(disk, writes)
			var log loggingtest.Buffer
			healthy := make(chan error, 100)
			o := testOptions(t, vfs.NewMem())
			o.FS, o.Logger, o.NoteEvery, o.SegmentBytes = fs, log.Logger(slog.LevelWarn), time.Millisecond, oneSegment
			o.Health = func(err error) { healthy <- err }
			s := mustOpen(t, o)
			open = left.Swap(-1) >= 0 // all there is to write was written
			topic := s.Topics()[0]
			topic.Release()
			c := topic.Channels()[0]
			wantDepth(t, c, 27)
			if got := next(t, c, 27); len(got) != 27 {
				t.Fatalf("%d writes: got %d messages", writes, len(got))
			} else {
				finish(c, got)
			}
			refusesUntilThereIsRoom(t, c, left, healthy, writes)
			mustClose(t, s)
			if m, err := readMeta(disk, topic.dir); err != nil || m.Name != "orders" || m.Durability != d.String() || !m.has("a") {
				t.Errorf("%d writes: with room again meta.json is %+v, %v", writes, m, err)
			}
			s = mustOpen(t, o)
			if got := bodies(next(t, s.Topics()[0].Channels()[0], 10)); s.rebuilt != nil || !slices.Equal(got, []string{"60", "61"}) && open {
				t.Errorf("%d writes: after another start %q, rebuilt: %v", writes, got, s.rebuilt)
			}
			mustClose(t, s)
			if lines := log.String(); strings.Count(lines, "positions are not written") != 1 || strings.Count(lines, "\n") > 4 {
				t.Errorf("%d writes: it logged %s", writes, lines)
			}
		}
	}
}

// refusesUntilThereIsRoom has a channel of a store on a full disk give what is due. Its topic refuses
// a batch, and takes another when there is room; healthy is told of both.
func refusesUntilThereIsRoom(t *testing.T, c *Channel, left *atomic.Int64, healthy <-chan error, writes int64) {
	t.Helper()
	if due, _, err := c.Due(nil, hour(2), 10); err != nil || len(due) != 1 {
		t.Fatalf("%d writes: due are %v, %v", writes, due, err)
	}
	if err := c.t.Append([]*Batch{numbered(50, 60)}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%d writes: append: %v", writes, err)
	}
	if err := <-healthy; !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%d writes: healthy on a full disk: %v", writes, err)
	}
	left.Store(1 << 40)
	if err := <-healthy; err != nil {
		t.Errorf("%d writes: with room: %v", writes, err)
	}
	mustAppend(t, c.t, numbered(60, 62))
}

// What waited for room, as the disk became full before or after the store was opened, is written by
// a Close that follows at once when there is some.
func TestCloseWritesWhatWaitedForRoom(t *testing.T) {
	for _, writes := range []int64{0, 1 << 40} {
		for range 10 { // as who waits may look for room by itself just then
			fs, left := fullAfter(withMessages(t, Fsync), writes)
			o := testOptions(t, vfs.NewMem())
			o.FS, o.NoteEvery = fs, time.Hour
			s := mustOpen(t, o)
			left.Store(-1)
			topic := s.Topics()[0]
			topic.Release()
			c := topic.Channels()[0]
			finish(c, next(t, c, 26))
			if err := s.note(s.Topics(), true); !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("%d writes: note on a full disk: %v", writes, err)
			}
			left.Store(1 << 40)
			s = reopen(t, s, o)
			s.Topics()[0].Release()
			if got := bodies(next(t, s.Topics()[0].Channels()[0], 1)); !slices.Equal(got, []string{"29"}) || s.rebuilt != nil {
				t.Fatalf("%d writes: after another start %q, rebuilt: %v", writes, got, s.rebuilt)
			}
			mustClose(t, s)
		}
	}
}
