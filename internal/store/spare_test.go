package store

import (
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// filesOfNothing returns how many files of a topic are only kept to be written to again.
func filesOfNothing(t *testing.T, fs vfs.FS, topic *Topic) (n int) {
	names, err := fs.List(fs.PathJoin(topic.dir, "log"))
	if err != nil {
		t.Error(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".spare") {
			n++
		}
	}
	return n
}

// What one topic keeps for later must not have the publishers of another refused, however many
// find the disk full at the same time.
func TestFilesToWriteToAgainMakeRoomForEveryTopic(t *testing.T) {
	o := testOptions(t, vfs.NewMem())
	o.SegmentBytes = 2000
	var busy *Topic
	var isFull atomic.Bool
	o.Room = func() error {
		if isFull.Load() && filesOfNothing(t, o.FS, busy) > 0 {
			return syscall.ENOSPC
		}
		return nil
	}
	s := mustOpen(t, o)
	defer mustClose(t, s)
	busy, channels := mustCreate(t, s, "busy", "a")
	other, _ := mustCreate(t, s, "other")
	busy.Release()
	for i := range 20 {
		mustAppend(t, busy, numbered(100*i, 100*i+100))
	}
	finish(channels[0], next(t, channels[0], 1<<20))
	noteAll(s)
	if filesOfNothing(t, o.FS, busy) == 0 {
		t.Fatal("no file is kept to be written to again")
	}
	isFull.Store(true)
	var publishers sync.WaitGroup
	for range 8 {
		publishers.Go(func() {
			if err := other.Append([]*Batch{batch("new")}); err != nil {
				t.Error(err)
			}
		})
	}
	publishers.Wait()
}
