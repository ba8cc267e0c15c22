package seglog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// maxAppend bounds what one Append may bring, so that every offset fits into a Pos.
const maxAppend = 1 << 30

// pending is one Append under way. What can be done before the log's writer has its
// turn, the caller has done.
type pending struct {
	records []*Record
	parts   []part
	size    int       // of its frames
	taken   bool      // from the queue
	awaited bool      // its publisher does nothing else
	wake    chan bool // true: lead the next group; false: done
	err     error
}

// part is what one frame takes of a record.
type part struct {
	record  int // index
	skip    int // messages of the record in parts before
	count   int
	payload []byte
	crc     uint32
}

// newPending splits records into frames. The caller gives it back with free.
func (l *Log) newPending(records []*Record) (*pending, error) {
	p, ok := l.pendings.Get().(*pending)
	if !ok {
		p = &pending{wake: make(chan bool, 1)}
	}
	p.records = records
	for i, r := range records {
		if err := p.add(i, r); err != nil {
			l.free(p)
			return nil, err
		}
	}
	if p.size > maxAppend {
		defer l.free(p)
		return nil, fmt.Errorf("%w: an append of %d bytes, more than %d", ErrMalformed, p.size, maxAppend)
	}
	return p, nil
}

func (l *Log) free(p *pending) {
	clear(p.parts)
	*p = pending{parts: p.parts[:0], wake: p.wake}
	l.pendings.Put(p)
}

func (p *pending) add(i int, r *Record) error {
	switch {
	case r.Kind != Messages && r.Kind != Moved:
		return fmt.Errorf("%w: kind %d", ErrMalformed, r.Kind)
	case r.Count < 1 || r.Kind == Moved && r.Count != 1 || len(r.Payload)/4 < r.Count:
		return fmt.Errorf("%w: %d messages in %d bytes", ErrMalformed, r.Count, len(r.Payload))
	case len(r.Payload) <= MaxFrame || r.Count == 1:
		p.addPart(part{record: i, count: r.Count, payload: r.Payload})
		return nil
	}
	return p.split(i, r)
}

// split adds the parts of a record that needs more than one frame.
func (p *pending) split(i int, r *Record) error {
	rest, skip := r.Payload, 0
	for len(rest) > 0 {
		n, count := wholeMessages(rest)
		if count == 0 || skip+count > r.Count {
			break
		}
		p.addPart(part{record: i, skip: skip, count: count, payload: rest[:n]})
		rest, skip = rest[n:], skip+count
	}
	if len(rest) > 0 || skip != r.Count {
		return fmt.Errorf("%w: %d messages are not what its payload holds", ErrMalformed, r.Count)
	}
	return nil
}

// wholeMessages says how much of a payload fits into a frame.
func wholeMessages(payload []byte) (size, count int) {
	for len(payload)-size >= 4 {
		body := int64(binary.BigEndian.Uint32(payload[size:]))
		if body > math.MaxInt32 || body > int64(len(payload)-size-4) {
			break
		}
		next := size + 4 + int(body)
		if next > MaxFrame && count > 0 {
			break
		}
		size, count = next, count+1
	}
	return size, count
}

func (p *pending) addPart(q part) {
	q.crc = crc32.Checksum(q.payload, castagnoli)
	p.parts = append(p.parts, q)
	p.size += headerSize + len(q.payload)
}

// encode appends the frames of p to buf, which begins at an offset of a segment,
// and sets numbers and places of its records; joined says that it is synced with those before.
// It returns what is counted then.
func (p *pending) encode(buf []byte, seg *segment, offset int64, t tally, joined bool) ([]byte, tally) {
	for i, q := range p.parts {
		r, at := p.records[q.record], offset+int64(len(buf))
		if q.skip == 0 {
			r.Pos = posOf(seg.id, at)
			if r.Kind == Messages {
				r.First = t.next
			}
		}
		f := q.frame(r, t, seg.first)
		switch {
		case i > 0:
			f.flags |= flagAgain
		case joined:
			f.flags |= flagJoined
		}
		if i < len(p.parts)-1 {
			f.flags |= flagMore
		}
		head := len(buf)
		buf = append(buf, make([]byte, headerSize)...)
		f.putHeader(buf[head:], seedAt(seg.salt, at))
		buf = append(buf, q.payload...)
		t = f.after(seg.first)
	}
	return buf, t
}

func (q *part) frame(r *Record, t tally, base uint64) frame {
	f := frame{
		kind: r.Kind, attempts: r.Attempts, channel: r.Channel, time: r.Time, due: r.Due,
		first: r.First + uint64(q.skip), id: r.ID + uint64(q.skip),
		count: uint32(q.count), length: uint32(len(q.payload)), crc: q.crc, moved: t.moved,
	}
	if r.Kind == Moved {
		f.count = uint32(t.next - base)
	}
	return f
}
