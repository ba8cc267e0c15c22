package store

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/seed893f581e/nsq/internal/overlay"
)

// patientFS is a file system whose writes wait while the disk is full or no
// file can be opened, as an index that meets such an error is lost, or tries again
// without a rest. After other errors it tries again, too, so that these take a while. Only
// while the index is opened nobody waits: with the first write that fails, that one and all
// that follow go to memory, as if the process had ended before it.
type patientFS struct {
	vfs.FS
	reserve *reserve      // of the disk
	handing atomic.Bool   // to sync a write-ahead log means only that the operating system has it
	stop    chan struct{} // closed: none waits any more

	mu      sync.Mutex           // of who changes what follows
	patient bool                 // the index is open
	failed  error                // why a write failed before
	half    string               // the file that it was for
	waiters map[*waiter]struct{} // operations that wait now
	memory  atomic.Pointer[overlay.FS]
}

func newPatientFS(fs vfs.FS, r *reserve) *patientFS {
	return &patientFS{FS: fs, reserve: r, stop: make(chan struct{}), waiters: make(map[*waiter]struct{})}
}

// Unwrap lets pebble find the file system below.
func (p *patientFS) Unwrap() vfs.FS { return p.FS }

// begin is called before the index is opened, when it has no file open.
func (p *patientFS) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.patient, p.failed, p.half = false, nil, ""
	p.memory.Store(nil)
}

// opened is called when the index is open. It returns why it must be closed again, as part
// of it is in memory only.
func (p *patientFS) opened() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.patient = true
	return p.failed
}

// removeHalf removes what is left of a table that there was no room for.
func (p *patientFS) removeHalf() {
	if strings.HasSuffix(p.half, ".sst") {
		_ = p.FS.Remove(p.half) // or else when the index is opened the next time
	}
}

// now is where files are made, renamed and removed.
func (p *patientFS) now() vfs.FS {
	if m := p.memory.Load(); m != nil {
		return m
	}
	return p.FS
}

// divert is told of a write that failed, and whether it is to be tried again, in memory.
func (p *patientFS) divert(name string, err error) bool {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.patient || p.failed != nil {
		return !p.patient && p.memory.Load() != nil
	}
	p.failed, p.half = err, name
	p.memory.Store(overlay.New(p.FS))
	return true
}

// patience is how long an operation waits until it is tried again.
const patience = 20 * time.Millisecond

// try calls op, which writes to a file, until it does not fail for want of room.
func (p *patientFS) try(name string, op func() error) error {
	err := op()
	if err != nil && p.divert(name, err) {
		return op()
	}
	return p.wait(err, op)
}

// wait calls op while it fails for want of room, as it did with err. What fails otherwise is
// not tried again here, as a sync that failed may not fail again and have done nothing.
func (p *patientFS) wait(err error, op func() error) error {
	if err == nil || !p.isPatient() {
		return err
	}
	if !wantsRoom(err) {
		p.rest(err)
		return err
	}
	if p.reserve.gives(err) {
		err = op()
	}
	w := p.startWaiting()
	defer p.endWaiting(w)
	tick := time.NewTicker(patience)
	defer tick.Stop()
	for wantsRoom(err) {
		select {
		case <-p.stop:
			return err
		case <-w.look:
		case <-tick.C:
		}
		err = op()
	}
	return err
}

// A waiter is an operation that waits for room.
type waiter struct {
	look  chan struct{} // who sends has it look for room at once
	ended chan struct{} // closed when it has been done, or given up
}

func (p *patientFS) startWaiting() *waiter {
	w := &waiter{look: make(chan struct{}), ended: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiters[w] = struct{}{}
	return w
}

func (p *patientFS) endWaiting(w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiters, w)
	close(w.ended)
}

// waits tells whether any operation waits.
func (p *patientFS) waits() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.waiters) > 0
}

// look has every operation that waits look for room at once, and returns when each has: those
// that found some do not wait any more.
func (p *patientFS) look() {
	p.mu.Lock()
	waiters := slices.Collect(maps.Keys(p.waiters))
	p.mu.Unlock()
	for _, w := range waiters {
		for range 2 { // who can be told to look again has looked
			select {
			case w.look <- struct{}{}:
			case <-w.ended:
			}
		}
	}
}

// rest has whoever met an error of the disk not try again at once.
func (p *patientFS) rest(err error) {
	if !ofDisk(err) {
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.stop:
	case <-timer.C:
	}
}

// ofDisk tells whether the system says that a disk, or access to it, fails.
func ofDisk(err error) bool {
	var number syscall.Errno
	return errors.As(err, &number) && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist)
}

func (p *patientFS) isPatient() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.patient
}

func wantsRoom(err error) bool {
	return isFull(err) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

func (p *patientFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return p.open(name, func(fs vfs.FS) (vfs.File, error) { return fs.Create(name, category) })
}

func (p *patientFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return p.open(to, func(fs vfs.FS) (vfs.File, error) { return fs.ReuseForWrite(from, to, category) })
}

func (p *patientFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return p.open(name, func(fs vfs.FS) (vfs.File, error) { return fs.OpenReadWrite(name, category, opts...) })
}

func (p *patientFS) OpenDir(name string) (vfs.File, error) {
	return p.open(name, func(fs vfs.FS) (vfs.File, error) { return fs.OpenDir(name) })
}

// open opens a file to write to.
func (p *patientFS) open(name string, do func(vfs.FS) (vfs.File, error)) (vfs.File, error) {
	f := &patientFile{name: name, fs: p, wal: strings.HasSuffix(name, ".log")}
	err := p.try(name, func() (err error) {
		on := p.now()
		f.below = on == p.FS
		f.File, err = do(on)
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Open opens a file to read from.
func (p *patientFS) Open(name string, opts ...vfs.OpenOption) (f vfs.File, err error) {
	op := func() error { f, err = p.now().Open(name, opts...); return err }
	err = p.wait(op(), op)
	return f, err
}

func (p *patientFS) Link(from, to string) error {
	return p.try(to, func() error { return p.now().Link(from, to) })
}

func (p *patientFS) Rename(from, to string) error {
	return p.try(to, func() error { return p.now().Rename(from, to) })
}

func (p *patientFS) MkdirAll(dir string, perm os.FileMode) error {
	return p.try(dir, func() error { return p.now().MkdirAll(dir, perm) })
}

func (p *patientFS) Remove(name string) error               { return p.now().Remove(name) }
func (p *patientFS) RemoveAll(name string) error            { return p.now().RemoveAll(name) }
func (p *patientFS) List(dir string) ([]string, error)      { return p.now().List(dir) }
func (p *patientFS) Stat(name string) (vfs.FileInfo, error) { return p.now().Stat(name) }

type patientFile struct {
	vfs.File
	name    string
	fs      *patientFS
	below   bool        // not in memory
	wal     bool        // it may be a write-ahead log
	skipped atomic.Bool // a sync, which Close makes up for
}

// try is that of the file system. What is to be written to a file below when others are in
// memory already is forgotten.
func (f *patientFile) try(op func() error) error {
	return f.fs.try(f.name, func() error {
		if f.below && f.fs.memory.Load() != nil {
			return nil
		}
		return op()
	})
}

func (f *patientFile) Write(b []byte) (n int, err error) {
	err = f.try(func() error {
		m, err := f.File.Write(b[n:])
		n += m
		return err
	})
	if err == nil {
		n = len(b)
	}
	return n, err
}

func (f *patientFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.try(func() error { _, err := f.File.WriteAt(b, off); return err }); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (f *patientFile) Sync() error     { return f.sync(f.File.Sync) }
func (f *patientFile) SyncData() error { return f.sync(f.File.SyncData) }

func (f *patientFile) sync(do func() error) error {
	if f.wal && f.fs.handing.Load() {
		f.skipped.Store(true)
		return nil
	}
	err := f.try(do)
	if err == nil {
		f.skipped.Store(false)
	}
	return err
}

func (f *patientFile) Close() error {
	var err error
	if f.skipped.Load() {
		err = f.try(f.File.SyncData)
	}
	return errors.Join(err, f.File.Close())
}

func (f *patientFile) SyncTo(length int64) (full bool, err error) {
	err = f.try(func() error { full, err = f.File.SyncTo(length); return err })
	return full, err
}
