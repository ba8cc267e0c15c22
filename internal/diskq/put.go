package diskq

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
)

// A Batch collects records for one Put. The zero Batch is empty. It may be used
// again after Reset.
type Batch struct {
	buf  []byte // of each record the length and the bytes
	ends []int  // in buf
}

// Begin returns a buffer to which the caller appends one record; End takes it.
func (b *Batch) Begin() []byte { return append(b.buf, 0, 0, 0, 0) }

// End adds the record that was appended to the buffer of the last Begin.
func (b *Batch) End(buf []byte) {
	binary.BigEndian.PutUint32(buf[len(b.buf):], uint32(len(buf)-len(b.buf)-sizeLen))
	b.buf = buf
	b.ends = append(b.ends, len(buf))
}

// Records returns how many records were added.
func (b *Batch) Records() int { return len(b.ends) }

// Size returns how many bytes they take on disk.
func (b *Batch) Size() int { return len(b.buf) }

// Reset empties the batch and keeps its buffer.
func (b *Batch) Reset() { b.buf, b.ends = b.buf[:0], b.ends[:0] }

// fits reports whether every record has a possible length.
func (b *Batch) fits(sh *shape) error {
	start := 0
	for _, end := range b.ends {
		if n := int64(end - start - sizeLen); n < sh.header || n > math.MaxInt32 {
			return fmt.Errorf("record of %d bytes: must be in [%d,%d]", n, sh.header, math.MaxInt32)
		}
		start = end
	}
	return nil
}

// writer is the side of a queue where records are added.
type writer struct {
	f    file  // the last data file; nil when not open
	num  int64 // its number
	torn int64 // if not 0, a failed write left something: data files up to this, less one, must be cut
}

func (w *writer) release(s *Store) {
	if w.f != nil {
		s.close(w.f)
		w.f = nil
	}
}

// Put appends the records of a batch, opening the queue if need be. When it
// returns nil they have been handed to the operating system; else none of them
// is in the queue, the error says why, and the next Put may well work. It writes
// once, or once per data file where the batch begins a new one.
func (q *Queue) Put(b *Batch) error {
	if b.Records() == 0 {
		return nil
	}
	if err := b.fits(&q.store.shape); err != nil {
		return fmt.Errorf("writing to disk queue %q: %w", q.name, err)
	}
	q.writing.Lock()
	err := q.putLocked(b)
	if q.store.crowded() {
		q.writer.release(q.store)
	}
	if !errors.Is(err, ErrClosed) {
		q.condition.note(q, writeFault, err)
	}
	q.writing.Unlock()
	if err != nil {
		return err
	}
	if q.mustWait() {
		q.sync() // whose error is its own matter
	}
	return nil
}

func (q *Queue) putLocked(b *Batch) error {
	if err := q.openLocked(); err != nil {
		return err
	}
	if err := q.cutTorn(); err != nil {
		return fmt.Errorf("mending disk queue %q after a failed write: %w", q.name, err)
	}
	err := q.store.space.take(int64(b.Size()))
	var end position
	if err == nil {
		end, err = q.append(b)
	}
	if err != nil {
		return fmt.Errorf("writing to disk queue %q: %w", q.name, err)
	}
	q.mu.Lock()
	rolled := q.write.file != end.file
	q.write = end
	q.depth.Add(int64(b.Records()))
	many := q.countLocked(int64(b.Records()), true)
	q.mu.Unlock()
	q.plan(many)
	if rolled {
		q.store.syncs.hurry(q)
	}
	return nil
}

// append writes the batch behind the write position and returns its end. When it
// fails it has taken back what it wrote, or leaves that to cutTorn.
func (q *Queue) append(b *Batch) (end position, err error) {
	w := &q.writer
	at, err := q.writable()
	if err != nil {
		return at, err
	}
	start := at
	first := w.f // kept open until nothing has to be taken back: then there may be no descriptor to open it with
	defer func() {
		if err != nil {
			q.takeBack(start, at, first)
		}
		if first != w.f {
			q.store.close(first)
		}
	}()
	for done, i := 0, 0; i < len(b.ends); {
		n := i
		for n < len(b.ends) && (at.offset == 0 && n == i || at.offset+int64(b.ends[n]-done) <= q.store.opts.MaxBytesPerFile) {
			n++
		}
		if n == i { // not one more fits
			at = position{file: at.file + 1}
			f, err := q.store.open(q.files.dataPath(at.file), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
			if err != nil {
				return at, err
			}
			if w.f != first {
				q.store.close(w.f)
			}
			w.f, w.num = f, at.file
			continue
		}
		part := b.buf[done:b.ends[n-1]]
		if _, err := w.f.WriteAt(part, at.offset); err != nil {
			return at, err
		}
		at.offset += int64(len(part))
		done, i = b.ends[n-1], n
	}
	return at, nil
}

// writable opens the last data file if it is not open, and returns where to
// write: the write position, or the start of the next file if that one is gone.
func (q *Queue) writable() (position, error) {
	q.mu.Lock()
	at, vanished := q.write, q.vanished
	q.vanished = false
	q.mu.Unlock()
	w := &q.writer
	if w.f != nil && w.num == at.file && !vanished {
		return at, nil
	}
	w.release(q.store)
	path, flag := q.files.dataPath(at.file), os.O_RDWR
	if at.offset == 0 {
		flag |= os.O_CREATE | os.O_TRUNC
	}
	f, err := q.store.open(path, flag)
	if at.offset > 0 {
		intact := err == nil
		if intact {
			var size int64
			size, err = q.store.disk.size(path)
			intact = err == nil && size >= at.offset
			if err == nil && size > at.offset {
				err = f.Truncate(at.offset)
			}
			if err != nil || !intact {
				q.store.close(f)
			}
		}
		if gone := err == nil && !intact || errors.Is(err, fs.ErrNotExist) && q.isGone(at.file); gone {
			at = position{file: at.file + 1}
			f, err = q.store.open(q.files.dataPath(at.file), os.O_RDWR|os.O_CREATE|os.O_TRUNC)
		}
	}
	if err != nil {
		return at, err
	}
	w.f, w.num = f, at.file
	return at, nil
}

// isGone reports whether a data file that cannot be found was really removed:
// the directory is there, and does not have it.
func (q *Queue) isGone(num int64) bool {
	ls, err := q.files.list(q.store.disk)
	if err != nil {
		return false
	}
	for _, n := range ls.data {
		if n == num {
			return false
		}
	}
	return true
}

// takeBack cuts off what a failed append wrote from start to the file of at.
func (q *Queue) takeBack(start, at position, first file) {
	w := &q.writer
	err := first.Truncate(start.offset)
	for num := start.file + 1; num <= at.file; num++ {
		if w.f != first {
			q.store.close(w.f)
			w.f, w.num = first, start.file
		}
		_, e := q.store.disk.remove(q.files.dataPath(num))
		err = errors.Join(err, e)
	}
	if err != nil {
		w.torn = at.file + 1
	}
}

// cutTorn does what takeBack could not do.
func (q *Queue) cutTorn() error {
	w := &q.writer
	if w.torn == 0 {
		return nil
	}
	w.release(q.store)
	for num := w.torn - 1; num > q.write.file; num-- {
		if _, err := q.store.disk.remove(q.files.dataPath(num)); err != nil {
			return err
		}
	}
	w.torn = 0
	_, err := q.writable() // which cuts
	if err != nil {
		w.torn = q.write.file + 1
	}
	return err
}
