package store

import (
	"errors"
	"io/fs"
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

// A smallDisk has so much room beside the reserve of a store, and the reserve's while that is not there.
// In what it has not, nothing can be created and nothing written to.
type smallDisk struct {
	vfs.FS
	reserve string
	free    atomic.Int64
	roomy   string // what is in the names of files that have room all the same; or empty
}

const reserveBytes = 100_000

func newSmallDisk(free int64) *smallDisk {
	mem := vfs.NewMem()
	d := &smallDisk{reserve: mem.PathJoin(testDir, reserveFile)}
	d.free.Store(free)
	d.FS = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpFileWrite, errorfs.OpFileWriteAt:
			if d.left(mem) <= 0 && (d.roomy == "" || !strings.Contains(op.Path, d.roomy)) {
				return syscall.ENOSPC
			}
		}
		return nil
	}))
	return d
}

func (d *smallDisk) left(mem vfs.FS) int64 {
	if _, err := mem.Stat(d.reserve); errors.Is(err, fs.ErrNotExist) {
		return d.free.Load() + reserveBytes
	}
	return d.free.Load()
}

func (d *smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: uint64(d.left(d.FS))}, nil
}

func (d *smallDisk) hasReserve(t *testing.T) bool {
	t.Helper()
	info, err := d.Stat(d.reserve)
	if err == nil && info.Size() != reserveBytes {
		t.Errorf("the reserve has %d bytes", info.Size())
	}
	return err == nil
}

func reserveOptions(t *testing.T, d *smallDisk, log *loggingtest.Buffer) Options {
	o := testOptions(t, d)
	o.Reserve, o.SegmentBytes, o.Logger = reserveBytes, 2000, log.Logger(slog.LevelWarn)
	return o
}

// On a disk without a byte left, what is finished is written down and removed with the reserve, which
// is there again when there is room for it, and for as much beside it.
func TestReserveIsForWhatMakesRoom(t *testing.T) {
	for _, roomy := range []string{"", indexDir + "/"} {
		reserveIsForWhatMakesRoom(t, roomy)
	}
}

func reserveIsForWhatMakesRoom(t *testing.T, roomy string) {
	t.Helper()
	var log loggingtest.Buffer
	d := newSmallDisk(1 << 30)
	d.roomy = roomy
	s := mustOpen(t, reserveOptions(t, d, &log))
	defer func() { mustClose(t, s) }()
	topic, channels := mustCreate(t, s, "orders", "a")
	topic.Release()
	for i := range 100 {
		mustAppend(t, topic, numbered(100*i, 100*i+100))
	}
	finish(channels[0], next(t, channels[0], 1<<20))
	if !d.hasReserve(t) {
		t.Fatal("there is no reserve")
	}
	before := topic.Bytes()
	d.free.Store(0)
	if err := topic.Append([]*Batch{batch("refused")}); !errors.Is(err, syscall.ENOSPC) || !d.hasReserve(t) {
		t.Errorf("a publish takes the reserve: %v", err)
	}
	noteAll(s)
	if after := topic.Bytes(); after > before/10 || d.hasReserve(t) {
		t.Errorf("the topic takes %d bytes, %d before all was finished; the reserve is there: %v", after, before, d.hasReserve(t))
	}
	if lines := log.String(); strings.Count(lines, "\n") != 1 || !strings.Contains(lines, "a reserve is given up") {
		t.Errorf("it logged %s", lines)
	}
	d.free.Store(reserveBytes - 1)
	if s.reserve.keep(); d.hasReserve(t) {
		t.Error("it is made again as soon as there is room for nothing else")
	}
	d.free.Store(reserveBytes)
	if s.reserve.keep(); !d.hasReserve(t) {
		t.Error("it is not made again")
	}
	if s = reopen(t, s, s.Options); !d.hasReserve(t) {
		t.Error("it is not there after a restart")
	}
}

// A channel is deleted with the reserve, as its messages make room.
func TestReserveIsForWhatIsDeleted(t *testing.T) {
	var log loggingtest.Buffer
	d := newSmallDisk(1 << 30)
	o := reserveOptions(t, d, &log)
	s := mustOpen(t, o)
	_, channels := mustCreate(t, s, "orders", "stays", "goes")
	d.free.Store(0)
	if err := channels[1].Forget(); err != nil || d.hasReserve(t) {
		t.Errorf("forgotten on a full disk: %v; the reserve is there: %v", err, d.hasReserve(t))
	}
	d.free.Store(-reserveBytes)
	if err := channels[0].Forget(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("forgotten without a reserve: %v", err)
	}
	if err := channels[1].Delete(); err != nil {
		t.Error(err)
	}
	d.free.Store(1 << 30)
	s = reopen(t, s, o)
	if left := s.Topics()[0].Channels(); len(left) != 1 || left[0].Name() != "stays" {
		t.Errorf("%d channels are left", len(left))
	}
	mustClose(t, s)
}

// With the reserve an index is opened for writing, also one that has to be rebuilt; without it the
// store opens as well.
func TestAFullDiskIsOpenedWithTheReserve(t *testing.T) {
	for _, removed := range []string{"", "index", reserveFile} {
		var log loggingtest.Buffer
		d := newSmallDisk(1 << 30)
		o := reserveOptions(t, d, &log)
		s := mustOpen(t, o)
		topic, _ := mustCreate(t, s, "orders", "a")
		topic.Release()
		mustAppend(t, topic, numbered(0, 10))
		mustClose(t, s)
		if removed != "" {
			if err := d.RemoveAll(d.PathJoin(testDir, removed)); err != nil {
				t.Fatal(err)
			}
		}
		d.free.Store(map[bool]int64{true: -reserveBytes}[removed == reserveFile])
		s = mustOpen(t, o)
		topic = s.Topics()[0]
		topic.Release()
		finish(topic.Channels()[0], next(t, topic.Channels()[0], 10))
		if err := s.note(s.Topics(), true); (err == nil) != (removed != reserveFile) {
			t.Errorf("without %q: the note: %v", removed, err)
		}
		d.free.Store(1 << 30)
		mustClose(t, s)
	}
}

// A reserve that was not written whole, or is to be larger, is made anew. Without one to have, none stays.
func TestReserveThatIsTooSmallIsMadeAnew(t *testing.T) {
	var log loggingtest.Buffer
	d := newSmallDisk(1 << 30)
	o := reserveOptions(t, d, &log)
	mustClose(t, mustOpen(t, o))
	if err := writeFile(d, d.reserve, []byte("torn")); err != nil {
		t.Fatal(err)
	}
	mustClose(t, mustOpen(t, o))
	if !d.hasReserve(t) {
		t.Error("there is none")
	}
	o.Reserve /= 2
	mustClose(t, mustOpen(t, o))
	if !d.hasReserve(t) {
		t.Error("a larger one is not kept")
	}
	o.Reserve = 0
	mustClose(t, mustOpen(t, o))
	if d.hasReserve(t) {
		t.Error("there is one, and should be none")
	}
}

// Where a quota, which what is free on the disk does not show, refuses a reserve, that is not tried again at
// once: for as long as it is written it takes what others may write.
func TestReserveThatCannotBeWrittenHasARest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log loggingtest.Buffer
		var quota atomic.Bool
		tried := 0
		d := newSmallDisk(1 << 30)
		d.FS = errorfs.Wrap(d.FS, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if !quota.Load() || op.Kind != errorfs.OpFileWrite || op.Path != d.reserve {
				return nil
			}
			tried++
			return syscall.ENOSPC
		}))
		quota.Store(true)
		s := mustOpen(t, reserveOptions(t, d, &log))
		defer func() { mustClose(t, s) }()
		for range reserveRest / time.Second {
			s.reserve.keep()
			time.Sleep(time.Second)
		}
		if tried != 1 || d.hasReserve(t) {
			t.Errorf("it was tried %d times in %v", tried, reserveRest)
		}
		quota.Store(false)
		if s.reserve.keep(); !d.hasReserve(t) {
			t.Error("it is not tried again")
		}
	})
}

// What logs keep of removed segments, to write to it again, is not kept on a disk that is short of room;
// nor is a last segment that could not be sealed.
func TestFilesForTheNextSegmentsAreNotKeptOnAFullDisk(t *testing.T) {
	var full atomic.Bool
	mem := vfs.NewMem()
	o := testOptions(t, errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && op.Kind == errorfs.OpFileWriteAt && strings.HasSuffix(op.Path, ".log") {
			return syscall.ENOSPC
		}
		return nil
	})))
	o.SegmentBytes = 2000
	o.Room = func() error {
		if full.Load() {
			return syscall.ENOSPC
		}
		return nil
	}
	s := mustOpen(t, o)
	defer mustClose(t, s)
	topic, channels := mustCreate(t, s, "orders", "a")
	topic.Release()
	for i := range 100 {
		mustAppend(t, topic, numbered(100*i, 100*i+100))
	}
	full.Store(true)
	finish(channels[0], next(t, channels[0], 1<<20))
	noteAll(s)
	files, err := mem.List(mem.PathJoin(topic.dir, logDir))
	if err != nil || len(files) != 1 {
		t.Errorf("there are %q, %v", files, err)
	}
	if err := topic.log.Roll(); err != nil {
		t.Fatal(err)
	}
	topic.touch()
	noteAll(s)
	if bytes := topic.Bytes(); bytes != 0 {
		t.Errorf("all is finished, and the topic takes %d bytes", bytes)
	}
}
