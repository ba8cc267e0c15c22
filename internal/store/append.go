package store

import (
	"encoding/binary"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/seglog"
)

// A Batch is what one publish brought. What others see of it never changes after Append.
type Batch struct {
	First    uint64 // number of the first message, set by Append; message i has First+i
	ID       uint64 // of the first message, the publisher's; message i has ID+i
	Time     int64  // acceptance, nanoseconds since the Unix epoch
	Due      int64  // deferred until then, nanoseconds since the Unix epoch; 0: not deferred
	Count    int
	Payload  []byte // Count × (int32 big endian size, body)
	Attached any    // the publisher's; nil when the batch was read from disk

	memory *seglog.Memory // that Payload is a part of, where one channel alone read it; else nil
	left   atomic.Int32   // messages that are not done, of a batch with memory
}

// Done says that n more of the messages that Next gave out of b are finished, and that
// nobody has them or will look at them any more. After the last, the memory of a batch
// that was read from disk is used again. To leave that out for some of them is no fault.
func (b *Batch) Done(n int) {
	if b.memory != nil && b.left.Add(int32(-n)) == 0 {
		b.memory.Release()
	}
}

// Append keeps batches as the topic's durability says, all of them or, with
// an error, none, sets their First, and gives them to the channels, or holds
// them while the topic is held. It blocks until they are kept. The batches and
// their payloads belong to the store from then on.
func (t *Topic) Append(batches []*Batch) error {
	if err := t.s.room(); err != nil {
		return err
	}
	return t.append(batches)
}

// append is Append for what there must be room for.
func (t *Topic) append(batches []*Batch) error {
	a, err := t.start(batches)
	if err != nil {
		return err
	}
	return a.Wait()
}

// Appending is an Append that was started. Wait must be called once: it blocks until the
// batches are kept, or cannot be.
type Appending = seglog.Appending

// Start begins an Append, which Wait has done. One goroutine can have several under way,
// which share what they wait for.
func (t *Topic) Start(batches []*Batch) (Appending, error) {
	if err := t.s.room(); err != nil {
		return Appending{}, err
	}
	return t.start(batches)
}

func (t *Topic) start(batches []*Batch) (Appending, error) {
	records := make([]seglog.Record, 0, len(batches))
	for _, b := range batches {
		records = b.appendRecords(records)
	}
	pointers := make([]*seglog.Record, len(records))
	for i := range records {
		pointers[i] = &records[i]
	}
	return t.log.Start(pointers)
}

// appendRecords appends what the log is to keep of b: one record, or, as each
// deferred message is found by the place of its frame, one for each frame.
func (b *Batch) appendRecords(dst []seglog.Record) []seglog.Record {
	if b.Due == 0 || len(b.Payload) <= maxFrame {
		return append(dst, b.record(0, b.Count, 0, len(b.Payload)))
	}
	for index, offset := 0, 0; index < b.Count; {
		i, end := index, offset
		for i < b.Count {
			next := nextOffset(b.Payload, end)
			if i > index && next-offset > maxFrame {
				break
			}
			i, end = i+1, next
		}
		dst = append(dst, b.record(index, i, offset, end))
		index, offset = i, end
	}
	return dst
}

// maxFrame is the most bytes that several messages take of one frame of a log.
const maxFrame = 32 << 10

// record returns the record of a part of b.
func (b *Batch) record(from, to, begin, end int) seglog.Record {
	return seglog.Record{
		Kind: seglog.Messages, Count: to - from, ID: b.ID + uint64(from), Time: b.Time, Due: b.Due,
		Payload:  b.Payload[begin:end:end],
		Attached: part{b, from},
	}
}

// part says which part of a batch a record is.
type part struct {
	*Batch
	from int
}

// nextOffset returns where the message behind the one at an offset begins.
func nextOffset(payload []byte, offset int) int {
	return offset + 4 + int(binary.BigEndian.Uint32(payload[offset:]))
}

// committed is told of what the log kept, in its order.
func (t *Topic) committed(records []seglog.Record) {
	batches, hook, tell := t.take(records)
	t.touch()
	if hook != nil && len(batches) > 0 {
		hook(batches)
	}
	for _, f := range tell {
		f()
	}
}

// take takes in what the log kept, and returns whole batches of it, and whom to tell.
func (t *Topic) take(records []seglog.Record) (batches []*Batch, hook func([]*Batch), tell []func()) {
	t.mu.Lock()
	defer t.mu.Unlock() // also after a panic
	now := time.Now().UnixNano()
	deferred := false
	for i := range records {
		r := &records[i]
		switch a := r.Attached.(type) {
		case part:
			if a.from == 0 {
				a.First = r.First
				t.tail.add(a.Batch, t.s.TailMessages, t.s.TailBytes)
				batches = append(batches, a.Batch)
			}
			t.end = r.First + uint64(r.Count)
			t.last = t.end
			if t.live {
				t.release(r, now)
				deferred = deferred || r.Due != 0
			}
		case *deferral:
			a.c.deferTo(a, r)
		}
		t.applied = r.Pos + 1
	}
	switch {
	case !t.live:
		return batches, nil, nil
	case deferred:
		return batches, t.onRelease, slices.Concat(t.ready, t.due)
	}
	return batches, t.onRelease, t.ready
}

func appendSize(dst []byte, size int) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(size))
}
