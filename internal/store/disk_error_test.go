package store

import (
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
)

// While the disk fails, the index is not tried without a rest, one line says so, nothing waits for
// it, and it is written again when the disk works again.
func TestADiskThatFailsIsNotTriedWithoutARest(t *testing.T) {
	for _, failure := range []error{syscall.EIO, syscall.EROFS} {
		for _, kind := range []errorfs.OpKind{errorfs.OpCreate, errorfs.OpFileWrite} {
			failingFlushes(t, failure, kind)
		}
	}
}

func failingFlushes(t *testing.T, failure error, kind errorfs.OpKind) {
	const attempts = 10
	var fails atomic.Bool
	var tried atomic.Int64
	enough := make(chan struct{})
	var log loggingtest.Buffer
	o := testOptions(t, vfs.NewMem())
	o.FS = errorfs.Wrap(o.FS, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !fails.Load() || op.Kind != kind || !strings.HasSuffix(op.Path, ".sst") {
			return nil
		}
		if tried.Add(1) == attempts {
			close(enough)
		}
		return failure
	}))
	healthy := make(chan error, 100)
	o.NoteEvery, o.Logger = time.Millisecond, log.Logger(slog.LevelWarn)
	o.Health = func(err error) { healthy <- err }
	s := mustOpen(t, o)
	topic, channels := mustCreate(t, s, "orders", "a")
	topic.Release()
	mustAppend(t, topic, numbered(0, 10))
	noteAll(s)
	fails.Store(true)
	begun := time.Now()
	if _, err := s.index.db.AsyncFlush(); err != nil {
		t.Fatal(err)
	}
	<-enough
	if took := time.Since(begun); took < (attempts-1)*patience {
		t.Errorf("%v, %v: %d attempts in %v", failure, kind, attempts, took)
	}
	mustAppend(t, topic, numbered(10, 12))
	finish(channels[0], next(t, channels[0], 1))
	if err := <-healthy; !errors.Is(err, failure) {
		t.Errorf("%v, %v: healthy while the disk fails: %v", failure, kind, err)
	}
	fails.Store(false)
	if err := <-healthy; err != nil {
		t.Errorf("%v, %v: when the disk works again: %v", failure, kind, err)
	}
	if lines := log.String(); strings.Count(lines, "files of the index cannot be written") != 1 || strings.Count(lines, "\n") > 2 {
		t.Errorf("%v, %v: it logged %s", failure, kind, lines)
	}
	s = reopen(t, s, o)
	wantDepth(t, s.Topics()[0].Channels()[0], 11)
	mustClose(t, s)
}

// What is to be released and cannot be read is tried again every second, not with every note.
func TestAReleaseThatFailsHasARest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Bool
		var failed atomic.Int64
		o := testOptions(t, vfs.NewMem())
		o.FS = errorfs.Wrap(o.FS, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if fails.Load() && op.Kind == errorfs.OpFileReadAt {
				failed.Add(1)
				return syscall.EIO
			}
			return nil
		}))
		o.NoteEvery = time.Millisecond
		s := mustOpen(t, o)
		topic, channels := mustCreate(t, s, "orders", "a")
		b := batch("later")
		b.Due = hour(1)
		mustAppend(t, topic, b, batch("now"))
		fails.Store(true)
		topic.Release()
		const seconds = 20
		time.Sleep(seconds * time.Second)
		if n := failed.Load(); n < seconds/2 || n > seconds+1 {
			t.Errorf("%d reads failed in %d s", n, seconds)
		}
		fails.Store(false)
		time.Sleep(2 * time.Second)
		wantBodies(t, next(t, channels[0], 10), []string{"now"})
		mustClose(t, s)
	})
}

// A meta.json that was damaged, and cannot be written again as the disk fails after it was full, is tried every
// few seconds, whatever it and other topics do meanwhile, and at Close; one line says so.
func TestAMetaThatCannotBeWrittenHasARest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failure atomic.Uintptr
		var tried atomic.Int64
		var log loggingtest.Buffer
		disk := withMessages(t, Disk)
		dir := topicDir(1, "orders")
		if err := damageFile(disk, topicsDir, dir, metaFile); err != nil {
			t.Fatal(err)
		}
		o := testOptions(t, disk)
		o.FS = errorfs.Wrap(disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if failure.Load() == 0 || op.Kind != errorfs.OpCreate || !strings.Contains(op.Path, disk.PathJoin(dir, metaFile)) {
				return nil
			}
			tried.Add(1)
			return syscall.Errno(failure.Load())
		}))
		o.NoteEvery, o.Logger = time.Millisecond, log.Logger(slog.LevelInfo)
		failure.Store(uintptr(syscall.ENOSPC))
		s := mustOpen(t, o)
		failure.Store(uintptr(syscall.EIO))
		orders := s.Topics()[0]
		busy, _ := mustCreate(t, s, "busy")
		const seconds = 60
		for i := range seconds {
			busy.touch()
			if i%20 < 10 {
				orders.touch()
			}
			time.Sleep(time.Second)
		}
		if n, most := tried.Load(), int64(seconds*time.Second/idleAfter)+2; n < most/2 || n > most {
			t.Errorf("it was tried %d times in %d s", n, seconds)
		}
		if lines := log.String(); strings.Count(lines, "channels of a topic cannot be written") != 1 {
			t.Errorf("it logged %s", lines)
		}
		failure.Store(0)
		mustClose(t, s)
		if m, err := readMeta(disk, orders.dir); err != nil || m.Name != "orders" {
			t.Errorf("there is %+v, %v", m, err)
		}
	})
}
