package diskq

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// reader is the side of a queue where records are taken.
type reader struct {
	f     file  // the data file being read; nil when not open
	num   int64 // its number
	whole bool  // the writer is done with it, and the view's limit is its size
	view  view
}

func (r *reader) release(s *Store) {
	if r.f != nil {
		s.close(r.f)
		r.f = nil
	}
	r.view.release()
}

// Take takes the next records in order, at most n and about maxBytes of them, and
// gives each to use, which must not keep it, nor call back. Damage is skipped. With
// an error, which is never for damage, what could be read before it was given to
// use, and the rest is still in the queue: the caller should try again after a
// while.
func (q *Queue) Take(n, maxBytes int, use func(rec []byte)) error {
	if n <= 0 || maxBytes <= 0 || q.depth.Load() == 0 {
		return nil
	}
	q.reading.Lock()
	defer q.reading.Unlock()
	if q.closed.Load() {
		return ErrClosed
	}
	err := q.takeLocked(n, maxBytes, use)
	q.condition.note(q, readFault, err)
	if err != nil {
		q.reader.release(q.store)
		return fmt.Errorf("reading disk queue %q: %w", q.name, err)
	}
	if q.store.crowded() {
		q.reader.release(q.store)
	}
	return nil
}

func (q *Queue) takeLocked(n, maxBytes int, use func(rec []byte)) error {
	q.reader.view.shape = &q.store.shape
	q.mu.Lock()
	at, end := q.read, q.write
	n = int(min(int64(n), q.depth.Load()))
	q.mu.Unlock()
	got := 0 // records before at that are not yet counted as taken
	var err error
	for n > 0 && maxBytes > 0 && at != end && err == nil {
		var v *view
		if v, err = q.viewAt(&at, end); v == nil {
			continue // at the next file, or failed
		}
		var length int64
		var ok bool
		var rec []byte
		if length, ok, err = v.check(at.offset); ok && err == nil {
			rec, ok, err = v.record(at.offset, length)
		}
		if err != nil {
			break
		}
		if !ok {
			q.taken(at, got)
			got = 0
			err = q.skip(&at, end, v)
			continue
		}
		at.offset += sizeLen + length
		use(rec)
		got, n, maxBytes = got+1, n-1, maxBytes-len(rec)
	}
	q.reader.view.releaseLong()
	uncounted := q.taken(at, got)
	if at == end {
		q.reader.view.release()
	}
	if uncounted && err == nil {
		err = q.recount()
	}
	return err
}

// taken moves the read position to at, past that many records. It reports true
// if there is more although nothing is counted any more.
func (q *Queue) taken(at position, records int) (uncounted bool) {
	q.mu.Lock()
	moved, rolled := q.read != at, q.read.file != at.file
	q.read = at
	left := q.depth.Add(-int64(records))
	lost := int64(0)
	if at == q.write {
		lost = left
		q.depth.Store(0)
	}
	uncounted = left == 0 && at != q.write
	many := moved && q.countLocked(int64(max(records, 1)), false)
	q.mu.Unlock()
	if lost > 0 {
		q.store.opts.Logger.Warn(q.logName("at the end, fewer records than were counted: the others were in damaged data"), "records", lost)
		q.addDamage(Damage{Records: lost})
	}
	if moved {
		q.plan(many)
	}
	if rolled {
		q.store.syncs.hurry(q) // the file before it can go
	}
	return uncounted
}

// viewAt returns a view of the file of at, which may end before at: then at is
// moved to the next file and the view is nil.
func (q *Queue) viewAt(at *position, end position) (*view, error) {
	r := &q.reader
	if r.f == nil || r.num != at.file {
		r.release(q.store)
		f, err := q.store.open(q.files.dataPath(at.file), os.O_RDONLY)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, q.missing(at, end, err)
		}
		if err != nil {
			return nil, err
		}
		r.f, r.num, r.whole = f, at.file, false
	}
	switch {
	case at.file == end.file:
		r.view.use(r.f, end.offset)
	case !r.whole:
		size, err := q.store.disk.size(q.files.dataPath(at.file))
		if err != nil {
			return nil, err
		}
		r.view.use(r.f, size)
		r.whole = true
	}
	if at.offset < r.view.limit {
		return &r.view, nil
	}
	if at.file == end.file {
		*at = end // the file is shorter than it was
	} else {
		*at = position{file: at.file + 1}
	}
	return nil, nil
}

// missing moves at to the next data file that is there, if the one of at is not,
// although the directory is: there may be a way back to a directory, not to a file.
func (q *Queue) missing(at *position, end position, cause error) error {
	ls, err := q.files.list(q.store.disk)
	if err != nil {
		return err
	}
	i, there := slices.BinarySearch(ls.data, at.file)
	if there {
		return cause // it came back: try again
	}
	next := end
	if i < len(ls.data) && ls.data[i] <= end.file {
		next = position{file: ls.data[i]}
	}
	if next == *at {
		return cause
	}
	q.store.opts.Logger.Error(q.logName("data files are missing and were skipped"),
		"file", q.files.dataPath(at.file), "until", q.files.dataPath(next.file))
	q.addDamage(Damage{Ranges: 1})
	*at = next
	return nil
}
