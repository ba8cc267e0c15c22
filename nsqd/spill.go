package nsqd

import (
	"errors"
	"math"
	"sync"

	"github.com/seed893f581e/nsq/internal/diskq"
)

// spillBytes is about how much is written to disk at a time.
const spillBytes = 1 << 20

// An unstored is what a put has yet to store: spans, of which it changes none that
// others see.
type unstored struct {
	first span // without the messages that are stored; empty if nothing is left
	begun bool // there are such
	more  []span
}

// spans returns how many spans are left.
func (u *unstored) spans() int {
	if u.first.count == 0 {
		return 0
	}
	return 1 + len(u.more)
}

// keep makes s what is left of the first span. If it is empty, the next one is the
// first.
func (u *unstored) keep(s span) {
	u.first, u.begun = s, s.count > 0
	if s.count == 0 && len(u.more) > 0 {
		u.first, u.more = u.more[0], u.more[1:]
	}
}

// cut cuts off up to n messages of the first span.
func (u *unstored) cut(n int) (head span) {
	s := u.first
	if int(s.count) <= n {
		head, s.count = s, 0
	} else {
		head, _ = s.cut(n, math.MaxInt)
	}
	u.keep(s)
	return head
}

// appendRecords cuts off about spillBytes of messages, as records; if single
// only of the first span.
func (u *unstored) appendRecords(records *diskq.Batch, single bool) {
	for u.spans() > 0 && records.Size() < spillBytes {
		s := u.first
		for s.count > 0 && records.Size() < spillBytes {
			m := s.pop()
			records.End(m.appendRecord(records.Begin()))
		}
		u.keep(s)
		if single {
			return
		}
	}
}

// spill puts u on disk, and leaves in it what could not be put. Where several
// spans at a time are too much for the disk, one may not be.
func (q *queue) spill(u *unstored) error {
	defer q.signal()
	records := recordBatches.Get().(*diskq.Batch)
	defer keepRecords(records)
	for single := false; u.spans() > 0; {
		next := *u
		err := q.write(records, &next, single)
		if err == nil {
			*u = next
			continue
		}
		if errors.Is(err, diskq.ErrClosed) {
			err = errExiting
		} else if !single && u.spans() > 1 {
			single = true
			continue
		}
		if !u.begun {
			return err
		}
		q.env.log.Debug("DISKQUEUE: the rest of a batch is kept in memory", "queue", q.name, "messages", u.first.count, "error", err) // the disk queue says once that it fails
		if err := q.putMemory(u.first); err != nil {
			return err
		}
		u.keep(span{})
		if u.spans() > 0 {
			return err
		}
	}
	return nil
}

// recordBatches are empty ones, for use again.
var recordBatches = sync.Pool{New: func() any { return new(diskq.Batch) }}

func keepRecords(records *diskq.Batch) {
	if records.Size() <= 2*spillBytes { // a larger one is not worth its memory
		recordBatches.Put(records)
	}
}

// write puts on disk what u, which goes on behind it, has next: all of that or,
// with an error, none. records is the caller's to use again.
func (q *queue) write(records *diskq.Batch, u *unstored, single bool) error {
	records.Reset()
	u.appendRecords(records, single)
	return q.disk.Put(records)
}
