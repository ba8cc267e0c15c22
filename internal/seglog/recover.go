package seglog

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Open opens the log of a directory. It reads what was not closed cleanly and
// cuts off what a crash left half written. Damage does not keep it from opening.
func Open(opts Options) (*Log, error) {
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	if opts.SegmentBytes <= 0 {
		opts.SegmentBytes = defaultSegmentBytes
	}
	opts.SegmentBytes = min(opts.SegmentBytes, maxAppend)
	l := &Log{opts: opts, logger: cmp.Or(opts.Logger, slog.New(slog.DiscardHandler)), sync: opts.Sync}
	l.freed = sync.NewCond(&l.mu)
	names, err := l.list()
	if err != nil {
		return nil, err
	}
	l.addAll(names)
	for _, seg := range l.segments {
		if err := l.load(seg); err != nil {
			return nil, err
		}
	}
	l.end = 1
	for _, seg := range l.segments {
		l.end = max(l.end, seg.kept.next)
	}
	l.next = max(opts.First, l.end)
	l.floor = l.next
	return l, nil
}

// list names what is in the directory, which it makes if need be.
func (l *Log) list() ([]string, error) {
	names, err := l.opts.FS.List(l.opts.Dir)
	if err == nil || l.opts.ReadOnly || !errors.Is(err, fs.ErrNotExist) {
		return names, err
	}
	if err := l.opts.FS.MkdirAll(l.opts.Dir, 0o755); err != nil {
		return nil, err
	}
	return nil, SyncDir(l.opts.FS, cmp.Or(l.opts.FS.PathDir(l.opts.Dir), "."))
}

// addAll takes those files whose names make sense, alone and in their order.
func (l *Log) addAll(names []string) {
	slices.Sort(names)
	var last *segment
	for _, name := range names {
		path := l.opts.FS.PathJoin(l.opts.Dir, name)
		if strings.HasSuffix(name, spareSuffix) && !l.opts.ReadOnly {
			l.removeUnneeded(path)
		}
		if !strings.HasSuffix(name, suffix) {
			continue
		}
		seg, ok := parseName(name)
		if !ok || last != nil && (seg.id == last.id || seg.first < last.first) {
			l.tell(Damage{File: path, Bytes: l.sizeOf(path)})
			continue
		}
		seg.path, seg.kept = path, tally{next: seg.first}
		l.segments = append(l.segments, seg)
		last, l.lastID = seg, seg.id
	}
}

func (l *Log) sizeOf(path string) int64 {
	info, err := l.opts.FS.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// reportMissing tells of numbers that were acknowledged, lie behind a segment without a seal,
// and are not in the next: the end of its file is lost.
func (l *Log) reportMissing(seg *segment) bool {
	end := l.acknowledged(seg)
	if end <= seg.kept.next {
		return false
	}
	l.reportDamage(seg, seg.size, 0, int64(end-seg.kept.next))
	return true
}

// acknowledged returns up to which number messages of a segment, and of none behind it, are
// known to have been acknowledged: what the next one says, 0 for the last, and all where the
// next one is removed.
func (l *Log) acknowledged(seg *segment) uint64 {
	i, next := slices.BinarySearchFunc(l.segments, seg.id+1, compareID)
	switch {
	case i == len(l.segments):
		return 0
	case next:
		return l.segments[i].after
	}
	return seg.kept.next
}

// load finds out what a segment holds: its seal says, or all that is in it.
func (l *Log) load(seg *segment) error {
	file, err := l.opts.FS.Open(seg.path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if ok, err := seg.readSeal(file, size-headerSize); ok || err != nil {
		return err
	}
	r := recovery{l: l, seg: seg, kept: kept{good: tally{next: seg.first}}}
	if err := r.scan(file, size); err != nil || seg.sealed {
		return err
	}
	damaged := l.reportMissing(seg) || len(seg.voids) > 0
	if l.opts.ReadOnly {
		return nil
	}
	if err := l.mend(seg, r.cut, damaged); err != nil {
		l.logger.Warn("a log's torn end cannot be cut off", "file", seg.path, "error", err)
	}
	return nil
}

// readSeal takes what the seal at an offset says; false if there is none.
func (s *segment) readSeal(file io.ReaderAt, at int64) (bool, error) {
	var head [headerSize]byte
	if at < 0 {
		return false, nil
	}
	if _, err := file.ReadAt(head[:], at); err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read %s: %w", s.path, err)
	}
	f, ok := parseHeader(head[:], seedAt(s.salt, at))
	if !ok || f.kind != kindSeal {
		return false, nil
	}
	s.closed(at, &f)
	return true, nil
}

// closed notes what a seal says.
func (s *segment) closed(at int64, f *frame) {
	s.size, s.kept, s.sealed = at, f.after(s.first), true
	s.deferred = f.flags&flagDeferred != 0
	s.voids = nil
}

// recovery reads a segment that was not closed cleanly: of an append, all frames
// are there or it is left out.
type recovery struct {
	l    *Log
	seg  *segment
	kept kept

	start  int64 // of the append that is being read
	before tally
	prev   int64 // end of the frame before
	whole  bool  // nothing of it is missing so far
	due    bool  // it has deferred messages
	joined bool  // it was synced with the append before it

	group int64 // where the last group begins, whole or not
	done  tally // with all before it, which was acknowledged
	doubt *kept // up to the first hole in the last group that was synced at once, if there is one
	cut   int64 // what is behind is of no use
}

// kept is what recovery has found of whole appends.
type kept struct {
	end      int64
	good     tally
	deferred bool
	voids    []void // holes between them
	damages  []Damage
}

func (r *recovery) scan(file io.ReaderAt, size int64) error {
	w := walker{seg: r.seg, file: file, limit: size, seen: r.kept.good, reuse: true, torn: r.begin}
	defer w.letGo()
	for {
		f, at, err := w.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if f.kind == kindSeal {
			r.seg.closed(at, &f)
			return nil
		}
		r.add(&f, at)
	}
	r.keep(&r.kept)
	if r.doubt != nil && r.l.acknowledged(r.seg) <= r.doubt.good.next {
		r.keep(r.doubt)
	}
	r.keepDone()
	for _, d := range r.kept.damages {
		r.l.reportDamage(r.seg, d.Offset, d.Bytes, d.Messages)
	}
	return nil
}

// keep has the segment hold what was found.
func (r *recovery) keep(k *kept) {
	r.kept = *k
	r.seg.size, r.seg.kept, r.seg.voids, r.seg.deferred = k.end, k.good, k.voids, k.deferred
}

// keepDone has the segment end where its last group begins, if what is kept ends before. If
// that group is torn, its header stays, as it tells the next Open what is damage before it.
func (r *recovery) keepDone() {
	k := &r.kept
	if r.group > k.end {
		k.addHole(r.group, r.done)
		k.end, k.good = r.group, r.done
		r.keep(k)
	}
	r.cut = k.end
	if r.group == k.end && len(k.voids) > 0 {
		r.cut += headerSize
	}
}

// begin is told of the header of a frame, whose payload may be lost. If that begins a group,
// the one before was done: what is missing of it is damage.
func (r *recovery) begin(f *frame, at int64) {
	if f.flags&(flagAgain|flagJoined) == 0 {
		r.group, r.done, r.doubt = at, f.before(r.seg.first), nil
	}
}

func (r *recovery) add(f *frame, at int64) {
	r.begin(f, at)
	if f.flags&flagAgain == 0 {
		r.start, r.before, r.whole, r.due = at, f.before(r.seg.first), true, false
		r.joined = f.flags&flagJoined != 0
	} else if at != r.prev {
		r.whole = false
	}
	r.prev = at + f.size()
	r.due = r.due || f.due != 0 || f.kind == Moved
	if !r.whole || f.flags&flagMore != 0 {
		return
	}
	r.addAppend(f)
	r.whole = false
}

// addAppend notes a whole append. If something is missing before it with which it was synced,
// and no group begins behind them, a power cut may have come before the sync was done: then none of
// them was acknowledged.
func (r *recovery) addAppend(f *frame) {
	k := &r.kept
	if r.start > k.end {
		if r.joined && r.doubt == nil {
			until := *k
			r.doubt = &until
		}
		k.addHole(r.start, r.before)
	}
	k.end, k.good = r.prev, f.after(r.seg.first)
	k.deferred = k.deferred || r.due
}

// addHole notes what is missing up to an offset, where so many were counted.
func (k *kept) addHole(to int64, after tally) {
	k.voids = append(k.voids, void{from: k.end, to: to, first: k.good.next, after: after})
	k.damages = append(k.damages, Damage{Offset: k.end, Bytes: to - k.end, Messages: after.since(k.good)})
}

// mend cuts off what is of no use in a segment, and seals it unless something in it is
// damaged: then each Open reads it, and tells of that.
func (l *Log) mend(seg *segment, cut int64, damaged bool) error {
	file, err := l.opts.FS.OpenReadWrite(seg.path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := cutTo(file, cut); err != nil {
		return err
	}
	l.logger.Info("a log was not closed, as after a kill: all whole appends of it are kept", "file", seg.path, "bytes", seg.size)
	if damaged {
		return file.SyncData()
	}
	err = writeSeal(file, seg, true)
	seg.sealed = err == nil
	return err
}
