package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// A response of nsqlookupd, of which every command gets one: int32 size, then
// as many bytes. Unlike a frame it has no type; an error is known by its text,
// which ParseError takes apart.

// AppendResponse appends one response.
func AppendResponse[T ~string | ~[]byte](dst []byte, data T) []byte {
	return appendSized(dst, data)
}

// ReadResponse reads one response from r. Its data is a slice of buf where buf
// is large enough, else newly allocated; memory is taken as the bytes arrive,
// not because the size announces them. With an error data is of no use. A
// negative size is an error, and so are more than max bytes before any of them
// is read; max <= 0 sets no limit. A clean end between two responses is
// io.EOF, any other is io.ErrUnexpectedEOF.
func ReadResponse(r io.Reader, buf []byte, max int) (data []byte, err error) {
	if cap(buf) < SizeLen {
		buf = make([]byte, 512)
	}
	head := buf[:SizeLen] // what is read next may overwrite it
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	size := int32(binary.BigEndian.Uint32(head))
	if size < 0 {
		return nil, fmt.Errorf("wire: response size %d is negative", size)
	}
	if max > 0 && int(size) > max {
		return nil, fmt.Errorf("wire: response of %d bytes exceeds the limit of %d", size, max)
	}
	return ReadBody(r, buf, int(size))
}
