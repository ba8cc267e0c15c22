package diskq

import (
	"errors"
	"io/fs"
	"os"
	"sync/atomic"
)

// Damage is what was found damaged.
type Damage struct {
	Ranges  int64 // runs of bytes that are no records, and data files that are missing
	Bytes   int64 // in them
	Records int64 // that are lost with them, as far as is known by now
	Metas   int64 // meta files that were missing or wrong, and were rebuilt
}

// damage counts. It is safe for concurrent use.
type damage struct {
	ranges, bytes, records, metas atomic.Int64
}

func (d *damage) get() Damage {
	return Damage{d.ranges.Load(), d.bytes.Load(), d.records.Load(), d.metas.Load()}
}

func (d *damage) add(more Damage) {
	d.ranges.Add(more.Ranges)
	d.bytes.Add(more.Bytes)
	d.records.Add(more.Records)
	d.metas.Add(more.Metas)
}

func (q *Queue) addDamage(more Damage) {
	q.damage.add(more)
	q.store.damage.add(more)
}

// maxAsideOne is how many bytes of one run are copied.
const maxAsideOne = 4 << 20

// setAside copies damaged bytes to a file beside the data file, for people to
// look at, and returns its name; "" if that was not possible. One that is there
// already is left as it is.
func (q *Queue) setAside(f file, num, from, to int64) string {
	n := min(to-from, maxAsideOne)
	if q.store.aside.Add(-n) < 0 {
		q.store.aside.Add(n)
		return ""
	}
	b := make([]byte, n)
	if _, err := f.ReadAt(b, from); err != nil {
		return ""
	}
	path := q.files.badPath(num, from)
	bad, err := q.store.open(path, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if os.IsExist(err) {
		return path
	}
	if err != nil {
		return ""
	}
	_, err = bad.WriteAt(b, 0)
	q.store.close(bad)
	if err != nil {
		q.store.disk.remove(path)
		return ""
	}
	return path
}

// skip moves at, where the reader has found no record, to the next one. Reading
// must be held, and the read position be at.
func (q *Queue) skip(at *position, end position, v *view) error {
	from := at.offset
	to, err := v.search(from)
	if err != nil {
		return err
	}
	path := q.files.dataPath(at.file)
	if to <= from {
		q.store.opts.Logger.Error(q.logName("a data file is shorter than it was"), "file", path, "offset", from)
		q.addDamage(Damage{Ranges: 1})
		*at = end
		if end.file != at.file {
			*at = position{file: at.file + 1}
		}
		return nil
	}
	lost, known, err := q.lostBefore(position{at.file, to})
	if err != nil {
		return err
	}
	attrs := []any{"file", path, "offset", from, "bytes", to - from}
	if known {
		attrs = append(attrs, "records", lost)
	}
	if bad := q.setAside(v.f, at.file, from, to); bad != "" {
		attrs = append(attrs, "copy", bad)
	}
	q.store.opts.Logger.Error(q.logName("damaged data was skipped"), attrs...)
	q.addDamage(Damage{Ranges: 1, Bytes: to - from, Records: lost})
	at.offset = to
	return nil
}

// maxTell is how much is read on to tell how many records a damage has cost. It
// bounds how long a reader waits for that.
const maxTell = 256 << 20

// lostBefore corrects the depth to what is really there from at on, and returns
// how many records less that is. It cannot tell if there is more damage behind:
// then the last one is charged with all.
func (q *Queue) lostBefore(at position) (lost int64, known bool, err error) {
	q.mu.Lock()
	depth, end := q.depth.Load(), q.write
	q.mu.Unlock()
	left, whole, err := q.countFrom(at, end, true)
	if err != nil || !whole {
		return 0, false, err
	}
	q.mu.Lock()
	q.depth.Add(left - depth) // with what was put meanwhile
	q.mu.Unlock()
	return max(0, depth-left), true, nil
}

// recount is for when nothing is counted any more but the end is not reached: a
// meta file had a depth too low.
func (q *Queue) recount() error {
	q.mu.Lock()
	depth, at, end := q.depth.Load(), q.read, q.write
	q.mu.Unlock()
	left, _, err := q.countFrom(at, end, false)
	if err != nil {
		return err
	}
	q.mu.Lock()
	q.depth.Add(left - depth)
	q.mu.Unlock()
	if left > 0 {
		q.store.opts.Logger.Warn(q.logName("there are more records than were counted"), "records", left)
		return nil
	}
	for at != end { // nothing but damage
		v, err := q.viewAt(&at, end)
		if err != nil {
			return err
		}
		if v == nil {
			continue
		}
		if err := q.skip(&at, end, v); err != nil {
			return err
		}
	}
	q.taken(at, 0)
	return nil
}

// countFrom counts the records between two positions. If it is to stop at damage,
// or when it has read much, whole tells that it did not.
func (q *Queue) countFrom(at, end position, stop bool) (records int64, whole bool, err error) {
	v := view{shape: &q.store.shape}
	defer v.release()
	read := int64(0)
	for ; at.file <= end.file && at != end; at = (position{file: at.file + 1}) {
		path := q.files.dataPath(at.file)
		size, err := q.store.disk.size(path)
		if err == nil && at.file == end.file {
			size = min(size, end.offset)
		}
		if errors.Is(err, fs.ErrNotExist) {
			if stop {
				return records, false, nil
			}
			continue
		}
		if read += size - at.offset; stop && read > maxTell {
			return records, false, nil
		}
		var t tally
		if err == nil {
			t, err = q.countFile(&v, path, at.offset, size, stop)
		}
		if err != nil {
			return 0, false, err
		}
		records += t.records
		if stop && t.end < size {
			return records, false, nil
		}
	}
	return records, true, nil
}

// countFile counts the records of one data file from off on.
func (q *Queue) countFile(v *view, path string, off, size int64, stop bool) (tally, error) {
	f, err := q.store.open(path, os.O_RDONLY)
	if err != nil {
		return tally{}, err
	}
	defer q.store.close(f)
	v.use(f, size)
	defer v.release()
	return v.count(off, stop)
}
