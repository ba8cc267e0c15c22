package diskq

import (
	"errors"
	"io/fs"
	"os"
	"slices"
)

// recover finds out where a queue stands whose files were left by whoever used
// it last: closed, or killed at any moment. It fails only if the files cannot be
// read. Writing must be held.
func (q *Queue) recover(ls listing) error {
	for _, path := range ls.temp {
		if _, err := q.store.disk.remove(path); err != nil {
			return err
		}
	}
	if ls.empty() {
		return nil
	}
	r := recovery{q: q, data: ls.data, view: view{shape: &q.store.shape}}
	defer r.view.release()
	recorded, why, err := r.recorded(ls.meta)
	if err != nil {
		return err
	}
	m := recorded
	if why == "" {
		m, why, err = r.behind(recorded)
	}
	if err == nil && why != "" {
		m, err = r.rebuild(recorded)
	}
	if err == nil && m.depth == 0 && m.read != m.write {
		m, err = r.skipAll(m)
	}
	if err != nil {
		return err
	}
	if why != "" {
		r.report(why, recorded, m)
	}
	q.first = m.read.file
	if len(ls.data) > 0 {
		q.first = min(q.first, ls.data[0])
	}
	dirty := recorded.write.file // behind it nothing may be durable
	if why != "" {
		dirty = m.read.file
	}
	q.mu.Lock()
	q.read, q.write, q.dirtyFile = m.read, m.write, dirty
	q.depth.Store(m.depth)
	q.mu.Unlock()
	if m != recorded || len(ls.data) > 0 && ls.data[0] < m.read.file {
		q.changed(1, true) // have the meta file written, and files removed that were read
	}
	return nil
}

// A recovery is the finding out.
type recovery struct {
	q    *Queue
	data []int64 // numbers of the data files
	view view
	lost bool // files, or ends of them, that the meta file counts
}

// recorded returns what the meta file says, and if that cannot be, why.
func (r *recovery) recorded(there bool) (m meta, why string, err error) {
	if !there {
		return meta{depth: -1}, "there is no meta file", nil
	}
	b, err := r.q.store.disk.readFile(r.q.files.metaPath())
	if err != nil {
		return m, "", err
	}
	if m, err = parseMeta(b); err != nil {
		return meta{depth: -1}, err.Error(), nil
	}
	why, err = r.contradiction(m)
	return m, why, err
}

// contradiction says what in the data files does not fit the meta file.
func (r *recovery) contradiction(m meta) (why string, err error) {
	if m.depth < 0 || (m.depth == 0) != (m.read == m.write) {
		why = "the depth cannot be"
	}
	if m.read == m.write && m.depth == 0 && (m.write.offset == 0 || len(r.data) == 0) {
		return why, nil
	}
	i, readThere := slices.BinarySearch(r.data, m.read.file)
	j, writeThere := slices.BinarySearch(r.data, m.write.file)
	if m.read != m.write && !readThere || m.write.offset > 0 && !writeThere || int64(j-i) != m.write.file-m.read.file {
		r.lost = true
		return "a data file is missing", nil
	}
	for _, p := range []position{m.read, m.write} {
		size, err := r.size(p.file)
		if err != nil {
			return "", err
		}
		if size < p.offset {
			r.lost = true
			return "a data file is shorter than recorded", nil
		}
	}
	if why != "" || m.read == m.write {
		return why, nil
	}
	ok, err := r.isRecord(m.read)
	if err == nil && !ok {
		why = "the read position is not where a record begins"
	}
	return why, err
}

// size is 0 for a file that is not there.
func (r *recovery) size(num int64) (int64, error) {
	size, err := r.q.store.disk.size(r.q.files.dataPath(num))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return size, err
}

// isRecord reports whether a record begins at p, or the file ends there.
func (r *recovery) isRecord(p position) (bool, error) {
	if p.offset == 0 {
		return true, nil
	}
	size, err := r.size(p.file)
	if err != nil || p.offset >= size {
		return p.offset == size, err
	}
	f, err := r.q.store.open(r.q.files.dataPath(p.file), os.O_RDONLY)
	if err != nil {
		return false, err
	}
	defer r.q.store.close(f)
	r.view.use(f, size)
	defer r.view.release()
	_, ok, err := r.view.head(p.offset)
	if err == nil && !ok { // a damaged one may lie there
		ok, err = r.view.boundary(p.offset)
	}
	return ok, err
}

// behind adds what lies behind the recorded write position: a crash leaves it. It
// does not read what lies before.
func (r *recovery) behind(m meta) (meta, string, error) {
	from := m.write
	for i, num := range r.data {
		if num < from.file {
			continue
		}
		var offset int64
		if num == from.file {
			offset = from.offset
		}
		t, size, err := r.countFile(num, offset)
		if err != nil {
			return m, "", err
		}
		if num == from.file && offset > 0 && offset < size && t.records > 0 && t.damaged {
			if ok, err := r.isRecord(from); err != nil || !ok {
				return m, "the write position is not where a record ends", err
			}
		}
		m.depth += t.records
		m.write = position{num, t.end}
		r.cut(num, t.end, size, i == len(r.data)-1)
	}
	return m, "", nil
}

func (r *recovery) countFile(num, offset int64) (t tally, size int64, err error) {
	if size, err = r.size(num); err != nil || offset >= size {
		return tally{end: min(offset, size)}, size, err
	}
	t, err = r.q.countFile(&r.view, r.q.files.dataPath(num), offset, size, false)
	return t, size, err
}

// rebuild counts all records that may still be unread. What is recorded of the
// read position is believed if a record begins there; else the first file that
// may hold unread ones is read from its start, for a message that comes twice is
// better than one that does not come.
func (r *recovery) rebuild(recorded meta) (meta, error) {
	m := meta{}
	if len(r.data) == 0 {
		if recorded.write.file < 1<<40 { // else it makes no sense
			m.write = position{file: recorded.write.file + 1} // no number is used twice
		}
		m.read = m.write
		return m, nil
	}
	m.read = position{file: r.data[0]}
	if i, there := slices.BinarySearch(r.data, recorded.read.file); recorded.depth != -1 || recorded.read != (position{}) {
		switch {
		case there:
			m.read.file = recorded.read.file
			ok, err := r.isRecord(recorded.read)
			if err != nil {
				return m, err
			}
			if ok {
				m.read = recorded.read
			}
		case i < len(r.data):
			m.read.file = r.data[i]
		}
	}
	offset := m.read.offset
	for i, num := range r.data {
		if num < m.read.file {
			continue
		}
		t, size, err := r.countFile(num, offset)
		if err != nil {
			return m, err
		}
		m.depth += t.records
		m.write = position{num, t.end}
		r.cut(num, t.end, size, i == len(r.data)-1)
		offset = 0
	}
	return m, nil
}

// skipAll moves the read position of a queue without any record to the end:
// nobody would read what lies before, and come across the damage.
func (r *recovery) skipAll(m meta) (meta, error) {
	for _, num := range r.data {
		size, err := r.size(num)
		if err != nil {
			return m, err
		}
		from := int64(0)
		if num == m.read.file {
			from = m.read.offset
		}
		if num >= m.read.file && num < m.write.file && from < size {
			r.skipped(num, from, size, "a data file without any record was skipped")
		}
	}
	m.read = m.write
	return m, nil
}

// cut says what follows the last record of the last file; the next write, or
// Close, removes it.
func (r *recovery) cut(num, end, size int64, last bool) {
	if last && end < size {
		r.skipped(num, end, size, "torn end of the last data file cut off")
		r.q.writer.torn = num + 1
	}
}

// skipped reports bytes that will not be read, as none of them are records. What
// is no torn record may be something else: a copy is kept.
func (r *recovery) skipped(num, from, to int64, text string) {
	q := r.q
	path := q.files.dataPath(num)
	attrs := []any{"file", path, "offset", from, "bytes", to - from}
	if f, err := q.store.open(path, os.O_RDONLY); err == nil {
		torn := false
		if from > 0 {
			r.view.use(f, to)
			torn, err = r.view.boundary(from)
			r.view.release()
		}
		if err == nil && !torn {
			if bad := q.setAside(f, num, from, to); bad != "" {
				attrs = append(attrs, "copy", bad)
			}
		}
		q.store.close(f)
	}
	q.store.opts.Logger.Warn(q.logName(text), attrs...)
	q.addDamage(Damage{Ranges: 1, Bytes: to - from})
}

// report says that the queue had to be counted.
func (r *recovery) report(why string, recorded, m meta) {
	q := r.q
	attrs := []any{"file", q.files.metaPath(), "offset", 0, "reason", why, "records", m.depth}
	d := Damage{Metas: 1}
	if lost := recorded.depth - m.depth; r.lost && lost > 0 {
		d.Records = lost
		attrs = append(attrs, "lost", lost)
	}
	q.store.opts.Logger.Warn(q.logName("positions rebuilt from the data files"), attrs...)
	q.addDamage(d)
}
