// Package diskq is the disk queue that a topic's or channel's memory overflows
// into: a first-in-first-out queue of records, which are bytes and nothing more
// to this package. Its files are those of github.com/nsqio/go-diskqueue, which
// does the reading and writing; this package adds exact counting, opening on
// demand, and care for what a crash leaves behind.
package diskq

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nsqio/go-diskqueue"
)

// ErrClosed is returned by operations on a queue after Close or Delete.
var ErrClosed = errors.New("disk queue is closed")

// stallTime is how long Read waits for a record before it suspects that claimed
// records were lost to damage.
const stallTime = time.Second

// Options are shared by all queues of a data path. All but Names are required.
type Options struct {
	Dir             string // must exist; "" is the current directory
	MaxBytesPerFile int64  // a data file is rolled before it gets larger

	// Bounds of a record's length in bytes. What lies outside them on disk is
	// taken for damage, so they should be generous: a record that was stored
	// under another limit must still be readable.
	MinRecord, MaxRecord int32

	SyncEvery   int64         // fsync after so many records written or read; 0 is the same as 1
	SyncTimeout time.Duration // fsync at least so often while there is activity; positive

	Logger *slog.Logger

	// Names, from List(Dir), spares each queue the reading of the whole directory
	// when it is first used; nil means that it looks itself.
	Names *Names
}

// Queue is one disk queue. All its methods may be called concurrently.
//
// A record is taken in two steps, so that a caller can decide under its own lock
// how many to take and wait for the disk without it: Claim, then Read.
type Queue struct {
	name  string
	opts  Options
	files files
	depth atomic.Int64  // raised with writing held, lowered with claims held
	stop  chan struct{} // closed, with claims held, by Close and Delete

	// Locked in this order; reading and writing are held while the disk works.
	reading sync.Mutex // receiving from dq, stall; whoever holds it sees no other Read
	writing sync.Mutex // dq, tail, torn, first, kept; whoever holds it sees no other change of the queue
	claims  sync.Mutex // source, claimed, void

	stall   *time.Timer
	dq      diskqueue.Interface // nil until opened, after Close, and while it cannot be renewed
	tail    position            // a record boundary; from here cutTailLocked looks for a torn record
	torn    bool                // a write failed: dq must be renewed before the next
	first   int64               // no data file has a lower number; -1 if that is not known
	kept    int64               // while dq is nil: records on disk that depth and claimed count already
	source  source
	claimed int64 // records claimed and not yet read, the void ones included
	void    int64 // of those, how many are gone; the next to Read go without
}

// A source is where Read receives records, until over is closed.
type source struct {
	records <-chan []byte // nil while there is no dq
	over    chan struct{} // closed when there is another source, and by Close and Delete
}

// New returns the queue of that name. It opens nothing and starts nothing: that
// is left to Open, or to the first Put.
func New(name string, o Options) *Queue {
	return &Queue{
		name:   name,
		opts:   o,
		files:  files{o.Dir, name},
		stop:   make(chan struct{}),
		first:  -1,
		source: source{over: make(chan struct{})},
	}
}

// exists reports whether dir holds records, or at least positions, of the queue.
func exists(dir, name string) (bool, error) {
	f := files{dir, name}
	if _, err := os.Stat(f.metaPath()); err == nil {
		return true, nil
	}
	ls, err := f.list() // no meta file: the first data file may have any number
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return ls.meta || len(ls.data) > 0, err
}

// Open opens the queue now and makes the records on disk count. It does nothing
// if the queue is open already. After an error it may be tried again.
func (q *Queue) Open() error {
	q.writing.Lock()
	defer q.writing.Unlock()
	if q.isClosed() {
		return ErrClosed
	}
	return q.openLocked()
}

func (q *Queue) openLocked() error {
	if q.dq != nil {
		return nil
	}
	o := q.opts
	c := checker{files: q.files, minRecord: o.MinRecord, maxRecord: o.MaxRecord, log: o.Logger}
	ls, err := o.Names.list(q.files)
	if err == nil {
		err = c.check(ls)
	}
	if err == nil {
		q.first, err = q.files.first(ls)
	}
	if err != nil {
		return fmt.Errorf("opening disk queue %q: %w", q.name, err)
	}
	q.dq = diskqueue.New(
		q.name,
		strings.ReplaceAll(o.Dir, "%", "%%"), // becomes part of a format
		o.MaxBytesPerFile,
		o.MinRecord,
		o.MaxRecord,
		max(o.SyncEvery, 1), // 0 would mean never
		o.SyncTimeout,
		(&logAdapter{log: o.Logger}).logf,
	)
	q.tail, q.torn = position{}, false
	q.setSource(q.dq.ReadChan(), q.dq.Depth()-q.kept)
	q.kept = 0
	return nil
}

// setSource sends Read, also one under way, to another channel, in which there
// are that many records more than are counted.
func (q *Queue) setSource(records <-chan []byte, more int64) {
	q.claims.Lock()
	defer q.claims.Unlock()
	q.depth.Store(max(q.depth.Load()+more, 0)) // of claims that cannot be served Read finds out
	if !q.isClosed() {
		close(q.source.over)
		q.source.over = make(chan struct{})
	}
	q.source.records = records
}

func (q *Queue) currentSource() source {
	q.claims.Lock()
	defer q.claims.Unlock()
	return q.source
}

func (q *Queue) isClosed() bool {
	select {
	case <-q.stop:
		return true
	default:
		return false
	}
}

// Put appends a record, opening the queue if need be. When it returns nil the
// record has been handed to the operating system; else it is not in the queue.
// The caller keeps rec. It never waits for a Read. After a failed write, as on a
// full disk, what was put before can be read, and Put works again, slowly once,
// when there is room again.
func (q *Queue) Put(rec []byte) error {
	if n := len(rec); n < int(q.opts.MinRecord) || n > int(q.opts.MaxRecord) {
		return fmt.Errorf("record of %d bytes for disk queue %q: must be in [%d,%d]",
			n, q.name, q.opts.MinRecord, q.opts.MaxRecord)
	}
	q.writing.Lock()
	defer q.writing.Unlock()
	if q.isClosed() {
		return ErrClosed
	}
	if q.torn {
		if err := q.renewLocked(); err != nil {
			return fmt.Errorf("mending disk queue %q after a failed write: %w", q.name, err)
		}
	}
	if err := q.openLocked(); err != nil {
		return err
	}
	if err := q.dq.Put(rec); err != nil {
		if cutErr := q.writeFailedLocked(); cutErr != nil { // tried again by the next Put
			q.opts.Logger.Error("DISKQUEUE: the torn record of a failed write could not be cut off yet", "queue", q.name, "error", cutErr)
		}
		return fmt.Errorf("writing to disk queue %q: %w", q.name, err)
	}
	q.depth.Add(1)
	return nil
}

// writeFailedLocked removes the torn record now, as a rest of it might be read
// as records later. go-diskqueue may already have read it into its buffer
// together with a good record before it; there it does no harm as long as
// nothing is written, so dq is good for reading until it is renewed.
func (q *Queue) writeFailedLocked() error {
	q.torn = true
	return q.cutTailLocked()
}

// renewLocked replaces dq, and thereby its read buffer. If there is no room for
// the meta file it fails before it touches dq, for without the exact read
// position records would be delivered again.
func (q *Queue) renewLocked() error {
	if q.dq == nil {
		return nil
	}
	if err := q.files.probe(); err != nil {
		return err
	}
	err := q.dq.Close()
	q.kept = q.dq.Depth()
	q.dq, q.first = nil, -1
	q.setSource(nil, 0)
	if err = errors.Join(err, q.files.sync()); err != nil {
		q.opts.Logger.Error("disk queue not closed cleanly", "queue", q.name, "error", err)
	}
	return q.openLocked()
}

// cutTailLocked removes what a failed write left at the end of the last data
// file. go-diskqueue would write over it, but a shorter record leaves a rest
// that would later be read as records.
func (q *Queue) cutTailLocked() error {
	ls, err := q.files.list()
	if err != nil || len(ls.data) == 0 {
		return err
	}
	last := ls.data[len(ls.data)-1]
	if q.tail.file != last {
		q.tail = position{file: last} // numbers are never used twice, so offset 0 is a boundary
	}
	path := q.files.dataPath(last)
	x, err := scan(path, q.tail.offset, q.opts.MinRecord, q.opts.MaxRecord)
	if err != nil {
		return err
	}
	q.tail.offset = x.end
	if x.end >= x.size || x.badLength {
		return nil
	}
	return truncate(path, x.end)
}

// Depth returns the number of records that are neither claimed nor read; after
// Close, the number of records kept. It never blocks. A queue that was not
// opened yet has depth 0, whatever is on disk.
func (q *Queue) Depth() int64 {
	return q.depth.Load()
}

// Claim takes up to limit records out of Depth and returns how many it took. The
// caller must then Read as many, or Close. Claim never waits for the disk. While
// a queue cannot be opened again after a failed write it gives none: Open tries.
func (q *Queue) Claim(limit int) int {
	if q.depth.Load() == 0 {
		return 0
	}
	q.claims.Lock()
	defer q.claims.Unlock()
	if q.isClosed() || q.source.records == nil {
		return 0
	}
	n := min(int64(limit), q.depth.Load())
	if n <= 0 {
		return 0
	}
	q.depth.Add(-n)
	q.claimed += n
	return int(n)
}

// Read receives that many claimed records in order, appends them to dst and
// returns it. The records belong to the caller. As they are on disk already, it
// takes microseconds each. It returns fewer only if the queue was emptied,
// closed or deleted since they were claimed, if it cannot be opened again after
// a failed write (the claims are then given back), or if records were lost to
// damage, which is logged. Claims are interchangeable: after Empty the first to Read may
// be the one who gets less.
func (q *Queue) Read(claimed int, dst [][]byte) [][]byte {
	q.reading.Lock()
	defer q.reading.Unlock()
	missing := q.settle(0, int64(claimed))
	if missing == 0 || q.isClosed() {
		return dst
	}
	if q.stall == nil {
		q.stall = time.NewTimer(stallTime)
	} else {
		q.stall.Reset(stallTime)
	}
	defer q.stall.Stop()

	src := q.currentSource()
	var got int64 // not yet settled
	for got < missing {
		select {
		case rec := <-src.records:
			dst = append(dst, rec)
			got++
		case <-src.over:
			if q.isClosed() {
				return dst
			}
			src = q.currentSource()
		case <-q.stall.C:
			missing = q.settle(got, missing-got)
			got = 0
			if !q.writeOff() {
				q.unclaim(missing)
				return dst
			}
			missing = q.settle(0, missing)
			q.stall.Reset(stallTime)
		}
	}
	q.settle(got, 0)
	return dst
}

// settle gives back the claims of records that were received, and of those still
// missing as many as are void; it returns how many are left to wait for.
func (q *Queue) settle(received, missing int64) int64 {
	q.claims.Lock()
	defer q.claims.Unlock()
	gone := min(missing, q.void)
	q.void -= gone
	q.claimed -= received + gone
	return missing - gone
}

// unclaim gives claims back that cannot be served now.
func (q *Queue) unclaim(n int64) {
	q.claims.Lock()
	defer q.claims.Unlock()
	q.claimed -= n
	q.depth.Add(n)
}

// writeOff corrects the counters if nothing is left in the queue that could
// serve the claims, of which there must be some. It reports false if the queue
// is not open and cannot be opened. Reading must be held and all that was
// received be settled.
func (q *Queue) writeOff() bool {
	q.writing.Lock()
	defer q.writing.Unlock()
	if q.dq == nil && !q.isClosed() {
		if err := q.openLocked(); err != nil {
			q.opts.Logger.Error("disk queue cannot be read", "queue", q.name, "error", err)
			return false
		}
	}
	if q.dq == nil || q.dq.Depth() != 0 {
		return true // closed, or a slow disk
	}
	lost := q.resetLocked()
	q.opts.Logger.Error("disk queue lost records to damage", "queue", q.name, "records", lost)
	return true
}

// resetLocked is for when the queue holds nothing: it makes the depth 0 and all
// claims void, and returns how many records had been counted. Reading and
// writing must be held.
func (q *Queue) resetLocked() int64 {
	q.claims.Lock()
	defer q.claims.Unlock()
	counted := q.depth.Swap(0) + q.claimed - q.void
	q.void = q.claimed
	return counted
}

// Empty drops all records, also those claimed and not yet read. It waits for a
// Read that is under way. The queue stays usable.
func (q *Queue) Empty() error {
	q.reading.Lock()
	defer q.reading.Unlock()
	q.writing.Lock()
	defer q.writing.Unlock()
	if q.isClosed() {
		return ErrClosed
	}
	var err error
	if q.dq != nil {
		err = q.dq.Empty()
		q.torn = q.torn && err != nil // dq goes on with a new file and a new buffer
	} else {
		err = q.removeLocked()
	}
	q.resetLocked()
	q.kept = 0
	return err
}

// Close keeps all records, also those claimed and not yet read, and returns when
// they are on stable storage. A Put under way is completed, a Read is cut short.
// Closing again, or after Delete, does nothing.
func (q *Queue) Close() error {
	defer q.halt()()
	if q.kept != 0 {
		if err := q.openLocked(); err != nil {
			q.depth.Store(q.kept)
			q.kept = 0
			return err
		}
	}
	if q.dq == nil {
		return nil
	}
	err := q.dq.Close()
	if err != nil {
		q.first = -1
	}
	q.depth.Store(q.dq.Depth())
	q.dq = nil
	if err = errors.Join(err, q.files.sync()); err != nil {
		return fmt.Errorf("closing disk queue %q: %w", q.name, err)
	}
	return nil
}

// Delete closes the queue and removes its files, even if it was never opened or
// is closed already. Files set aside as damaged stay.
func (q *Queue) Delete() error {
	defer q.halt()()
	if q.dq != nil {
		if err := q.dq.Close(); err != nil || q.torn {
			q.first = -1 // the meta file is out of date, or unfinished ones are left
		}
		q.dq = nil
	}
	q.depth.Store(0)
	q.kept = 0
	return q.removeLocked()
}

// removeLocked removes the files of a queue that is not open.
func (q *Queue) removeLocked() error {
	ls, known := q.files.possible(q.first)
	if q.opts.Names == nil || !known {
		var err error
		ls, err = q.opts.Names.list(q.files)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	if err := q.files.remove(ls); err != nil {
		q.first = -1
		return err
	}
	q.opts.Names.removed(q.name)
	return nil
}

// halt makes every other operation end or fail, and returns with the queue
// locked; the caller must call what it returns.
func (q *Queue) halt() (unlock func()) {
	q.claims.Lock()
	if !q.isClosed() {
		close(q.stop)
		close(q.source.over)
	}
	q.claims.Unlock()

	q.reading.Lock()
	q.writing.Lock()
	return func() {
		q.writing.Unlock()
		q.reading.Unlock()
	}
}
