package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
)

// cutTail removes what stands behind the last newline of a file: only a crash, or a
// disk that became full, leaves such a thing. It returns how many bytes these were.
func cutTail(f file) (cut int64, err error) { return cutBehind(f, endOfLastLine) }

// cutMember is cutTail for a file of gzip members. All of it is read.
func cutMember(f file) (cut int64, err error) { return cutBehind(f, endOfLastMember) }

func cutBehind(f file, end func(r io.ReaderAt, size int64) (int64, error)) (cut int64, err error) {
	size, err := f.Size()
	if err != nil || size == 0 {
		return 0, err
	}
	whole, err := end(f, size)
	if err != nil || whole == size {
		return 0, err
	}
	return size - whole, f.Truncate(whole)
}

// endOfLastLine returns the offset behind the last newline, 0 if there is none.
func endOfLastLine(r io.ReaderAt, size int64) (int64, error) {
	block := make([]byte, 1) // most often the last byte is one
	for end := size; end > 0; block = make([]byte, 64<<10) {
		start := max(0, end-int64(len(block)))
		b := block[:end-start]
		if _, err := r.ReadAt(b, start); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(b, '\n'); i >= 0 {
			return start + int64(i) + 1, nil
		}
		end = start
	}
	return 0, nil
}

// endOfLastMember returns the offset behind the last gzip member, but for one that
// only lacks its end. One that is damaged otherwise may be followed by more: the
// offset is that of the end then.
func endOfLastMember(r io.ReaderAt, size int64) (end int64, err error) {
	in := &countingReader{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 64<<10)}
	var z gzip.Reader
	for end < size {
		if err = z.Reset(in); err == nil {
			z.Multistream(false)
			_, err = io.Copy(io.Discard, &z)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return end, nil
		}
		if err != nil {
			return size, nil
		}
		end = in.n
	}
	return end, nil
}

// countingReader counts what is read. As it can read single bytes, gzip takes none
// that are behind the member.
type countingReader struct {
	r *bufio.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *countingReader) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		c.n++
	}
	return b, err
}
