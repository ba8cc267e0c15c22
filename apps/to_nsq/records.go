package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

const (
	readBufferSize = 256 << 10

	// maxKept is how large a buffer for long records is kept for the next one.
	maxKept = 1 << 20

	// maxRecord is far more than any nsqd takes as a message. Without a limit,
	// input in which the delimiter does not occur would be held in memory whole.
	maxRecord = 256 << 20
)

// records splits what it reads at a delimiter.
type records struct {
	br        *bufio.Reader
	delimiter byte
	long      []byte // a record that is longer than the buffer of br
	offset    int64  // of what comes next in the input
	limit     int    // of the length of a record
}

func newRecords(r io.Reader, delimiter byte) *records {
	return &records{br: bufio.NewReaderSize(r, readBufferSize), delimiter: delimiter, limit: maxRecord}
}

// ready reports whether next has a record without reading.
func (r *records) ready() bool {
	buffered, _ := r.br.Peek(r.br.Buffered()) // cannot fail: it is there
	return bytes.IndexByte(buffered, r.delimiter) >= 0
}

// next returns the next record, without its delimiter. It is valid until the
// next call and may be empty. The last record need not end with the delimiter;
// if that is not a newline, a newline in its place is dropped, as text ends
// with one whatever separates its parts. Of a record that cannot be read to its
// end only the error is returned.
func (r *records) next() ([]byte, error) {
	if cap(r.long) > maxKept {
		r.long = nil
	}
	r.long = r.long[:0]
	for {
		part, err := r.br.ReadSlice(r.delimiter)
		r.offset += int64(len(part))
		switch {
		case err == nil && len(r.long) == 0:
			return part[:len(part)-1], nil
		case err == nil:
			r.long = append(r.long, part[:len(part)-1]...)
			return r.long, nil
		case errors.Is(err, bufio.ErrBufferFull):
			if len(r.long)+len(part) > r.limit {
				return nil, fmt.Errorf("longer than %d bytes", r.limit)
			}
			r.long = append(r.long, part...)
		case errors.Is(err, io.EOF) && len(r.long)+len(part) > 0:
			return r.last(append(r.long, part...)), nil
		default:
			return nil, err
		}
	}
}

func (r *records) last(record []byte) []byte {
	if r.delimiter == '\n' {
		return record
	}
	return bytes.TrimSuffix(record, []byte{'\n'})
}

// interruptible returns a reader of what r holds that fails once ctx ends, even
// if reading r takes for ever.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	pr, pw := io.Pipe()
	context.AfterFunc(ctx, func() { pw.CloseWithError(ctx.Err()) })
	go func() { // ends after ctx with the next Read that returns, maybe never
		_, err := io.CopyBuffer(pw, struct{ io.Reader }{r}, make([]byte, readBufferSize)) // a WriterTo would choose its own buffer
		pw.CloseWithError(err)
	}()
	return pr
}
