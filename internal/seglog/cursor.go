package seglog

import (
	"errors"
	"io"
	"slices"
)

// Cursor reads the Messages of a log in order. It is not safe for concurrent use;
// it may be used while others append, remove segments and read.
type Cursor struct {
	l      *Log
	from   uint64   // frames that end at or below are passed over
	seg    *segment // that it is in; nil before the first
	held   bool     // the segment's file
	sought bool     // w is at from, or behind it
	w      walker
}

// Seek returns a cursor that begins with the record that holds seq, which may
// begin before seq, or the first one after it. It reads nothing yet.
func (l *Log) Seek(seq uint64) *Cursor { return &Cursor{l: l, from: seq} }

// Next returns the next records, one per frame, up to about maxBytes of payload but
// at least one; nil at the end of what is kept, where it may be called again later.
// Moved records are passed over, damage too, and is reported. The payloads are the
// caller's, but share memory: who keeps a small part for long should copy it, and who
// needs one no more can say so with Release of the record's Memory.
func (c *Cursor) Next(maxBytes int) ([]Record, error) {
	for c.locate() {
		records, err := c.read(maxBytes)
		if len(records) > 0 {
			return records, nil
		}
		if err != nil && !errors.Is(err, ErrGone) {
			return nil, err
		}
	}
	return nil, nil
}

// Close lets go of the cursor's file and buffer. Next may be called again, and opens them again.
func (c *Cursor) Close() {
	if c.held {
		c.seg.read.release()
	}
	c.held = false
	c.w.letGo()
}

// locate finds the segment to go on in, and how far it may be read; false at the end.
func (c *Cursor) locate() bool {
	l := c.l
	l.mu.Lock()
	next := c.segmentLocked()
	if next == nil {
		l.mu.Unlock()
		return false
	}
	limit, total, voids := next.size, next.kept, next.voids
	l.mu.Unlock()
	if next != c.seg {
		c.enter(next)
	}
	c.w.limit, c.w.total, c.w.voids = limit, total, voids
	return true
}

// segmentLocked is the segment that has something to read, nil if none.
func (c *Cursor) segmentLocked() *segment {
	segments := c.l.segments
	if c.seg == nil {
		return firstWith(segments, func(s *segment) bool { return s.kept.next > c.from })
	}
	if c.w.off < c.seg.size && c.l.findLocked(c.seg.id) == c.seg {
		return c.seg
	}
	i, _ := slices.BinarySearchFunc(segments, c.seg.id+1, compareID)
	return firstWith(segments[i:], func(s *segment) bool { return s.size > 0 })
}

func firstWith(segments []*segment, ok func(*segment) bool) *segment {
	if i := slices.IndexFunc(segments, ok); i >= 0 {
		return segments[i]
	}
	return nil
}

func (c *Cursor) enter(seg *segment) {
	c.Close()
	c.seg, c.sought = seg, false
	c.w = walker{seg: seg, seen: tally{next: seg.first}, hole: func(offset, size, messages int64) {
		c.l.reportDamage(seg, offset, size, messages)
	}}
}

func (c *Cursor) read(maxBytes int) (records []Record, err error) {
	seg := c.seg
	if !c.held {
		seg.read.hold()
		c.held = true
	}
	file, err := seg.read.pin(c.l.opts.FS, seg.path)
	if err != nil {
		return nil, err
	}
	defer seg.read.unpin()
	c.w.file = file
	if err := c.seek(); err != nil {
		return nil, err
	}
	for size := 0; len(records) == 0 || size < maxBytes; {
		f, at, err := c.w.next()
		if err != nil {
			return records, notEnd(err)
		}
		if f.kind == Messages && f.first+uint64(f.count) > c.from {
			r := f.record(posOf(seg.id, at))
			r.Memory = c.w.memory
			r.Memory.hold()
			records = append(records, r)
			size += len(f.payload)
		}
	}
	return records, nil
}

func notEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// seek moves near the first frame to be read, by bisection: frames tell their number.
func (c *Cursor) seek() error {
	if c.sought || c.from <= c.seg.first || len(c.w.voids) > 0 {
		c.sought = true
		return nil
	}
	w := c.w
	w.hole, w.reuse = nil, true
	defer w.letGo()
	low, high := int64(0), w.limit
	for high-low > chunk {
		at, f, err := w.find((low + high) / 2)
		if err != nil {
			return err
		}
		if before := f.before(c.seg.first); at < w.limit && before.next <= c.from {
			low, c.w.off, c.w.seen = at, at, before
			continue
		}
		high = (low + high) / 2
	}
	c.sought = true
	return nil
}

// Read returns the record of one frame. ErrGone: its segment is removed;
// ErrDamaged: it is not what was written, or no frame begins there; that is reported.
func (l *Log) Read(at Pos) (Record, error) {
	l.mu.Lock()
	seg := l.findLocked(at.Segment())
	if seg == nil || at.offset() >= seg.size {
		l.mu.Unlock()
		return Record{}, ErrGone
	}
	limit, last := seg.size, l.lastRead
	l.lastRead = seg
	l.mu.Unlock()
	if last != seg {
		seg.read.hold()
		if last != nil {
			last.read.release()
		}
	}
	file, err := seg.read.pin(l.opts.FS, seg.path)
	if err != nil {
		return Record{}, err
	}
	defer seg.read.unpin()
	return l.readFrame(seg, file, at, limit)
}

func (l *Log) readFrame(seg *segment, file io.ReaderAt, at Pos, limit int64) (Record, error) {
	var head [headerSize]byte
	offset := at.offset()
	if _, err := file.ReadAt(head[:], offset); err != nil && !errors.Is(err, io.EOF) {
		return Record{}, err
	}
	f, ok := parseHeader(head[:], seedAt(seg.salt, offset))
	if !ok || f.size() > limit-offset || f.kind != Messages && f.kind != Moved {
		l.reportDamage(seg, offset, headerSize, 1) // of how many messages nobody knows
		return Record{}, ErrDamaged
	}
	f.payload = make([]byte, f.length)
	if _, err := file.ReadAt(f.payload, offset+headerSize); err != nil && !errors.Is(err, io.EOF) {
		return Record{}, err
	}
	if !f.whole() {
		l.reportDamage(seg, offset, f.size(), f.after(seg.first).since(f.before(seg.first)))
		return Record{}, ErrDamaged
	}
	return f.record(at), nil
}

// Scan calls f with the records of all frames of a segment, of every kind, in order, up to what
// is kept at the time of the call. It stops with the error that f returns.
// Payloads are the callee's. Damage is passed over, and reported.
func (l *Log) Scan(id uint32, f func(Record) error) error {
	l.mu.Lock()
	seg := l.findLocked(id)
	if seg == nil {
		l.mu.Unlock()
		return ErrGone
	}
	w := walker{seg: seg, limit: seg.size, total: seg.kept, voids: seg.voids, seen: tally{next: seg.first}}
	l.mu.Unlock()
	file, err := seg.read.pin(l.opts.FS, seg.path)
	if err != nil {
		return err
	}
	defer seg.read.unpin()
	w.file = file
	w.hole = func(offset, size, messages int64) { l.reportDamage(seg, offset, size, messages) }
	for {
		frame, at, err := w.next()
		if err != nil {
			return notEnd(err)
		}
		if frame.kind == kindSeal {
			continue
		}
		w.memory.hold() // for good, as the payload is the callee's
		if err := f(frame.record(posOf(id, at))); err != nil {
			return err
		}
	}
}
