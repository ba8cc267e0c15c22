package store

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// An index is what can be found out again from the logs, in a Pebble database.
type index struct {
	dir    string
	fs     *patientFS
	logger *indexLogger
	waits  sync.WaitGroup // synced commits that nobody waits for any more

	mu    sync.Mutex    // commits, and reads that must see all or nothing of one
	seals uint64        // the value of sealKey
	tried time.Time     // when there was no room to open it for writing
	every time.Duration // how long until that is tried again

	open   sync.RWMutex       // db, which those who read hold it open by, shut and memory
	db     *pebble.DB         // nil if it could not be opened again
	shut   error              // why it could not be opened again even for reading; that is tried again
	memory vfs.FS             // that has it, in indexDir, as it was rebuilt and is not on disk yet; or nil
	place  func(vfs.FS) error // brings it to disk from there

	unready atomic.Pointer[error] // why it is not open for writing, which is tried again; nil while it is
}

// openIndex opens the index of a directory, which it makes if makeIt is set. Where there is no
// room to write, one that exists is opened for reading until there is.
func openIndex(fs *patientFS, dir string, makeIt bool, noteEvery time.Duration, logger *slog.Logger) (*index, error) {
	x := &index{dir: dir, fs: fs, every: 5 * noteEvery}
	x.logger = &indexLogger{logger: logger, fs: x.fs}
	err := fs.reserve.try(func() error { return x.openDB(&pebble.Options{ErrorIfNotExists: !makeIt}) })
	if wantsRoom(err) && !makeIt {
		x.waitFor(err)
		err = x.openDB(&pebble.Options{ReadOnly: true})
	}
	if err != nil {
		return nil, fmt.Errorf("store: index %s: %w", dir, err)
	}
	return x, nil
}

// rebuiltIndex makes an index in memory, to which all is to be written before place, which is to
// bring it to a directory, is called by reopen.
func rebuiltIndex(fs *patientFS, dir string, place func(vfs.FS) error, noteEvery time.Duration, logger *slog.Logger) (*index, error) {
	x := &index{dir: dir, fs: fs, every: 5 * noteEvery, memory: vfs.NewMem(), place: place}
	x.logger = &indexLogger{logger: logger, fs: x.fs}
	return x, x.openDB(new(pebble.Options))
}

func (x *index) openDB(opts *pebble.Options) error {
	dir := x.dir
	opts.FS = x.fs
	if x.memory != nil {
		dir, opts.FS = indexDir, x.memory
	}
	cache := pebble.NewCache(8 << 20)
	defer cache.Unref()
	opts.Cache = cache
	opts.Logger = x.logger
	opts.EventListener = x.logger.listener()
	opts.MemTableSize = 4 << 20
	opts.MaxOpenFiles = 32
	opts.CompactionConcurrencyRange = func() (int, int) { return 1, 1 }
	opts.FormatMajorVersion = pebble.FormatFlushableIngest
	opts.MemTableStopWritesThreshold = 2
	// The usual one looks ten times a second whether more compactions may run at a time
	// than before. Here that is always one.
	opts.Experimental.CompactionScheduler = pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest()
	x.fs.begin()
	db, err := pebble.Open(dir, opts)
	if failed := x.fs.opened(); failed != nil {
		if db != nil {
			db.Close()
		}
		x.fs.removeHalf()
		return failed
	}
	x.db = db
	return err
}

// roomToOpen is how much must be free, beside what write-ahead logs take, until an index
// is opened for writing again.
const roomToOpen = 1 << 20

// begin returns a batch to commit, or why none can be. mu must be held.
func (x *index) begin() (*pebble.Batch, error) {
	if x.unready.Load() != nil {
		x.resume()
	}
	if err := x.err(); err != nil {
		return nil, err
	}
	return x.db.NewBatch(), nil
}

// resume opens for writing, if there is room, what is not. mu must be held.
func (x *index) resume() {
	if time.Since(x.tried) < x.every {
		return
	}
	x.tried = time.Now()
	if usage, err := x.fs.GetDiskUsage(x.fs.PathDir(x.dir)); err == nil && usage.AvailBytes < roomToOpen+x.bytesToWrite() {
		return
	}
	_ = x.reopen() // which err tells from then on
}

// lookForRoom has everything that waits for room look for it now.
func (x *index) lookForRoom() {
	x.fs.look()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.tried = time.Time{}
}

// reopen opens for writing, on disk, what is open for reading or in memory. If there is no room
// for that, it is open for reading where it was or, with an error for want of room, not at all;
// both are tried again. With another error it has failed for good. mu must be held.
func (x *index) reopen() error {
	x.tried = time.Now()
	x.open.Lock()
	defer x.open.Unlock()
	err := x.closeDB()
	if err == nil {
		err = x.fs.reserve.try(x.openOnDisk)
	}
	x.waitFor(err)
	if wantsRoom(err) {
		err = x.openDB(&pebble.Options{ReadOnly: true})
	}
	if err != nil { // before anybody finds that it is not open
		err = fmt.Errorf("store: index %s: %w", x.dir, err)
	}
	if x.shut = err; err != nil && !wantsRoom(err) {
		x.logger.fail(err)
	}
	return err
}

// waitFor notes that it is not open for writing for want of room, as err says, or that it need not
// wait for any.
func (x *index) waitFor(err error) {
	if !wantsRoom(err) {
		x.unready.Store(nil)
		return
	}
	err = fmt.Errorf("store: the index waits for room: %w", err)
	x.unready.Store(&err)
}

// openOnDisk opens for writing, on disk, what was closed.
func (x *index) openOnDisk() error {
	if x.memory != nil {
		if err := x.place(x.memory); err != nil {
			return err
		}
		x.memory = nil
	}
	return x.openDB(new(pebble.Options))
}

// bytesToWrite returns how much reopen writes: what the write-ahead logs have, into tables, and
// all that is in memory. mu must be held.
func (x *index) bytesToWrite() (bytes uint64) {
	fs, dir := vfs.FS(x.fs), x.dir
	if x.memory != nil {
		fs, dir = x.memory, indexDir
	}
	names, _ := fs.List(dir)
	for _, name := range names {
		info, err := fs.Stat(fs.PathJoin(dir, name))
		if err != nil {
			continue
		}
		if x.memory != nil {
			bytes += uint64(info.Size())
		}
		if strings.HasSuffix(name, ".log") {
			bytes += uint64(info.Size())
		}
	}
	return bytes
}

func (x *index) closeDB() error {
	if x.db == nil {
		return nil
	}
	db := x.db
	x.db = nil
	return db.Close()
}

// reader returns the database to read from, until done is called.
func (x *index) reader() (db *pebble.DB, done func(), err error) {
	x.open.RLock()
	if x.db == nil {
		defer x.open.RUnlock()
		return nil, nil, x.shut
	}
	return x.db, x.open.RUnlock, nil
}

// errNoRoom is what commits are answered while the index waits for room.
var errNoRoom = fmt.Errorf("store: the index waits for room: %w", syscall.ENOSPC)

// commit applies b, which it closes, and with sync waits for stable storage. Without,
// it waits until the operating system has it, so that a kill costs nothing: by itself
// Pebble would leave it in the memory of the process.
// With an error b is not applied, or, if the disk became full meanwhile, not
// known to be on stable storage. mu must be held since begin.
func (x *index) commit(b *pebble.Batch, sync bool) error {
	x.fs.handing.Store(!sync)
	defer x.fs.handing.Store(false)
	if err := x.db.ApplyNoSyncWait(b, pebble.Sync); err != nil {
		b.Close()
		return err
	}
	synced := make(chan error, 1)
	x.waits.Go(func() {
		synced <- b.SyncWait()
		b.Close()
	})
	tick := time.NewTicker(patience)
	defer tick.Stop()
	for {
		select {
		case err := <-synced:
			return errors.Join(err, x.logger.err())
		case <-tick.C:
			if x.fs.waits() {
				return errNoRoom
			}
		}
	}
}

// err says why the index cannot be written.
func (x *index) err() error {
	if err := cmp.Or(x.logger.err(), x.logger.unflushed()); err != nil {
		return err
	}
	if reason := x.unready.Load(); reason != nil {
		return *reason
	}
	if x.fs.waits() {
		return errNoRoom
	}
	return nil
}

// each calls f with the keys and values from one key up to another, which are
// valid during the call, until it returns false.
func (x *index) each(from, to []byte, f func(key, value []byte) (bool, error)) error {
	db, done, err := x.reader()
	if err != nil {
		return err
	}
	defer done()
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; {
		var value []byte
		if value, err = it.ValueAndErr(); err != nil {
			break
		}
		if ok, err = f(it.Key(), value); ok {
			ok = it.Next()
		}
	}
	return errors.Join(err, it.Close())
}

// after returns the first key behind all that begin with prefix.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

func (x *index) close() error {
	close(x.fs.stop)
	x.waits.Wait()
	return errors.Join(x.closeDB(), x.logger.err())
}
