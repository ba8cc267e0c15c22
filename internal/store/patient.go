package store

import (
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// patientFS is a file system whose writes wait while the disk is full or no
// file can be opened, as an index that meets such an error is lost.
type patientFS struct {
	vfs.FS
	patient atomic.Bool   // otherwise errors are returned
	waiting atomic.Int32  // operations that wait now
	handing atomic.Bool   // to sync a write-ahead log means only that the operating system has it
	stop    chan struct{} // closed: none waits any more
}

func newPatientFS(fs vfs.FS) *patientFS {
	return &patientFS{FS: fs, stop: make(chan struct{})}
}

// Unwrap lets pebble find the file system below.
func (p *patientFS) Unwrap() vfs.FS { return p.FS }

// patience is how long an operation waits until it is tried again.
const patience = 20 * time.Millisecond

// try calls op until it does not fail for want of room.
func (p *patientFS) try(op func() error) error {
	err := op()
	if !wantsRoom(err) || !p.patient.Load() {
		return err
	}
	p.waiting.Add(1)
	defer p.waiting.Add(-1)
	tick := time.NewTicker(patience)
	defer tick.Stop()
	for wantsRoom(err) {
		select {
		case <-p.stop:
			return err
		case <-tick.C:
			err = op()
		}
	}
	return err
}

func wantsRoom(err error) bool {
	return err != nil && (vfs.IsNoSpaceError(err) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE))
}

func (p *patientFS) Create(name string, category vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = p.try(func() error { f, err = p.FS.Create(name, category); return err })
	return p.logFile(f, name), err
}

func (p *patientFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (f vfs.File, err error) {
	err = p.try(func() error { f, err = p.FS.ReuseForWrite(from, to, category); return err })
	return p.logFile(f, to), err
}

func (p *patientFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (f vfs.File, err error) {
	err = p.try(func() error { f, err = p.FS.OpenReadWrite(name, category, opts...); return err })
	return p.file(f), err
}

func (p *patientFS) Open(name string, opts ...vfs.OpenOption) (f vfs.File, err error) {
	err = p.try(func() error { f, err = p.FS.Open(name, opts...); return err })
	return f, err
}

func (p *patientFS) OpenDir(name string) (f vfs.File, err error) {
	err = p.try(func() error { f, err = p.FS.OpenDir(name); return err })
	return p.file(f), err
}

func (p *patientFS) Link(from, to string) error {
	return p.try(func() error { return p.FS.Link(from, to) })
}

func (p *patientFS) Rename(from, to string) error {
	return p.try(func() error { return p.FS.Rename(from, to) })
}

func (p *patientFS) MkdirAll(dir string, perm os.FileMode) error {
	return p.try(func() error { return p.FS.MkdirAll(dir, perm) })
}

func (p *patientFS) file(f vfs.File) vfs.File {
	if f == nil {
		return nil
	}
	return &patientFile{File: f, fs: p}
}

// logFile is file for one that may be a write-ahead log.
func (p *patientFS) logFile(f vfs.File, name string) vfs.File {
	if f == nil {
		return nil
	}
	return &patientFile{File: f, fs: p, wal: strings.HasSuffix(name, ".log")}
}

type patientFile struct {
	vfs.File
	fs      *patientFS
	wal     bool
	skipped atomic.Bool // a sync, which Close makes up for
}

func (f *patientFile) Write(b []byte) (n int, err error) {
	err = f.fs.try(func() error {
		m, err := f.File.Write(b[n:])
		n += m
		return err
	})
	return n, err
}

func (f *patientFile) WriteAt(b []byte, off int64) (n int, err error) {
	err = f.fs.try(func() error { n, err = f.File.WriteAt(b, off); return err })
	return n, err
}

func (f *patientFile) Preallocate(off, length int64) error {
	return f.fs.try(func() error { return f.File.Preallocate(off, length) })
}

func (f *patientFile) Sync() error     { return f.sync(f.File.Sync) }
func (f *patientFile) SyncData() error { return f.sync(f.File.SyncData) }

func (f *patientFile) sync(do func() error) error {
	if f.wal && f.fs.handing.Load() {
		f.skipped.Store(true)
		return nil
	}
	err := f.fs.try(do)
	if err == nil {
		f.skipped.Store(false)
	}
	return err
}

func (f *patientFile) Close() error {
	var err error
	if f.skipped.Load() {
		err = f.fs.try(f.File.SyncData)
	}
	return errors.Join(err, f.File.Close())
}

func (f *patientFile) SyncTo(length int64) (full bool, err error) {
	err = f.fs.try(func() error { full, err = f.File.SyncTo(length); return err })
	return full, err
}
