package seglog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// aheadBytes is how many zeros are written at a time in front of the end of a log that
	// syncs: to overwrite them costs a sync less than to make the file longer.
	aheadBytes = 1 << 20
	// aheadBelow is the size of a group from which on it makes the file longer itself. Measured for
	// groups of 80 and 320 KiB: a sync takes 0.4 of the time, and half of it, over zeros, which
	// are 1 MiB more to write.
	aheadBelow = 256 << 10
	// keepBuffer bounds the buffers that are kept for the next group.
	keepBuffer = 2 << 20
)

var (
	zeros   = sync.OnceValue(func() []byte { return make([]byte, aheadBytes) })
	buffers = sync.Pool{New: func() any { return new([]byte) }}
)

// writer is what a segment that is written to needs.
type writer struct {
	file    vfs.File // nil while it is closed
	limit   int64    // how large it is to become
	written int64    // also by the group under way
	given   tally    // with it
	ahead   int64    // zeros were written up to here
	full    bool     // they could not be
	named   bool     // its name is durable
	spoiled bool     // by an error: nothing more is written to it
}

func (w *writer) close() {
	if w.file != nil {
		w.file.Close()
		w.file = nil
	}
}

// file opens the file of a segment if need be.
func (l *Log) file(seg *segment) (vfs.File, error) {
	w := &seg.w
	if w.file == nil {
		f, err := l.opts.FS.OpenReadWrite(seg.path, vfs.WriteCategoryUnspecified)
		if err != nil {
			return nil, err
		}
		w.file = f
	}
	return w.file, nil
}

// write puts a group behind what is written. If it fails, the next one takes its
// place and its numbers. The caller has the turn.
func (l *Log) write(g *group) error {
	if err := l.room(g); err != nil {
		return err
	}
	seg := l.active
	file, err := l.file(seg)
	if err != nil {
		return err
	}
	if g.sync && g.size < aheadBelow {
		l.writeAhead(seg, file, g.size)
	}
	pooled := buffers.Get().(*[]byte)
	buf := g.encode(slices.Grow((*pooled)[:0], g.size), seg)
	_, err = file.WriteAt(buf, g.at)
	if cap(buf) <= keepBuffer {
		*pooled = buf
		buffers.Put(pooled)
	}
	if err == nil {
		l.advance(g)
		return nil
	}
	err = fmt.Errorf("write %s: %w", seg.path, err)
	l.undo(file, g)
	return err
}

// advance has the next group begin behind this one.
func (l *Log) advance(g *group) {
	w := &g.seg.w
	w.written, w.given = g.at+int64(g.size), g.after
	w.ahead = max(w.ahead, w.written)
	l.next = g.after.next
}

// encode writes the frames of a group into buf and its numbers into the records.
func (g *group) encode(buf []byte, seg *segment) []byte {
	g.seg, g.at, g.after = seg, seg.w.written, seg.w.given
	for i, p := range g.appends {
		buf, g.after = p.encode(buf, seg, g.at, g.after, g.sync && i > 0)
		for _, r := range p.records {
			g.deferred = g.deferred || r.Due != 0 || r.Kind == Moved
		}
	}
	return buf
}

// undo takes back what a failed write may have left. If that fails too, the
// segment is given up, and the numbers with it.
func (l *Log) undo(file vfs.File, g *group) {
	seg := g.seg
	if err := cutTo(file, g.at); err != nil {
		seg.w.spoiled = true
		l.advance(g)
		return
	}
	seg.w.ahead = g.at
}

// cutTo removes what a file has behind an offset, or makes it zeros where files cannot be cut.
func cutTo(file vfs.File, offset int64) error {
	if f, ok := file.(interface{ Truncate(int64) error }); ok {
		return f.Truncate(offset)
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	for size := info.Size(); offset < size; {
		n, err := file.WriteAt(zeros()[:min(aheadBytes, size-offset)], offset)
		if err != nil {
			return err
		}
		offset += int64(n)
	}
	return nil
}

// writeAhead writes zeros where the next groups will be. It is no matter if that fails.
func (l *Log) writeAhead(seg *segment, file vfs.File, size int) {
	w := &seg.w
	need := w.written + int64(size)
	if w.full || need <= w.ahead {
		return
	}
	n := min(aheadBytes, max(w.limit, need)-w.ahead)
	done, err := file.WriteAt(zeros()[:n], w.ahead)
	w.ahead += int64(done)
	w.full = err != nil
}

// room has an active segment with room for a group. The caller has the turn.
func (l *Log) room(g *group) error {
	l.mu.Lock()
	floor, a := l.floor, l.active
	l.mu.Unlock()
	if a != nil && (a.w.spoiled || floor > l.next || l.overflows(a, g.size)) {
		l.retire(false)
	}
	l.next = max(l.next, floor)
	if l.active == nil {
		return l.create(g.sync)
	}
	return l.name(l.active, g.sync)
}

func (l *Log) overflows(a *segment, size int) bool {
	return a.w.written > 0 && a.w.written+int64(size) > a.w.limit
}

// create begins a segment. The caller has the turn.
func (l *Log) create(sync bool) error {
	l.mu.Lock()
	seg := &segment{id: l.lastID + 1, salt: rand.Uint32(), first: l.next, after: l.end}
	l.mu.Unlock()
	again := l.takeSpare()
	for again != nil && seg.salt == again.salt {
		seg.salt = rand.Uint32()
	}
	seg.path = l.opts.FS.PathJoin(l.opts.Dir, seg.fileName())
	seg.kept = tally{next: seg.first}
	seg.w.given = seg.kept
	if again != nil {
		seg.w.ahead = l.reuse(again, seg.path)
	}
	seg.w.limit = max(l.nextLimit(), seg.w.ahead)
	if _, err := l.file(seg); err != nil {
		l.removeUnneeded(seg.path)
		return err
	}
	l.mu.Lock()
	var empty *segment
	if n := len(l.segments); n > 0 && l.segments[n-1].size == 0 {
		empty = l.segments[n-1]
		l.segments = l.segments[:n-1]
	}
	l.segments = append(l.segments, seg)
	l.active, l.lastID = seg, seg.id
	l.mu.Unlock()
	if empty != nil {
		empty.read.remove(func() error { return l.removeFile(empty) })
	}
	return l.name(seg, sync)
}

// nextLimit is how large the next segment is to become: as large as all that is kept.
func (l *Log) nextLimit() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := int64(0)
	for _, s := range l.segments {
		kept += s.size
	}
	return min(max(kept, smallSegmentBytes), l.opts.SegmentBytes)
}

// name makes the name of a segment durable, once.
func (l *Log) name(seg *segment, sync bool) error {
	if !sync || seg.w.named {
		return nil
	}
	err := SyncDir(l.opts.FS, l.opts.Dir)
	seg.w.named = err == nil
	return err
}

// SyncDir makes created, renamed and removed names of a directory durable.
func SyncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// retire closes the active segment, with a seal if it has frames. The caller has
// the turn, and its group, if any, is not written yet. What fails costs only time: without
// a seal the next Open reads the segment.
func (l *Log) retire(durable bool) {
	a := l.active
	err := l.seal(a, durable)
	if err != nil {
		l.logger.Warn("a segment cannot be sealed", "file", a.path, "error", err)
	}
	a.w.close()
	l.mu.Lock()
	defer l.mu.Unlock()
	a.sealed = err == nil && a.size > 0
	l.active = nil
}

func (l *Log) seal(a *segment, durable bool) error {
	file, err := l.file(a)
	if err != nil {
		return err
	}
	if err := cutTo(file, a.size); err != nil || a.size == 0 {
		return err
	}
	return writeSeal(file, a, durable)
}

// writeSeal ends a segment that has nothing behind its last frame.
func writeSeal(file vfs.File, seg *segment, durable bool) error {
	f := frame{kind: kindSeal, first: seg.kept.next, moved: seg.kept.moved}
	if seg.deferred {
		f.flags = flagDeferred
	}
	var head [headerSize]byte
	f.putHeader(head[:], seedAt(seg.salt, seg.size))
	if _, err := file.WriteAt(head[:], seg.size); err != nil || !durable {
		return err
	}
	return file.SyncData()
}
