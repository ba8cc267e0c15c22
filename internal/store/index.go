package store

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// An index is what can be found out again from the logs, in a Pebble database.
type index struct {
	db     *pebble.DB
	fs     *patientFS
	logger *indexLogger
	waits  sync.WaitGroup // synced commits that nobody waits for any more

	mu    sync.Mutex // commits, and reads that must see all or nothing of one
	seals uint64     // the value of sealKey
}

// openIndex opens the index of a directory, which it makes if make is set.
func openIndex(fs vfs.FS, dir string, makeIt bool, logger *slog.Logger) (*index, error) {
	x := &index{fs: newPatientFS(fs), logger: &indexLogger{logger: logger}}
	cache := pebble.NewCache(8 << 20)
	defer cache.Unref()
	opts := &pebble.Options{
		FS:                          x.fs,
		Cache:                       cache,
		ErrorIfNotExists:            !makeIt,
		Logger:                      x.logger,
		MemTableSize:                4 << 20,
		MaxOpenFiles:                32,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 1 },
		FormatMajorVersion:          pebble.FormatFlushableIngest,
		MemTableStopWritesThreshold: 2,
	}
	// The usual one looks ten times a second whether more compactions may run at a time
	// than before. Here that is always one.
	opts.Experimental.CompactionScheduler = pebble.NewConcurrencyLimitSchedulerWithNoPeriodicGrantingForTest()
	db, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, fmt.Errorf("store: index %s: %w", dir, err)
	}
	x.db = db
	return x, nil
}

// errNoRoom is what commits are answered while the index waits for room.
var errNoRoom = fmt.Errorf("store: the index waits for room: %w", syscall.ENOSPC)

// commit applies b, which it closes, and with sync waits for stable storage. Without,
// it waits until the operating system has it, so that a kill costs nothing: by itself
// Pebble would leave it in the memory of the process.
// With an error b is not applied, or, if the disk became full meanwhile, not
// known to be on stable storage. mu must be held.
func (x *index) commit(b *pebble.Batch, sync bool) error {
	if err := x.err(); err != nil {
		b.Close()
		return err
	}
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
			if x.fs.waiting.Load() > 0 {
				return errNoRoom
			}
		}
	}
}

// err says why the index cannot be written.
func (x *index) err() error {
	if x.fs.waiting.Load() > 0 {
		return errNoRoom
	}
	return x.logger.err()
}

// each calls f with the keys and values from one key up to another, which are
// valid during the call, until it returns false.
func (x *index) each(from, to []byte, f func(key, value []byte) (bool, error)) error {
	it, err := x.db.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
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
	return errors.Join(x.db.Close(), x.logger.err())
}

// indexLogger passes on what is worth it, and keeps the first failure, after
// which the database does nothing more.
type indexLogger struct {
	logger *slog.Logger
	mu     sync.Mutex
	failed error
}

func (*indexLogger) Infof(string, ...any) {}

func (l *indexLogger) Errorf(format string, args ...any) {
	l.logger.Warn("index", "problem", fmt.Sprintf(format, args...))
}

// Fatalf would end the process in other loggers.
func (l *indexLogger) Fatalf(format string, args ...any) {
	l.fail(fmt.Errorf("store: index: "+format, args...))
}

func (l *indexLogger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed == nil {
		l.failed = err
	}
}

func (l *indexLogger) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}
