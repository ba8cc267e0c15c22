package store

import (
	"bytes"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

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

// To move messages that take as much elsewhere frees nothing, and would never end.
func TestSegmentsOfDeferredMessagesStayWhereTheyAre(t *testing.T) {
	o := testOptions(t, vfs.NewMem())
	o.SegmentBytes = 2000
	s := mustOpen(t, o)
	defer mustClose(t, s)
	topic, _ := mustCreate(t, s, "orders", "a")
	topic.Release()
	for range 100 {
		b := batch("later")
		b.Due = hour(1)
		mustAppend(t, topic, b)
	}
	before := topic.Bytes()
	noteAll(s)
	if after := topic.Bytes(); after != before || topic.kept.Load() != nil {
		t.Errorf("the topic took %d bytes and takes %d; some were moved: %v", before, after, topic.kept.Load() != nil)
	}
}

// What a trim that takes long has no time to note would fill memory.
func TestTopicsAreNotedWhileOneIsTrimmed(t *testing.T) {
	s := mustOpen(t, testOptions(t, vfs.NewMem()))
	defer mustClose(t, s)
	topic, channels := mustCreate(t, s, "orders", "a")
	topic.Release()
	b := batch("later")
	b.Due = hour(1)
	mustAppend(t, topic, b)
	s.noteMeanwhile()
	if n := len(channels[0].deferred.pending); n != 0 {
		t.Errorf("%d changes are not noted", n)
	}
	if !slices.Contains(s.dirty, topic) {
		t.Error("the topic will not be trimmed")
	}
}

func TestCloseDoesNotWaitUntilATrimIsDone(t *testing.T) {
	const large, all = 300 << 10, 20 // what is moved takes several appends
	began, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	o := testOptions(t, errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.Contains(op.Path, keptDir) && op.Kind == errorfs.OpFileWriteAt {
			once.Do(func() { close(began); <-goOn })
		}
		return nil
	})))
	o.NoteEvery, o.SegmentBytes = time.Millisecond, 32<<20
	s := mustOpen(t, o)
	topic, channels := mustCreate(t, s, "orders", "a")
	topic.Release()
	for range all {
		b := batch(strings.Repeat("x", large))
		b.Due = hour(1)
		mustAppend(t, topic, b, batch(strings.Repeat("y", 2*large)))
	}
	mustAppend(t, topic, batch(strings.Repeat("z", 20<<20))) // in another segment
	finish(channels[0], next(t, channels[0], all+1))
	<-began
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	<-s.stop
	close(goOn)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	o.FS = o.FS.(interface{ Unwrap() vfs.FS }).Unwrap()
	s = mustOpen(t, o)
	defer mustClose(t, s)
	topic = topicNamed(t, s, "orders")
	if moved := topic.kept.Load().Segments()[0].Bytes; moved > all*large/2 {
		t.Errorf("%d bytes were moved before the store was closed", moved)
	}
	if n, _ := topic.Channels()[0].Deferred(math.MaxInt64); n != all {
		t.Errorf("%d messages are deferred, want %d", n, all)
	}
}

// Nobody publishes to a full disk: a trim that failed must not wait for that, nor for other topics to rest.
func TestATrimThatFailedIsTriedAgainWithoutTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var isFull atomic.Bool
		o := testOptions(t, errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if isFull.Load() && strings.Contains(op.Path, sealFile) && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				return syscall.ENOSPC
			}
			return nil
		})))
		o.NoteEvery, o.SegmentBytes = time.Millisecond, 900
		s := mustOpen(t, o)
		defer mustClose(t, s)
		topic, channels := mustCreate(t, s, "orders", "a")
		topic.Release()
		for i := range 20 {
			mustAppend(t, topic, numbered(100*i, 100*i+100))
		}
		before := topic.Bytes()
		isFull.Store(true)
		finish(channels[0], next(t, channels[0], 1<<20))
		time.Sleep(time.Minute)
		if topic.Bytes() != before {
			t.Error("it was trimmed on a full disk")
		}
		isFull.Store(false)
		busy, _ := mustCreate(t, s, "busy")
		for range 2 * idleAfter / time.Second {
			busy.touch()
			time.Sleep(time.Second)
		}
		if after := topic.Bytes(); after > before/10 {
			t.Errorf("the topic takes %d bytes, %d before there was room", after, before)
		}
	})
}
