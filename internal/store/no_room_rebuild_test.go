package store

import (
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
)

// damageIndex damages the index of a store, or removes it.
func damageIndex(t *testing.T, disk vfs.FS, remove bool) {
	t.Helper()
	dir := disk.PathJoin(testDir, indexDir)
	if remove {
		if err := disk.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		return
	}
	names, err := disk.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "MANIFEST") {
			if err := writeFile(disk, disk.PathJoin(dir, name), []byte("damaged")); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Wherever the disk becomes full while a store is opened whose index is damaged, the store opens,
// gives all that its logs have, and goes on by itself when there is room, with an index on disk.
func TestAStoreWithADamagedIndexOpensOnADiskThatIsFullOrBecomesSo(t *testing.T) {
	for d, missing := range map[Durability]bool{Disk: false, Fsync: true} {
		for writes, open := int64(0), false; !open; writes++ {
			open = damagedOnAFullDisk(t, d, missing, writes)
		}
	}
}

// damagedOnAFullDisk tells whether all was written that is to be when the store is opened.
func damagedOnAFullDisk(t *testing.T, d Durability, missing bool, writes int64) (open bool) {
	disk := withMessages(t, d)
	damageIndex(t, disk, missing)
	full, left := fullAfter(disk, writes)
	var log loggingtest.Buffer
	healthy := make(chan error, 100)
	o := testOptions(t, vfs.NewMem())
	o.FS, o.Logger, o.NoteEvery, o.SegmentBytes = full, log.Logger(slog.LevelWarn), time.Millisecond, oneSegment
	o.Health = func(err error) { healthy <- err }
	s := mustOpen(t, o)
	open = left.Swap(-1) >= 0
	topic := s.Topics()[0]
	topic.Release()
	c := topic.Channels()[0]
	finish(c, next(t, c, 10))
	if got := next(t, c, 30); len(got) != 19 {
		t.Fatalf("%d writes: got %d messages behind the first 10, want 19", writes, len(got))
	} else {
		finish(c, got)
	}
	refusesUntilThereIsRoom(t, c, left, healthy, writes)
	s = reopen(t, s, o)
	if got := bodies(next(t, s.Topics()[0].Channels()[0], 10)); s.rebuilt != nil || !slices.Equal(got, []string{"60", "61"}) {
		t.Errorf("%d writes: after another start %q, rebuilt: %v", writes, got, s.rebuilt)
	}
	if all, _ := s.Topics()[0].Channels()[0].Deferred(hour(2)); all != 1 {
		t.Errorf("%d writes: after another start %d are deferred", writes, all)
	}
	mustClose(t, s)
	if _, err := disk.Stat(disk.PathJoin(testDir, rebuildFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%d writes: it would be rebuilt again: %v", writes, err)
	}
	if lines := log.String(); strings.Count(lines, "positions are not written") != 1 || strings.Count(lines, "\n") > 5 {
		t.Errorf("%d writes: it logged %s", writes, lines)
	}
	return open
}
