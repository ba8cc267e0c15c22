package nsqd

import (
	"github.com/seed893f581e/nsq/internal/store"
)

// A batch of a durable topic knows how it lies in the topic's log (batch.kept):
// that has the numbers by which the log knows messages, and is how a message is
// given back to it. Append sets the numbers before any channel sees the batch.

// keptBatch is a batch with its record, in one piece of memory.
type keptBatch struct {
	batch
	record store.Batch
}

// newKeptBatch returns the record of a batch that is to be appended to a log; due is
// 0, or when it is due in Unix nanoseconds.
func newKeptBatch(first guid, now, due int64, count int, payload []byte) *store.Batch {
	k := &keptBatch{
		batch:  batch{first: first, time: now, count: int32(count), payload: payload},
		record: store.Batch{ID: uint64(first), Time: now, Due: due, Count: count, Payload: payload},
	}
	k.kept, k.record.Attached = &k.record, &k.batch
	return &k.record
}

// batchOfRecord returns the batch of a record: the one that was appended or, where it was
// read from disk, a new one.
func batchOfRecord(r *store.Batch) *batch {
	if b, ok := r.Attached.(*batch); ok {
		return b
	}
	return &batch{first: guid(r.ID), time: r.Time, count: int32(r.Count), payload: r.Payload, kept: r, shared: true}
}

// spanOfMessage returns what a log gave out as a span.
func spanOfMessage(m *store.Message) span {
	return span{b: batchOfRecord(m.Batch), off: uint32(m.Offset), index: uint16(m.Index), count: uint16(m.Count), attempts: m.Attempts}
}

// finished says that so many messages of b, which may be nil, are finished and were taken out
// of flight, so that nobody has them.
func (b *batch) finished(n int) {
	if b != nil && b.kept != nil {
		b.kept.Done(n)
	}
}

// seq returns the number of the first message of s, which is of a log.
func (s *span) seq() uint64 { return s.b.kept.First + uint64(s.index) }

// message returns the first message of s as the log knows it.
func (s *span) message() store.Message {
	return store.Message{Batch: s.b.kept, Index: int(s.index), Offset: int(s.off), Count: 1, Attempts: s.attempts}
}

// isBefore reports whether s, of a log, was given out before everything that has the
// number end or a later one. What the log has taken over from elsewhere has numbers
// of its own, and was there first.
func (s *span) isBefore(end uint64) bool {
	seq := s.seq()
	return seq < end || seq >= adoptedSeqs
}

// adoptedSeqs is where the numbers begin of what a log has taken over.
const adoptedSeqs = 1 << 63

// appendRun adds messages that are finished, if any, to others.
func appendRun(runs []store.Run, r store.Run) []store.Run {
	if r.Count == 0 {
		return runs
	}
	if last := len(runs) - 1; last >= 0 && runs[last].First+uint64(runs[last].Count) == r.First {
		runs[last].Count += r.Count
		return runs
	}
	return append(runs, r)
}

// run returns the messages of s by number.
func (s *span) run() store.Run { return store.Run{First: s.seq(), Count: int(s.count)} }
