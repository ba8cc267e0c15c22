package wire

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// MessageIDLen is the length of a message id on the wire: the lower-case hex
// digits of a 64-bit number.
const MessageIDLen = 16

// MessageHeaderLen is the size in bytes of what precedes a message's body:
// int64 timestamp in nanoseconds since the Unix epoch, uint16 attempts, id.
const MessageHeaderLen = 8 + 2 + MessageIDLen

// Message is the content of a message frame, and the form in which a message
// lies in a disk queue. Body is a slice of the parsed input.
type Message struct {
	Timestamp int64  // nanoseconds since the Unix epoch, when the server accepted it
	Attempts  uint16 // deliveries so far, this one included
	ID        [MessageIDLen]byte
	Body      []byte
}

// AppendMessage appends header and body, without a frame around them.
func AppendMessage(dst []byte, timestamp int64, attempts uint16, id uint64, body []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(timestamp))
	dst = binary.BigEndian.AppendUint16(dst, attempts)
	dst = AppendID(dst, id)
	return append(dst, body...)
}

// AppendMessageFrame appends a message in its frame.
func AppendMessageFrame(dst []byte, timestamp int64, attempts uint16, id uint64, body []byte) []byte {
	dst = appendFrameHeader(dst, FrameMessage, MessageHeaderLen+len(body))
	return AppendMessage(dst, timestamp, attempts, id, body)
}

// ParseMessage parses header and body. The body may be empty and the id any 16
// bytes: ParseID tells whether it is one of ours.
func ParseMessage(b []byte) (Message, error) {
	if len(b) < MessageHeaderLen {
		return Message{}, fmt.Errorf("wire: message of %d bytes is shorter than its header of %d", len(b), MessageHeaderLen)
	}
	return Message{
		Timestamp: int64(binary.BigEndian.Uint64(b)),
		Attempts:  binary.BigEndian.Uint16(b[8:]),
		ID:        [MessageIDLen]byte(b[10:]),
		Body:      b[MessageHeaderLen:],
	}, nil
}

// AppendID appends the 16 digits of id.
func AppendID(dst []byte, id uint64) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], id)
	return hex.AppendEncode(dst, b[:])
}

// ParseID returns the number that 16 lower-case hex digits stand for, and
// false if that is not what b is.
func ParseID(b []byte) (id uint64, ok bool) {
	if len(b) != MessageIDLen {
		return 0, false
	}
	for _, c := range b {
		d := hexDigits[c]
		if d == 0 {
			return 0, false
		}
		id = id<<4 | uint64(d-1)
	}
	return id, true
}

// hexDigits holds the value of every lower-case hex digit plus one.
var hexDigits = func() (v [256]uint8) {
	for i, c := range []byte("0123456789abcdef") {
		v[c] = uint8(i + 1)
	}
	return v
}()

// AppendDeferred appends one record of a file of deferred messages: int32 size
// of what follows, int64 due time in nanoseconds, message.
func AppendDeferred(dst []byte, due, timestamp int64, attempts uint16, id uint64, body []byte) []byte {
	dst = AppendSize(dst, 8+MessageHeaderLen+len(body))
	dst = binary.BigEndian.AppendUint64(dst, uint64(due))
	return AppendMessage(dst, timestamp, attempts, id, body)
}

// ParseDeferred parses the record at the start of b: its due time, the message
// as ParseMessage takes it, and what follows the record.
func ParseDeferred(b []byte) (due int64, message, rest []byte, err error) {
	size, err := ParseSize(b)
	if err != nil {
		return 0, nil, b, err
	}
	if size < 8+MessageHeaderLen {
		return 0, nil, b, fmt.Errorf("wire: deferred record of %d bytes is shorter than its header of %d", size, 8+MessageHeaderLen)
	}
	end := SizeLen + int64(size)
	if int64(len(b)) < end {
		return 0, nil, b, ErrShort
	}
	due = int64(binary.BigEndian.Uint64(b[SizeLen:]))
	return due, b[SizeLen+8 : end : end], b[end:], nil
}
