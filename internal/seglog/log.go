package seglog

import (
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options are of one log.
type Options struct {
	FS           vfs.FS // vfs.Default when nil
	Dir          string // made if it is missing
	SegmentBytes int64  // a segment that has as many is followed by the next; 64 MiB when 0
	Sync         bool   // Append returns when its records are on stable storage; SetSync changes it
	First        uint64 // the lowest sequence number that may be given; see Raise
	ReadOnly     bool   // nothing is written, cut off or removed

	// OnCommit is told of what was kept, in the order of the log, one call at a
	// time, before any Append of these records returns; First and Pos are set.
	// Readers see the records already. It runs in a goroutine that appends, with no
	// lock of the log held, and must be quick and not append. The slice is the
	// log's again when it returns. A record that was split comes as one.
	OnCommit func([]Record)
	// Damage is told of what cannot be read, once per Log and place, from the
	// goroutine that met it, with no lock of the log held.
	Damage func(Damage)
	Logger *slog.Logger
}

// Log is an open log. Its methods may be called at the same time, but nothing
// after Close. It has no goroutine, and open files only while it is in use: see Idle.
type Log struct{}

// Open opens the log of a directory. It reads what was not closed cleanly and
// cuts off what a crash left half written. Damage does not keep it from opening.
func Open(opts Options) (*Log, error) { panic("not yet") }

// Append keeps all records or, with an error, none, and blocks until they are
// kept as Sync says. Records of concurrent calls share a write and a sync. It sets
// First of Messages, and Pos; payloads must not change until it returns, and not
// later either if OnCommit hands them on. A record larger than a frame is split
// into frames, so readers see several. After an error the records may be found
// again after a crash, if the disk did not let go of them.
func (l *Log) Append(records []*Record) error { panic("not yet") }

// End says which number the next message will have at least, and where its frame
// will be at least: all that is kept is below.
func (l *Log) End() (next uint64, at Pos) { panic("not yet") }

// Begin says the first number and place of what is kept; those of End if there is nothing.
func (l *Log) Begin() (first uint64, at Pos) { panic("not yet") }

// Count is the number of messages with from ≤ number < to. Numbers between
// segments that were never given do not count, damaged ones do.
func (l *Log) Count(from, to uint64) int64 { panic("not yet") }

// Segment describes one segment.
type Segment struct {
	ID         uint32
	First, End uint64 // First ≤ numbers of its Messages < End
	Bytes      int64
	Sealed     bool // it was closed cleanly, and is not written to
	Deferred   bool // it has records with a Due, or Moved ones
}

// Segments are all that hold frames, in order, with the one that is written to.
func (l *Log) Segments() []Segment { panic("not yet") }

// Remove removes a segment: not the one that is written to (ErrInUse; Roll
// before). Cursors that are in it go on with the next. Numbers and ids are
// remembered, even if nothing is left.
func (l *Log) Remove(id uint32) error { panic("not yet") }

// Roll closes the segment that is written to, if it has any frames; the next
// Append begins another.
func (l *Log) Roll() error { panic("not yet") }

// Raise makes the next numbers to be given at least first.
func (l *Log) Raise(first uint64) { panic("not yet") }

// SetSync says whether an Append that begins from now on waits for stable storage.
func (l *Log) SetSync(sync bool) { panic("not yet") }

// Err says why the last Append failed; nil if it did not.
func (l *Log) Err() error { panic("not yet") }

// Idle closes all files that are not in use this moment. They are opened again
// when needed, so it costs the next Append and Next a few microseconds.
func (l *Log) Idle() { panic("not yet") }

// Close refuses what waits to be appended, seals the last segment and closes all
// files. Cursors must not be used any more.
func (l *Log) Close() error { panic("not yet") }
