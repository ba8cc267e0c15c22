package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// SizeLen is the length of the size that precedes a body and each message of
// a batch.
const SizeLen = 4

// How much memory ReadBody takes before the first byte has arrived, and up to
// which size it takes four times what has arrived later, and then twice: few
// steps for who sends, little for who stalls.
const (
	bodyStep  = 4 << 10
	smallBody = 256 << 10
)

// bodyRoom returns for how many of the n bytes of a body memory may be taken
// when so many have arrived already, besides those that r holds.
func bodyRoom(r io.Reader, arrived, n int) int {
	if b, ok := r.(interface{ Buffered() int }); ok {
		arrived += b.Buffered()
	}
	if arrived >= n-arrived { // twice that might overflow a 32-bit int
		return n
	}
	room := max(bodyStep, 2*arrived)
	if arrived < smallBody {
		room = max(room, min(smallBody, 4*arrived))
	}
	return min(n, room)
}

// scratchLen is how much of a large body ReadBody may keep in a buffer that is
// used again and again, until enough has arrived for the memory that will hold it.
const scratchLen = 64 << 10

var scratches = sync.Pool{New: func() any { return new([scratchLen]byte) }}

// ParseSize returns the size that precedes a body, or ErrShort.
func ParseSize(b []byte) (int32, error) {
	if len(b) < SizeLen {
		return 0, ErrShort
	}
	return int32(binary.BigEndian.Uint32(b)), nil
}

// AppendSize appends the size that precedes a body of n bytes.
func AppendSize(dst []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

// A peeker is what buffers input, as a *bufio.Reader does.
type peeker interface {
	Peek(n int) ([]byte, error)
	Discard(n int) (int, error)
}

// ReadSize reads the size that precedes a body. It may be zero, negative or
// larger than any limit: the caller checks it before it reads the body. An end
// before the size is io.EOF, in the middle of it io.ErrUnexpectedEOF.
func ReadSize(r peeker) (int32, error) {
	b, err := r.Peek(SizeLen)
	if err != nil {
		if err == io.EOF && len(b) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	size, err := ParseSize(b)
	r.Discard(SizeLen) // cannot fail: the bytes are buffered
	return size, err
}

// ReadBody reads exactly n bytes; n must not be negative. It uses buf from its
// start where n fits its capacity; otherwise it allocates, at most 4 KiB at
// first and then two to four times what has arrived, in r's buffer, too, if it has
// one, so that an announced size alone costs nothing. With an error it returns the
// bytes that did arrive; an end before n bytes is io.ErrUnexpectedEOF.
func ReadBody(r io.Reader, buf []byte, n int) ([]byte, error) {
	if n <= cap(buf) {
		return readBody(r, buf[:n], n)
	}
	room := bodyRoom(r, 0, n)
	if room < scratchLen || room == n {
		return readBody(r, make([]byte, room), n)
	}
	scratch := scratches.Get().(*[scratchLen]byte)
	defer scratches.Put(scratch)
	body, err := readBody(r, scratch[:], n)
	if len(body) <= scratchLen { // it was cut
		body = bytes.Clone(body)
	}
	return body, err
}

// readBody is ReadBody with the first memory, which may be the whole.
func readBody(r io.Reader, buf []byte, n int) ([]byte, error) {
	got := 0
	for {
		m, err := io.ReadFull(r, buf[got:])
		got += m
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return buf[:got], err
		}
		if got == n {
			return buf, nil
		}
		grown := make([]byte, bodyRoom(r, got, n))
		copy(grown, buf)
		buf = grown
	}
}

// A batch is the body of MPUB: int32 count, then count times (int32 size,
// bytes). The part after the count is its payload; nsqd keeps it as it came,
// and a publish of one message in the same form.

// BatchLen returns the length of the batch of bodies in bytes.
func BatchLen(bodies [][]byte) int {
	n := SizeLen + SizeLen*len(bodies)
	for _, b := range bodies {
		n += len(b)
	}
	return n
}

// AppendBatch appends the batch of bodies.
func AppendBatch(dst []byte, bodies [][]byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(bodies)))
	for _, b := range bodies {
		dst = appendSized(dst, b)
	}
	return dst
}

// AppendToPayload appends one message to the payload of a batch.
func AppendToPayload(payload, body []byte) []byte {
	return appendSized(payload, body)
}

// NextInPayload returns the message at offset off of a payload and the offset
// of the one after it. Walk with off from 0 while off < len(payload). The
// payload must be whole, as ParseBatch checks; what is not panics. The message
// is a slice of the payload without room to append.
func NextInPayload(payload []byte, off int) (body []byte, next int) {
	start := off + SizeLen
	next = start + int(binary.BigEndian.Uint32(payload[off:]))
	return payload[start:next:next], next
}

// ParseBatch checks the batch at the start of b and returns its count, its
// payload, and what follows its last message in rest; both are slices of b.
//
// The count must be 1 to (maxBody-4)/5, which is how many messages of one byte
// a body of maxBody bytes holds, and is checked before any message. Every
// message must have 1 to maxMessage bytes. The length of b itself is not held
// against maxBody: the caller has checked the size that was announced.
//
// The error, an *Error with code BadBody for the count and BadMessage for a
// message, is what a client is told; where b ends too early its cause is
// ErrShort. Either all of the batch is returned or nothing.
func ParseBatch(b []byte, maxBody, maxMessage int) (count int, payload, rest []byte, err error) {
	n, err := ParseBatchCount(b, maxBody)
	if err != nil {
		return 0, nil, nil, err
	}
	b = b[SizeLen:]
	off := 0
	for i := range n {
		size, err := ParseSize(b[off:])
		if err != nil {
			return 0, nil, nil, NewError(BadMessage, fmt.Sprintf("MPUB failed to read message(%d) body size", i), err)
		}
		if size <= 0 {
			return 0, nil, nil, NewError(BadMessage, fmt.Sprintf("MPUB invalid message(%d) body size %d", i, size), nil)
		}
		if int(size) > maxMessage {
			return 0, nil, nil, NewError(BadMessage, fmt.Sprintf("MPUB message too big %d > %d", size, maxMessage), nil)
		}
		off += SizeLen
		if len(b)-off < int(size) {
			return 0, nil, nil, NewError(BadMessage, "MPUB failed to read message body", ErrShort)
		}
		off += int(size)
	}
	return n, b[:off:off], b[off:], nil
}

// ParseBatchCount checks and returns the count at the start of a batch, of
// which b may be only the beginning, as ParseBatch does.
func ParseBatchCount(b []byte, maxBody int) (int, error) {
	n, err := ParseSize(b)
	if err != nil {
		return 0, NewError(BadBody, "MPUB failed to read message count", err)
	}
	if n <= 0 || int(n) > (maxBody-SizeLen)/(SizeLen+1) {
		return 0, NewError(BadBody, fmt.Sprintf("MPUB invalid message count %d", n), nil)
	}
	return int(n), nil
}

// ReadToPayload reads a message of n bytes and appends it to the payload of a
// batch; memory and errors are as for ReadBody. With an error the payload is
// returned as it was.
func ReadToPayload(r io.Reader, payload []byte, n int) ([]byte, error) {
	whole := len(payload)
	payload = AppendSize(payload, n)
	begin := len(payload)
	for len(payload) < begin+n {
		start := len(payload)
		if room := begin + bodyRoom(r, start-begin, n); cap(payload) < room {
			grown := make([]byte, start, room) // no more: it may be kept for long
			copy(grown, payload)
			payload = grown
		}
		payload = payload[:min(begin+n, cap(payload))]
		_, err := io.ReadFull(r, payload[start:])
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return payload[:whole], err
		}
	}
	return payload, nil
}
