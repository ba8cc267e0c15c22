package nsqd

import (
	"github.com/seed893f581e/nsq/internal/wire"
)

// unspillBytes is how much memory what is read from disk shares at most: a message
// that a consumer holds for long holds as much.
const unspillBytes = 32 << 10

// An unspilling turns records from disk into spans. On disk each message is a
// record of its own; those that were one batch become one again.
type unspilling struct {
	q     *queue
	spans []span
	left  int    // records that may still come
	chunk []byte // of payloads
	b     *batch // the batch of the last span
	start int    // of its payload in chunk
}

// read appends the next messages from disk to dst, as take does.
func (q *queue) read(dst []span, n, maxBytes int) ([]span, error) {
	u := unspilling{q: q, spans: dst, left: n}
	if depth := q.disk.Depth(); depth < int64(n) {
		u.left = int(depth)
	}
	err := q.disk.Take(n, maxBytes, u.add)
	u.end()
	return u.spans, err
}

// add takes the next record.
func (u *unspilling) add(rec []byte) {
	m, err := wire.ParseMessage(rec)
	if err != nil {
		u.q.env.log.Error("DISKQUEUE: a record is not a message and was skipped", "bytes", len(rec), "error", err)
		return
	}
	n, ok := wire.ParseID(m.ID[:])
	id := guid(n)
	if !ok {
		id = u.q.newID()
	}
	size := wire.SizeLen + len(m.Body)
	fits := size <= cap(u.chunk)-len(u.chunk)
	if fits && u.follows(id, &m) {
		u.b.count++
		u.spans[len(u.spans)-1].count++
	} else {
		u.end()
		if !fits {
			u.chunk = make([]byte, 0, max(size, min(unspillBytes, size*max(u.left, 1))))
		}
		u.start = len(u.chunk)
		u.b = &batch{first: id, time: m.Timestamp, count: 1}
		u.spans = append(u.spans, span{b: u.b, count: 1, attempts: m.Attempts})
	}
	u.chunk = wire.AppendToPayload(u.chunk, m.Body)
	u.left--
}

// follows reports whether a message belongs to the last batch.
func (u *unspilling) follows(id guid, m *wire.Message) bool {
	return u.b != nil && u.b.count < maxBatch && id == u.b.first+guid(u.b.count) && m.Timestamp == u.b.time &&
		m.Attempts == u.spans[len(u.spans)-1].attempts
}

// end completes the last batch.
func (u *unspilling) end() {
	if u.b != nil {
		u.b.payload = u.chunk[u.start:len(u.chunk):len(u.chunk)]
		u.b.shared = len(u.b.payload) < cap(u.chunk)
		u.b = nil
	}
}
