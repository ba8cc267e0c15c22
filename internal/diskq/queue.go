package diskq

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
)

// Queue is one disk queue. All its methods may be called concurrently. A Read
// never waits for a Put, nor a Put for a Read, and neither for the disk to
// confirm, but where SyncEvery demands it of a Put.
type Queue struct {
	name   string
	store  *Store
	files  files
	depth  atomic.Int64 // changed with mu held
	closed atomic.Bool  // set with the next three held
	damage damage

	// Locked in this order, each held over the disk by one kind of work. Who holds
	// all three sees no other change of the queue.
	reading sync.Mutex // reader
	writing sync.Mutex // writer, opened
	syncing sync.Mutex // first

	reader reader
	writer writer
	opened bool
	first  int64 // no data file has a lower number

	mu          sync.Mutex // what follows; never held over the disk
	read, write position   // changed with reading, writing also held
	unsynced    int64      // records written or read that are not durable
	unsafeData  bool       // some of them written
	dirtyFile   int64      // the first data file with such
	vanished    bool       // the file that was written is gone: go on in the next

	condition condition
	scheduled scheduled
}

// Open makes the records on disk count. It does nothing if the queue is open
// already. After an error it may be tried again.
func (q *Queue) Open() error {
	q.writing.Lock()
	defer q.writing.Unlock()
	return q.openLocked()
}

func (q *Queue) openLocked() error {
	if q.closed.Load() {
		return ErrClosed
	}
	if q.opened {
		return nil
	}
	ls, err := q.store.take(q.files)
	if err == nil {
		err = q.recover(ls)
	}
	if err != nil {
		return fmt.Errorf("opening disk queue %q: %w", q.name, err)
	}
	q.opened = true
	return nil
}

// Depth returns the number of records; after Close, the number of records kept.
// It never blocks. A queue that was not opened yet has depth 0, whatever is on
// disk.
func (q *Queue) Depth() int64 { return q.depth.Load() }

// Damage returns what was found in the queue since it was opened.
func (q *Queue) Damage() Damage { return q.damage.get() }

// lockAll waits for whatever is under way.
func (q *Queue) lockAll() (unlock func()) {
	q.reading.Lock()
	q.writing.Lock()
	q.syncing.Lock()
	return func() {
		q.syncing.Unlock()
		q.writing.Unlock()
		q.reading.Unlock()
	}
}

// Empty drops all records. The queue stays usable; it is empty even if there is
// an error, which says that files are left, to be removed later.
func (q *Queue) Empty() error {
	defer q.lockAll()()
	if q.closed.Load() {
		return ErrClosed
	}
	err := q.emptyLocked()
	if err == nil && q.opened {
		q.condition.clear(q)
	}
	return err
}

// emptyLocked removes the files. A kill in between must not leave some of the
// records to come back: where there are several files, the meta file says first
// that none of them holds anything.
func (q *Queue) emptyLocked() error {
	if !q.opened {
		ls, err := q.store.take(q.files)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // not even a directory
			}
			return err
		}
		if ls.empty() {
			return nil
		}
		if len(ls.data) > 0 {
			q.first, q.write.file = ls.data[0], ls.data[len(ls.data)-1]
		}
		q.write.offset = 1 // so that the next data file is another
	}
	q.closeHandles()
	q.mu.Lock()
	last := q.write.file
	if q.write.offset > 0 {
		q.write = position{file: last + 1}
	}
	q.read, q.dirtyFile = q.write, q.write.file
	q.depth.Store(0)
	q.unsynced, q.unsafeData, q.vanished = 0, false, false
	m := q.metaLocked()
	q.mu.Unlock()

	var errs []error
	if last > q.first {
		errs = append(errs, q.store.disk.replace(q.files.metaPath(), m.encode()))
	}
	errs = append(errs, q.removeLocked(last))
	q.writer.torn = 0
	err := errors.Join(errs...)
	if err != nil {
		q.changed(1, false) // have the sync loop write positions beyond what is left
	} else {
		q.first = q.write.file
	}
	q.opened = true
	return err
}

// manyFiles is how many names are tried before it is better to read the directory.
const manyFiles = 1000

// removeLocked removes the data files up to the given one, and the meta file
// last: data files without one would be taken for a queue that was never synced.
// What was set aside stays.
func (q *Queue) removeLocked(last int64) error {
	var errs []error
	any := false
	remove := func(path string) {
		removed, err := q.store.disk.remove(path)
		any = any || removed
		errs = append(errs, err)
	}
	if last = max(last, q.writer.torn); last-q.first < manyFiles {
		for num := q.first; num <= last; num++ {
			remove(q.files.dataPath(num))
		}
	} else {
		ls, err := q.files.list(q.store.disk)
		errs = append(errs, err)
		for _, num := range ls.data {
			remove(q.files.dataPath(num))
		}
	}
	remove(q.files.metaPath())
	if err := errors.Join(errs...); err != nil || !any {
		return err
	}
	return q.store.disk.syncDir(q.files.dir)
}

// Close keeps all records and returns when they, the positions and the directory
// are on stable storage. Closing again, or after Delete, does nothing. What could
// not be made durable, which the error says, is still there for the next Open.
func (q *Queue) Close() error {
	defer q.lockAll()()
	if q.closed.Load() {
		return nil
	}
	q.closed.Store(true)
	defer q.condition.end(q)
	if !q.opened {
		return nil
	}
	err := q.cutTorn()
	err = errors.Join(err, q.syncLocked())
	q.closeHandles()
	if err != nil {
		return fmt.Errorf("closing disk queue %q: %w", q.name, err)
	}
	return nil
}

// Delete closes the queue and removes its files, even if it was never opened or
// is closed already. What was set aside as damaged stays.
func (q *Queue) Delete() error {
	defer q.lockAll()()
	q.closed.Store(true)
	defer q.condition.end(q)
	err := q.emptyLocked()
	q.closeHandles()
	if err != nil {
		return fmt.Errorf("deleting disk queue %q: %w", q.name, err)
	}
	q.opened, q.first, q.read, q.write = false, 0, position{}, position{}
	q.store.removed(q.name)
	return nil
}

// closeHandles needs reading and writing held.
func (q *Queue) closeHandles() {
	q.reader.release(q.store)
	q.writer.release(q.store)
}

// metaLocked returns what the meta file should say, with mu held.
func (q *Queue) metaLocked() meta { return meta{q.depth.Load(), q.read, q.write} }

// logName begins a log line about the queue as scripts know them.
func (q *Queue) logName(text string) string { return fmt.Sprintf("DISKQUEUE(%s): %s", q.name, text) }
