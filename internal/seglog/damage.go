package seglog

import "errors"

var (
	// ErrClosed is what a closed log answers.
	ErrClosed = errors.New("seglog: log is closed")
	// ErrGone says that a segment is removed, or that nothing was ever kept at a place.
	ErrGone = errors.New("seglog: segment is gone")
	// ErrDamaged says that a frame cannot be read as it was written.
	ErrDamaged = errors.New("seglog: frame is damaged")
	// ErrLaterForm says that a file was written by later software; errors that wrap it name the file.
	ErrLaterForm = errors.New("seglog: written by later software")
	// ErrReadOnly is what a log that was opened with Options.ReadOnly answers to changes.
	ErrReadOnly = errors.New("seglog: log is open for reading alone")
	// ErrMalformed says that a record cannot be kept: Count and Payload disagree, or it has no message.
	ErrMalformed = errors.New("seglog: malformed record")
	// ErrInUse says that the segment which is written to cannot be removed.
	ErrInUse = errors.New("seglog: segment is written to")
)

// Damage is a stretch of a file that cannot be read as it was written.
type Damage struct {
	File     string // its path
	Offset   int64
	Bytes    int64
	Messages int64 // lost with it
}

// reportDamage tells of damage unless it was told of before.
func (l *Log) reportDamage(seg *segment, offset, size, messages int64) {
	l.mu.Lock()
	told := seg.reported[offset]
	if seg.reported == nil {
		seg.reported = map[int64]bool{}
	}
	seg.reported[offset] = true
	l.mu.Unlock()
	if !told {
		l.tell(Damage{File: seg.path, Offset: offset, Bytes: size, Messages: messages})
	}
}

func (l *Log) tell(d Damage) {
	if l.opts.Damage != nil {
		l.opts.Damage(d)
		return
	}
	l.logger.Warn("damage in a log", "file", d.File, "offset", d.Offset, "bytes", d.Bytes, "messages", d.Messages)
}
