package nsqd

import (
	"time"

	"github.com/seed893f581e/nsq/internal/store"
	"github.com/seed893f581e/nsq/internal/wire"
)

// A batch is what one publish brought: an MPUB's payload as received, the
// pipelined PUBs of one read, or what of such is read back from disk. It never
// changes, so topics, channels and connections share it without a lock.
type batch struct {
	first    guid          // message i has the id first+i
	time     int64         // acceptance, nanoseconds since the Unix epoch
	deferral time.Duration // DPUB: how long a channel holds it back
	payload  []byte        // count × (int32 size, body)
	kept     *store.Batch  // how it lies in the log of a durable topic, nil for others
	count    int32         // 1..maxBatch
	shared   bool          // payload is a part of more
}

// A span is a run of messages of one batch, from a cursor to a count: what
// queues hold and hand on. A span of one message with attempts is also what is
// kept of a message in flight, requeued or deferred.
type span struct {
	b        *batch
	off      uint32 // of the first message in the payload
	index    uint16 // its number in the batch
	count    uint16
	attempts uint16 // deliveries so far, of every message of the span
}

// all returns the span of every message of b.
func (b *batch) all() span { return span{b: b, count: uint16(b.count)} }

func (s *span) id() guid { return s.b.first + guid(s.index) }

// body returns the first message's body.
func (s *span) body() []byte {
	body, _ := wire.NextInPayload(s.b.payload, int(s.off))
	return body
}

// pop cuts the first message off s and returns it as a span of its own. s must
// not be empty.
func (s *span) pop() span {
	head := *s
	head.count = 1
	_, next := wire.NextInPayload(s.b.payload, int(s.off))
	s.off = uint32(next)
	s.index++
	s.count--
	return head
}

// cut splits off the first messages of s: at most n of them, and no more than
// fit into maxBytes with their frames, but at least one. It returns them and
// the bytes that they take.
func (s *span) cut(n, maxBytes int) (head span, bytes int) {
	head = *s
	if bytes, ok := s.restOfBatch(); ok && int(s.count) <= n && bytes <= maxBytes {
		s.count = 0
		return head, bytes
	}
	head.count = 0
	for int(head.count) < n && s.count > 0 {
		body, next := wire.NextInPayload(s.b.payload, int(s.off))
		size := frameHeaders + len(body)
		if head.count > 0 && bytes+size > maxBytes {
			break
		}
		bytes += size
		s.off = uint32(next)
		s.index++
		s.count--
		head.count++
	}
	return head, bytes
}

// frameHeaders is what precedes a body on the wire.
const frameHeaders = wire.FrameHeaderLen + wire.MessageHeaderLen

// restOfBatch returns the bytes that s takes on the wire, without looking at each
// message, if it is all that follows its first message in the batch.
func (s *span) restOfBatch() (bytes int, ok bool) {
	if int(s.index)+int(s.count) != int(s.b.count) {
		return 0, false
	}
	return len(s.b.payload) - int(s.off) + int(s.count)*(frameHeaders-wire.SizeLen), true
}

// alone returns a span of one message as one that does not hold on to the rest
// of a larger payload, so that a straggler does not pin a whole payload.
func (s span) alone() span {
	if s.b.count == 1 && !s.b.shared {
		return s
	}
	payload := wire.AppendToPayload(make([]byte, 0, wire.SizeLen+len(s.body())), s.body())
	b := &batch{first: s.id(), time: s.b.time, count: 1, payload: payload}
	if s.b.kept != nil {
		b.kept = &store.Batch{First: s.seq(), ID: uint64(b.first), Time: b.time, Count: 1, Payload: payload}
	}
	return span{b: b, count: 1, attempts: s.attempts}
}

// appendRecord appends the first message of s as it lies on disk.
func (s *span) appendRecord(dst []byte) []byte {
	return wire.AppendMessage(dst, s.b.time, s.attempts, uint64(s.id()), s.body())
}

// spanOfRecord turns a record from disk into a span of one message, which
// takes over rec. newID provides an id where the record's is not one of ours.
func spanOfRecord(rec []byte, newID func() guid) (span, error) {
	m, err := wire.ParseMessage(rec)
	if err != nil {
		return span{}, err
	}
	id, ok := wire.ParseID(m.ID[:])
	first := guid(id)
	if !ok {
		first = newID()
	}
	// A payload has a size before the body; the header's last bytes make room.
	payload := rec[wire.MessageHeaderLen-wire.SizeLen:]
	wire.AppendSize(payload[:0], len(m.Body))
	return span{
		b:        &batch{first: first, time: m.Timestamp, count: 1, payload: payload},
		count:    1,
		attempts: m.Attempts,
	}, nil
}
