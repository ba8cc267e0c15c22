package seglog

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	defaultSegmentBytes = 64 << 20
	// A log that is read as fast as it is written keeps to small segments, so that their
	// files, which the system has in its cache, are soon written to again.
	smallSegmentBytes = 16 << 20
)

// Options are of one log.
type Options struct {
	FS           vfs.FS // vfs.Default when nil
	Dir          string // made if it is missing
	SegmentBytes int64  // the most that a segment has, but for one large append; 64 MiB when 0
	Sync         bool   // Append returns when its records are on stable storage; SetSync changes it
	First        uint64 // the lowest sequence number that may be given; see Raise
	ReadOnly     bool   // nothing is written, cut off or removed

	// OnCommit is told of what was kept, in the order of the log, one call at a
	// time, before any Append of these records returns; First and Pos are set.
	// Readers see the records already. It runs in a goroutine that appends, with no
	// lock of the log held, and must be quick and not append. The slice is the
	// log's again when it returns. A record that was split comes as one. Should it panic, the
	// records are kept, and the panic goes on in that goroutine.
	OnCommit func([]Record)
	// Damage is told of what cannot be read, once per Log and place, from the
	// goroutine that met it, with no lock of the log held; nil has it logged.
	Damage func(Damage)
	Logger *slog.Logger
}

// Log is an open log. Its methods may be called at the same time, but nothing
// after Close. It has no goroutine, and open files only while it is in use: see Idle.
type Log struct {
	opts   Options
	logger *slog.Logger

	mu       sync.Mutex // what follows, and what segments say of it; never held over disk
	segments []*segment // in order
	active   *segment   // the last one, if it is written to; changed by who has the turn
	end      uint64     // the next number, of what is kept
	floor    uint64     // the lowest that may be given
	lastID   uint32
	lastRead *segment // that Read holds open
	spares   []spare
	sync     bool
	closed   bool
	err      error // of the last append

	queue     []*pending // not written yet
	queued    int        // bytes of their frames
	awaited   int        // those of the queue whose publishers wait
	busy      bool       // somebody has the turn: the leader of a group, or who took it with exclude
	underway  bool       // a group has it
	exclusive int        // who waits for the turn, and has it before any group
	freed     *sync.Cond // busy changed
	gather    gather

	next uint64 // the next number to give; belongs to the turn

	pendings sync.Pool
}

// End says which number the next message will have at least, and where its frame
// will be at least: all that is kept is below.
func (l *Log) End() (next uint64, at Pos) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.endLocked()
}

func (l *Log) endLocked() (next uint64, at Pos) {
	next = l.end
	if !l.underway {
		next = max(next, l.floor)
	}
	if l.active != nil {
		return next, posOf(l.active.id, l.active.size)
	}
	return next, posOf(l.lastID+1, 0)
}

// Begin says the first number and place of what is kept; those of End if there is nothing.
func (l *Log) Begin() (first uint64, at Pos) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		if s.size > 0 {
			return s.first, posOf(s.id, 0)
		}
	}
	return l.endLocked()
}

// Count is how many messages Runs has.
func (l *Log) Count(from, to uint64) (n int64) {
	l.eachRun(from, to, func(r Run) { n += int64(r.End - r.First) })
	return n
}

// Run is the messages with First ≤ number < End.
type Run struct{ First, End uint64 }

// Runs are the messages that are kept with from ≤ number < to. Numbers between segments that
// were never given are not among them, nor what Open found to be lost; what is found
// damaged later is.
func (l *Log) Runs(from, to uint64) (runs []Run) {
	l.eachRun(from, to, func(r Run) { runs = append(runs, r) })
	return runs
}

func (l *Log) eachRun(from, to uint64, f func(Run)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	add := func(first, end uint64) {
		if first, end = max(from, first), min(to, end); first < end {
			f(Run{first, end})
		}
	}
	for _, s := range l.segments {
		next := s.first
		for _, v := range s.voids {
			add(next, v.first)
			next = v.after.next
		}
		add(next, s.kept.next)
	}
}

// Segment describes one segment.
type Segment struct {
	ID         uint32
	First, End uint64 // First ≤ numbers of its Messages < End
	Bytes      int64
	Sealed     bool // it was closed cleanly, and is not written to
	Deferred   bool // it has records with a Due, or Moved ones
	Active     bool // it is written to
}

// Segments are all that hold frames, in order, with the one that is written to.
func (l *Log) Segments() []Segment {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]Segment, 0, len(l.segments))
	for _, s := range l.segments {
		if s.size > 0 {
			all = append(all, Segment{s.id, s.first, s.kept.next, s.size, s.sealed, s.deferred, s == l.active})
		}
	}
	return all
}

// A Gap is where segments are not there any more: First ≤ numbers of their messages < End.
type Gap struct{ First, End uint64 }

// Gaps are all before the last segment, in order: of segments that were removed, or are lost.
func (l *Log) Gaps() (gaps []Gap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, end := uint32(0), uint64(1)
	for _, s := range l.segments {
		if s.id != id+1 && s.after > end {
			gaps = append(gaps, Gap{end, s.after})
		}
		id, end = s.id, s.kept.next
	}
	return gaps
}

// Remove removes a segment: not the one that is written to (ErrInUse; Roll
// before). Cursors that are in it go on with the next. Numbers and ids are
// remembered, even if nothing is left.
func (l *Log) Remove(id uint32) error {
	if l.opts.ReadOnly {
		return ErrReadOnly
	}
	if err := l.haveSuccessor(id); err != nil {
		return err
	}
	s, err := l.takeOut(id)
	if err != nil {
		return err
	}
	err = s.read.remove(func() error { return l.dispose(s) })
	if err != nil {
		l.putBack(s)
	}
	return err
}

// takeOut lets readers see a segment no more.
func (l *Log) takeOut(id uint32) (*segment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.findLocked(id)
	switch {
	case s == nil:
		return nil, fmt.Errorf("%w: %08x", ErrGone, id)
	case s == l.active:
		return nil, fmt.Errorf("%w: %08x", ErrInUse, id)
	}
	l.segments = slices.DeleteFunc(l.segments, func(t *segment) bool { return t == s })
	return s, nil
}

func (l *Log) putBack(s *segment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, _ := slices.BinarySearchFunc(l.segments, s.id, compareID)
	l.segments = slices.Insert(l.segments, i, s)
}

// haveSuccessor sees to it that the segment of an id is not the last one: the
// name of an empty one remembers numbers and ids.
func (l *Log) haveSuccessor(id uint32) error {
	l.mu.Lock()
	last := id == l.lastID && l.active == nil && l.findLocked(id) != nil
	l.mu.Unlock()
	if !last {
		return nil
	}
	l.exclude()
	defer l.passOn()
	if l.active != nil {
		return nil
	}
	return l.create(true)
}

func (l *Log) removeFile(s *segment) error {
	err := l.opts.FS.Remove(s.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.logger.Warn("a segment cannot be removed", "file", s.path, "error", err)
		return err
	}
	return nil
}

// findLocked returns the segment of an id, or nil.
func (l *Log) findLocked(id uint32) *segment {
	i, ok := slices.BinarySearchFunc(l.segments, id, compareID)
	if !ok {
		return nil
	}
	return l.segments[i]
}

func compareID(s *segment, id uint32) int { return cmp.Compare(s.id, id) }

// Roll closes the segment that is written to, if it has any frames; the next
// Append begins another.
func (l *Log) Roll() error {
	if l.opts.ReadOnly {
		return ErrReadOnly
	}
	l.exclude()
	defer l.passOn()
	if l.active != nil && l.active.size > 0 {
		l.retire(false)
	}
	return nil
}

// SyncAll returns when what was appended before is on stable storage, whether Sync
// was set then or not. Appends go on meanwhile, in another segment.
func (l *Log) SyncAll() error {
	if err := l.Roll(); err != nil {
		return err
	}
	l.mu.Lock()
	segments := slices.Clone(l.segments)
	l.mu.Unlock()
	for _, s := range segments {
		if err := l.syncSegment(s); err != nil {
			return err
		}
	}
	return SyncDir(l.opts.FS, l.opts.Dir)
}

// syncSegment syncs the file of a segment, unless that is removed.
func (l *Log) syncSegment(s *segment) error {
	file, err := s.read.pin(l.opts.FS, s.path)
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer s.read.unpin()
	if err := file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", s.path, err)
	}
	return nil
}

// Raise makes the next numbers to be given at least first.
func (l *Log) Raise(first uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.floor = max(l.floor, first)
}

// SetSync says whether an Append that begins from now on waits for stable storage.
func (l *Log) SetSync(sync bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sync = sync
}

// Err says why the last Append failed; nil if it did not.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Idle closes all files that are not in use this moment, and removes those that are
// kept to be written to again. They are opened again when needed, so it costs the next
// Append and Next a few microseconds.
func (l *Log) Idle() {
	l.closeReaders()
	l.RemoveSpares()
	l.mu.Lock()
	busy := l.busy
	l.busy = true
	l.mu.Unlock()
	if busy {
		return
	}
	if l.active != nil {
		l.active.w.close()
	}
	l.passOn()
}

// Close refuses what waits to be appended, seals the last segment and closes all
// files. Cursors must not be used any more.
func (l *Log) Close() error {
	l.mu.Lock()
	closed, durable := l.closed, l.sync
	l.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	l.exclude()
	defer l.passOn()
	l.refuseQueue()
	if l.active != nil {
		l.retire(durable)
	}
	l.closeReaders()
	l.RemoveSpares()
	return nil
}

func (l *Log) closeReaders() {
	l.mu.Lock()
	segments := slices.Clone(l.segments)
	l.mu.Unlock()
	for _, s := range segments {
		s.read.drop()
	}
}
