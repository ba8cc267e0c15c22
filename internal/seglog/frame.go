package seglog

import (
	"encoding/binary"
	"hash/crc32"
)

// A header, in little endian:
//
//	 0 magic u32              28 kind u8          48 due i64
//	 4 crc of the header u32  29 flags u8         56 channel u32
//	 8 crc of the payload u32 30 attempts u16     60 moved u32
//	12 payload length u32     32 id u64
//	16 first u64              40 time i64
//	24 count u32
//
// The crc of the header begins at byte 8 and is seeded with the salt of the file and the offset
// of the frame, so that neither a body nor another file nor another place can pass for a frame.
// Of a Moved frame, count is what the next number was, from the first number of the segment on:
// its First says nothing of where it is. With moved, the count of Moved frames before it in the
// segment, every frame tells how many messages were before it, so what damage cost is known.
const (
	magic      = 0x9a51e7d3
	headerSize = 64

	// MaxFrame is the limit of a frame's payload, unless one message is larger.
	MaxFrame = 32 << 10
	// FrameOverhead is what a frame takes beside its payload.
	FrameOverhead = headerSize

	kindSeal Kind = 3 // ends a segment: first is the end, moved counts all

	flagMore     = 1 << 0 // the append goes on in the next frame
	flagAgain    = 1 << 1 // the append began in a frame before
	flagDeferred = 1 << 2 // of a seal: the segment has deferred messages
	flagJoined   = 1 << 3 // an append begins that is synced with the one before
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	magicBytes = binary.LittleEndian.AppendUint32(nil, magic)
)

// frame is a header and the payload that belongs to it.
type frame struct {
	kind     Kind
	flags    uint8
	attempts uint16
	crc      uint32 // of the payload
	length   uint32
	count    uint32
	channel  uint32
	moved    uint32
	first    uint64
	id       uint64
	time     int64
	due      int64
	payload  []byte
}

// seedAt is what the crc of a header at an offset begins with.
func seedAt(salt uint32, offset int64) uint32 { return salt + uint32(offset) }

// putHeader writes the header into the first 64 bytes of b.
func (f *frame) putHeader(b []byte, seed uint32) {
	le := binary.LittleEndian
	b = b[:headerSize]
	le.PutUint32(b[0:], magic)
	le.PutUint32(b[8:], f.crc)
	le.PutUint32(b[12:], f.length)
	le.PutUint64(b[16:], f.first)
	le.PutUint32(b[24:], f.count)
	b[28], b[29] = byte(f.kind), f.flags
	le.PutUint16(b[30:], f.attempts)
	le.PutUint64(b[32:], f.id)
	le.PutUint64(b[40:], uint64(f.time))
	le.PutUint64(b[48:], uint64(f.due))
	le.PutUint32(b[56:], f.channel)
	le.PutUint32(b[60:], f.moved)
	le.PutUint32(b[4:], crc32.Update(seed, castagnoli, b[8:]))
}

// parseHeader reads a header from the first 64 bytes of b; false if it is none,
// or not of this file and place. The payload is not looked at.
func parseHeader(b []byte, seed uint32) (f frame, ok bool) {
	le := binary.LittleEndian
	b = b[:headerSize]
	if le.Uint32(b) != magic || le.Uint32(b[4:]) != crc32.Update(seed, castagnoli, b[8:]) {
		return f, false
	}
	return frame{
		crc:      le.Uint32(b[8:]),
		length:   le.Uint32(b[12:]),
		first:    le.Uint64(b[16:]),
		count:    le.Uint32(b[24:]),
		kind:     Kind(b[28]),
		flags:    b[29],
		attempts: le.Uint16(b[30:]),
		id:       le.Uint64(b[32:]),
		time:     int64(le.Uint64(b[40:])),
		due:      int64(le.Uint64(b[48:])),
		channel:  le.Uint32(b[56:]),
		moved:    le.Uint32(b[60:]),
	}, true
}

// size is that of the whole frame.
func (f *frame) size() int64 { return headerSize + int64(f.length) }

// whole reports whether the payload is what was written.
func (f *frame) whole() bool { return crc32.Checksum(f.payload, castagnoli) == f.crc }

// before is what was counted when the frame was written.
func (f *frame) before(base uint64) tally {
	if f.kind == Moved {
		return tally{base + uint64(f.count), f.moved}
	}
	return tally{f.first, f.moved}
}

// after is what is counted with it.
func (f *frame) after(base uint64) tally {
	t := f.before(base)
	switch f.kind {
	case Messages:
		t.next += uint64(f.count)
	case Moved:
		t.moved++
	}
	return t
}

// record is what readers see of a frame of messages.
func (f *frame) record(at Pos) Record {
	count := int(f.count)
	if f.kind == Moved {
		count = 1
	}
	return Record{
		Kind: f.kind, First: f.first, Count: count, ID: f.id, Time: f.time, Due: f.due,
		Attempts: f.attempts, Channel: f.channel, Payload: f.payload, Pos: at,
	}
}

// tally counts what a segment has up to some place: the next sequence number
// and the number of Moved frames.
type tally struct {
	next  uint64
	moved uint32
}

// since is the number of messages between two tallies; 0 if they contradict each other.
func (t tally) since(earlier tally) (messages int64) {
	if t.next > earlier.next {
		messages = int64(t.next - earlier.next)
	}
	if t.moved > earlier.moved {
		messages += int64(t.moved - earlier.moved)
	}
	return messages
}
