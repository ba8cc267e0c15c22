package seglog

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// faulty is a file system whose writes and syncs fail on demand.
type faulty struct {
	vfs.FS
	room   atomic.Int64 // bytes that may be written; -1: any number
	writes atomic.Int64 // that fail whole, whatever they write
	syncs  atomic.Int64 // that fail
	opens  atomic.Int64 // that fail
	files  atomic.Int64 // open
	after  func()       // called when a sync is done, if not nil
}

func newFaulty() *faulty {
	f := &faulty{FS: vfs.NewMem()}
	f.room.Store(-1)
	return f
}

// take takes one of what is to fail.
func take(n *atomic.Int64) bool { return n.Load() > 0 && n.Add(-1) >= 0 }

func (f *faulty) wrap(file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	f.files.Add(1)
	return &faultyFile{File: file, fs: f}, nil
}

func (f *faulty) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if take(&f.opens) {
		return nil, syscall.EMFILE
	}
	return f.wrap(f.FS.Open(name, opts...))
}

func (f *faulty) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	if take(&f.opens) {
		return nil, syscall.EMFILE
	}
	return f.wrap(f.FS.OpenReadWrite(name, c, opts...))
}

type faultyFile struct {
	vfs.File
	fs *faulty
}

func (f *faultyFile) Close() error {
	f.fs.files.Add(-1)
	return f.File.Close()
}

func (f *faultyFile) WriteAt(b []byte, at int64) (int, error) {
	if take(&f.fs.writes) {
		return 0, syscall.EIO
	}
	room := f.fs.room.Load()
	info, err := f.Stat()
	grows := at + int64(len(b)) - info.Size()
	if err != nil || room < 0 || grows <= room {
		if room >= 0 && grows > 0 {
			f.fs.room.Add(-grows)
		}
		return f.File.WriteAt(b, at)
	}
	f.fs.room.Store(0)
	n, _ := f.File.WriteAt(b[:int64(len(b))-grows+room], at)
	return n, syscall.ENOSPC
}

func (f *faultyFile) SyncData() error {
	if take(&f.fs.syncs) {
		return syscall.EIO
	}
	err := f.File.SyncData()
	if f.fs.after != nil {
		f.fs.after()
	}
	return err
}

// reopened is what the log has after a kill.
func reopened(t *testing.T, fs vfs.FS, want ...string) {
	t.Helper()
	var h heard
	l, err := Open(h.options(fs))
	check(t, err)
	defer l.Close()
	wantBodies(t, l, want...)
	if h.damages != nil {
		t.Errorf("damage is told as %v", h.damages)
	}
}

func TestFullDiskRefusesAndAppendsGoOnByThemselves(t *testing.T) {
	for _, sync := range []bool{false, true} {
		for _, room := range []int64{0, 1, 63, 64, 69, 70, 132, 133, 300} {
			fs := newFaulty()
			l := openLog(t, Options{FS: fs, Dir: "log", Sync: sync})
			mustAppend(t, l, messages("a"))
			fs.room.Store(room)
			huge := strings.Repeat("h", aheadBytes+1000) // with Sync, there are zeros to overwrite
			err := l.Append([]*Record{messages("b"), messages(huge)})
			if !errors.Is(err, syscall.ENOSPC) || !errors.Is(l.Err(), syscall.ENOSPC) {
				t.Fatalf("a full disk is answered with %v, %v", err, l.Err())
			}
			wantBodies(t, l, "a")
			fs.room.Store(-1)
			c := messages("c")
			mustAppend(t, l, c)
			if c.First != 2 || l.Err() != nil || c.Pos.Segment() != 1 {
				t.Errorf("the next message is %d at %x, %v", c.First, c.Pos, l.Err())
			}
			wantBodies(t, l, "a", "c")
			reopened(t, fs, "a", "c")
		}
	}
}

func TestFailedWriteThatCannotBeUndoneEndsTheSegment(t *testing.T) {
	fs := newFaulty()
	l := openLog(t, Options{FS: fs, Dir: "log"})
	mustAppend(t, l, messages("a"))
	fs.room.Store(100)
	l.opts.FS = &undoFails{faulty: fs}
	l.Idle()
	if err := l.Append([]*Record{messages("b"), messages("c")}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("a full disk is answered with %v", err)
	}
	fs.room.Store(-1)
	l.opts.FS = fs
	l.Idle()
	d := messages("d")
	mustAppend(t, l, d)
	if d.First != 4 || d.Pos.Segment() != 2 {
		t.Errorf("the next message is %d at %x", d.First, d.Pos)
	}
	wantBodies(t, l, "a", "d")
	reopened(t, fs, "a", "d")
}

// undoFails is a file system where no size can be asked for, so that nothing is taken back.
type undoFails struct{ *faulty }

func (u *undoFails) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := u.faulty.OpenReadWrite(name, c, opts...)
	return sizeless{f}, err
}

type sizeless struct{ vfs.File }

func (sizeless) Stat() (vfs.FileInfo, error) { return nil, syscall.EIO }

func TestFailedSyncRefusesAndTheNextAppendBeginsASegment(t *testing.T) {
	fs := newFaulty()
	l := openLog(t, Options{FS: fs, Dir: "log", Sync: true})
	mustAppend(t, l, messages("a"))
	fs.syncs.Store(1)
	if err := l.Append([]*Record{messages("b")}); !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), l.segments[0].path) {
		t.Errorf("a failed sync is answered with %v", err)
	}
	wantBodies(t, l, "a")
	c := messages("c")
	mustAppend(t, l, c)
	if c.First != 3 || c.Pos.Segment() != 2 {
		t.Errorf("the next message is %d at %x", c.First, c.Pos)
	}
	wantBodies(t, l, "a", "c")
	if n := l.Count(0, 100); n != 2 {
		t.Errorf("the log counts %d", n)
	}
	reopened(t, fs, "a", "c")
}

func TestWhatFailsNowAndThenLosesNothingAcknowledged(t *testing.T) {
	fs := newFaulty()
	var h heard
	opts := h.options(fs)
	opts.Sync, opts.SegmentBytes = true, 8<<10
	l := openLog(t, opts)
	syncs := 0
	fs.after = func() { // one sync at a time or two: the count need not be exact
		h.mu.Lock()
		defer h.mu.Unlock()
		syncs++
		fs.syncs.Store(int64(syncs % 7 / 6))
		fs.writes.Store(int64(syncs % 11 / 10))
		fs.opens.Store(int64(syncs % 13 / 12))
	}
	var wg sync.WaitGroup
	acked := make([][]message, 6)
	for w := range acked {
		wg.Go(func() {
			for i := range 80 {
				r := messages(fmt.Sprint(w, "-", i), fmt.Sprint(w, "-", i, "+"))
				if l.Append([]*Record{r}) == nil {
					acked[w] = append(acked[w], message{r.First, fmt.Sprint(w, "-", i)}, message{r.First + 1, fmt.Sprint(w, "-", i, "+")})
				}
			}
		})
	}
	wg.Wait()
	fs.after = nil
	fs.opens.Store(0)
	fs.writes.Store(0)
	fs.syncs.Store(0)
	for pass := range 2 {
		there, last := map[message]bool{}, uint64(0)
		for _, m := range readAll(t, l) {
			if m.seq <= last {
				t.Errorf("%v comes after %d", m, last)
			}
			there[m], last = true, m.seq
		}
		n := 0
		for _, m := range append(acked[0], flat(acked[1:])...) {
			n++
			if !there[m] {
				t.Errorf("%v is lost", m)
			}
		}
		if pass == 0 && len(there) != n { // later, what could not be taken back may be found
			t.Errorf("%d messages are there, %d were acknowledged", len(there), n)
		}
		check(t, l.Close())
		l = openLog(t, opts)
	}
}

func flat(all [][]message) (m []message) {
	for _, part := range all {
		m = append(m, part...)
	}
	return m
}

func TestIdleLogHasNoFilesOpen(t *testing.T) {
	fs := newFaulty()
	l := openLog(t, Options{FS: fs, Dir: "log", Sync: true})
	a := messages("a")
	mustAppend(t, l, a)
	c := l.Seek(0)
	rest(t, c)
	_, err := l.Read(a.Pos)
	check(t, err)
	l.Idle()
	if n := fs.files.Load(); n != 0 {
		t.Errorf("%d files are open", n)
	}
	b := messages("b")
	mustAppend(t, l, b)
	if b.Pos.Segment() != 1 {
		t.Errorf("the next message is at %x", b.Pos)
	}
	if got := rest(t, c); len(got) != 1 || got[0].body != "b" {
		t.Errorf("the cursor goes on with %v", got)
	}
	fs.opens.Store(100)
	l.Idle()
	if err := l.Append([]*Record{messages("c")}); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("without descriptors, an append is answered with %v", err)
	}
	fs.opens.Store(0)
	mustAppend(t, l, messages("d"))
	wantBodies(t, l, "a", "b", "d")
	c.Close()
	check(t, l.Close())
	if n := fs.files.Load(); n != 0 {
		t.Errorf("%d files are open behind Close", n)
	}
}
