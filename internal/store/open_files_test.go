package store

import (
	"errors"
	"io/fs"
	"math"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// An index that is to be written again where no file can be opened is not damaged: it says why it
// waits, and is open again when files can be.
func TestAnIndexThatCannotBeOpenedForWantOfFilesIsNotDamaged(t *testing.T) {
	for _, failure := range []error{syscall.EMFILE, syscall.ENFILE} {
		synctest.Test(t, func(t *testing.T) {
			full, left := fullAfter(withMessages(t, Disk), 0)
			var fails atomic.Bool
			o := testOptions(t, vfs.NewMem())
			o.NoteEvery = time.Millisecond
			o.FS = errorfs.Wrap(full, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if fails.Load() && strings.Contains(op.Path, "/index/") && (op.Kind == errorfs.OpOpen || op.Kind == errorfs.OpCreate) {
					return failure
				}
				return nil
			}))
			s := mustOpen(t, o) // for reading
			topic := s.Topics()[0]
			topic.Release()
			c := topic.Channels()[0]
			fails.Store(true)
			left.Store(1 << 40)
			time.Sleep(time.Second)
			if err := s.Err(); !errors.Is(err, failure) {
				t.Errorf("%v: the store fails with %v", failure, err)
			}
			if _, _, err := c.Due(nil, hour(2), 10); err != nil && !errors.Is(err, failure) {
				t.Errorf("%v: what is due cannot be read: %v", failure, err)
			}
			fails.Store(false)
			time.Sleep(time.Second)
			if err := s.Err(); err != nil {
				t.Errorf("%v: afterwards the store fails with %v", failure, err)
			}
			if got, _, err := c.Due(nil, hour(2), 10); len(got) != 1 || err != nil {
				t.Errorf("%v: afterwards %d messages are due, %v", failure, len(got), err)
			}
			if _, err := o.FS.Stat(s.path(rebuildFile)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v: the index would be rebuilt: %v", failure, err)
			}
			mustClose(t, s)
		})
	}
}

// A store whose logs cannot be listed does not open: what the index knows of a log that was
// not seen is not lost.
func TestAStoreOfWhichALogCannotBeListedDoesNotOpen(t *testing.T) {
	for _, failure := range []error{syscall.EMFILE, syscall.EIO, syscall.EACCES} {
		disk := vfs.NewMem()
		var fails atomic.Bool
		o := testOptions(t, disk)
		o.SegmentBytes = 900
		o.FS = errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if fails.Load() && op.Kind == errorfs.OpList && strings.HasSuffix(op.Path, keptDir) {
				return failure
			}
			return nil
		}))
		s := mustOpen(t, o)
		topic, channels := mustCreate(t, s, "orders", "a")
		topic.Release()
		deferred := batch("much later")
		deferred.Due = hour(1)
		mustAppend(t, topic, deferred)
		for i := range 5 {
			mustAppend(t, topic, numbered(100*i, 100*i+100))
			finish(channels[0], next(t, channels[0], 100))
			noteAll(s)
		}
		if topic.kept.Load() == nil {
			t.Fatal("nothing was moved")
		}
		mustClose(t, s)
		fails.Store(true)
		if s, err := Open(o); !errors.Is(err, failure) {
			t.Errorf("opened with %v", err)
			mustClose(t, s)
		}
		fails.Store(false)
		s = mustOpen(t, o)
		if n, _ := s.Topics()[0].Channels()[0].Deferred(math.MaxInt64); n != 1 {
			t.Errorf("%v: %d messages are deferred", failure, n)
		}
		mustClose(t, s)
	}
}
