package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// FrameType says what the data of a frame is.
type FrameType int32

// The three kinds of frame a server sends.
const (
	FrameResponse FrameType = 0
	FrameError    FrameType = 1
	FrameMessage  FrameType = 2
)

// FrameHeaderLen is the size in bytes of what precedes a frame's data: int32
// size (of type and data together), int32 type.
const FrameHeaderLen = 8

// ErrShort says that the input ends before the thing that was to be parsed.
var ErrShort = errors.New("wire: input too short")

// AppendFrame appends one frame.
func AppendFrame[T ~string | ~[]byte](dst []byte, t FrameType, data T) []byte {
	dst = appendFrameHeader(dst, t, len(data))
	return append(dst, data...)
}

func appendFrameHeader(dst []byte, t FrameType, dataLen int) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(dataLen+4))
	return binary.BigEndian.AppendUint32(dst, uint32(t))
}

// AppendError appends err as an error frame.
func AppendError(dst []byte, err *Error) []byte {
	if err.Desc == "" {
		return AppendFrame(dst, FrameError, err.Code)
	}
	dst = appendFrameHeader(dst, FrameError, len(err.Code)+1+len(err.Desc))
	dst = append(dst, err.Code...)
	dst = append(dst, ' ')
	return append(dst, err.Desc...)
}

// ParseFrame parses the frame at the start of b and returns what follows it in
// rest; data and rest are slices of b. Any type is returned as it is. A size
// below 4 is an error, and so is data of more than max bytes as soon as the
// header says so; max <= 0 sets no limit. ErrShort means that more input is
// needed. With an error rest is b.
func ParseFrame(b []byte, max int) (t FrameType, data, rest []byte, err error) {
	if len(b) < FrameHeaderLen {
		return 0, nil, b, ErrShort
	}
	n, t, err := parseFrameHeader(b, max)
	if err != nil {
		return 0, nil, b, err
	}
	if len(b)-FrameHeaderLen < n {
		return 0, nil, b, ErrShort
	}
	return t, b[FrameHeaderLen : FrameHeaderLen+n], b[FrameHeaderLen+n:], nil
}

// ReadFrame reads one frame from r. Its data is a slice of buf where buf is
// large enough, else newly allocated; memory is taken as the bytes arrive, not
// because the header announces them. With an error data is of no use. max is
// as for ParseFrame. A clean end between two frames is io.EOF, any other is
// io.ErrUnexpectedEOF.
func ReadFrame(r io.Reader, buf []byte, max int) (t FrameType, data []byte, err error) {
	if cap(buf) < FrameHeaderLen {
		buf = make([]byte, 512)
	}
	head := buf[:FrameHeaderLen] // what is read next may overwrite it
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, nil, err
	}
	n, t, err := parseFrameHeader(head, max)
	if err != nil {
		return 0, nil, err
	}
	data, err = ReadBody(r, buf, n)
	return t, data, err
}

// ReadFrameHeader reads what precedes the data of a frame: its type, and the
// data's length. Errors are those of ReadFrame.
func ReadFrameHeader(r peeker, max int) (t FrameType, dataLen int, err error) {
	b, err := r.Peek(FrameHeaderLen)
	if err != nil {
		if err == io.EOF && len(b) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return 0, 0, err
	}
	dataLen, t, err = parseFrameHeader(b, max)
	r.Discard(FrameHeaderLen) // cannot fail: the bytes are buffered
	return t, dataLen, err
}

func parseFrameHeader(b []byte, max int) (dataLen int, t FrameType, err error) {
	size := int32(binary.BigEndian.Uint32(b))
	if size < 4 {
		return 0, 0, fmt.Errorf("wire: frame size %d is less than the 4 bytes of its type", size)
	}
	n := int(size) - 4
	if max > 0 && n > max {
		return 0, 0, fmt.Errorf("wire: frame of %d bytes exceeds the limit of %d", n, max)
	}
	return n, FrameType(binary.BigEndian.Uint32(b[4:])), nil
}
