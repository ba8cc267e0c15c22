package wire

import (
	"encoding/binary"
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
	h := NewMessageFrameHeader(timestamp, attempts)
	return h.AppendFrame(dst, id, body)
}

// A MessageFrameHeader encodes frames of messages that have time and attempts in
// common, as those of one batch do.
type MessageFrameHeader [FrameHeaderLen + MessageHeaderLen]byte

// NewMessageFrameHeader returns the header for messages of that time, in
// nanoseconds since the Unix epoch, and so many deliveries, this one included.
func NewMessageFrameHeader(timestamp int64, attempts uint16) (h MessageFrameHeader) {
	binary.BigEndian.PutUint32(h[SizeLen:], uint32(FrameMessage))
	binary.BigEndian.PutUint64(h[FrameHeaderLen:], uint64(timestamp))
	binary.BigEndian.PutUint16(h[FrameHeaderLen+8:], attempts)
	return h
}

// AppendFrame appends the frame of a message.
func (h *MessageFrameHeader) AppendFrame(dst []byte, id uint64, body []byte) []byte {
	binary.BigEndian.PutUint32(h[:], uint32(len(h)-SizeLen+len(body)))
	putID(h[len(h)-MessageIDLen:], id)
	dst = append(dst, h[:]...)
	return append(dst, body...)
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
	dst = append(dst, make([]byte, MessageIDLen)...)
	putID(dst[len(dst)-MessageIDLen:], id)
	return dst
}

// putID writes the 16 digits of id to dst, eight at a time: an id is encoded for
// every delivery and decoded for every FIN.
func putID(dst []byte, id uint64) {
	binary.BigEndian.PutUint64(dst, hexOfNibbles(spreadNibbles(id>>32)))
	binary.BigEndian.PutUint64(dst[8:], hexOfNibbles(spreadNibbles(id&0xFFFFFFFF)))
}

// ParseID returns the number that 16 lower-case hex digits stand for, and
// false if that is not what b is.
func ParseID(b []byte) (id uint64, ok bool) {
	if len(b) != MessageIDLen {
		return 0, false
	}
	high, highOK := nibblesOfHex(binary.BigEndian.Uint64(b))
	low, lowOK := nibblesOfHex(binary.BigEndian.Uint64(b[8:]))
	if !highOK || !lowOK {
		return 0, false
	}
	return joinNibbles(high)<<32 | joinNibbles(low), true
}

// What follows works on eight bytes in one number, the first byte highest.
// everyByte times a value below 256 is that value in each of them.
const everyByte = 0x0101010101010101

// spreadNibbles returns the eight lowest nibbles of v in a byte each.
func spreadNibbles(v uint64) uint64 {
	v = (v | v<<16) & 0x0000FFFF0000FFFF
	v = (v | v<<8) & 0x00FF00FF00FF00FF
	return (v | v<<4) & (everyByte * 0x0F)
}

// joinNibbles is the reverse of spreadNibbles.
func joinNibbles(v uint64) uint64 {
	v = (v | v>>4) & 0x00FF00FF00FF00FF
	v = (v | v>>8) & 0x0000FFFF0000FFFF
	return (v | v>>16) & 0xFFFFFFFF
}

// hexOfNibbles returns the lower-case digit of each byte of v, all below 16.
func hexOfNibbles(v uint64) uint64 {
	letters := (v + everyByte*(0x80-10)) >> 7 & everyByte // 1 where the digit is a letter
	return v + everyByte*'0' + letters*('a'-10-'0')
}

// nibblesOfHex is the reverse of hexOfNibbles, and false where v holds anything
// but lower-case digits.
func nibblesOfHex(v uint64) (nibbles uint64, ok bool) {
	letters := v >> 6 & everyByte // of what digits there are, those have bit 6
	nibbles = v&(everyByte*0x0F) + letters*9
	return nibbles, nibbles&(everyByte*0xF0) == 0 && hexOfNibbles(nibbles) == v
}

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
