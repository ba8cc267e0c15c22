package main

import (
	"bytes"
	"io"
)

// cutTail removes what stands behind the last newline of a file: only a crash, or a
// disk that became full, leaves such a thing. It returns how many bytes these were.
func cutTail(f file) (cut int64, err error) {
	size, err := f.Size()
	if err != nil || size == 0 {
		return 0, err
	}
	whole, err := endOfLastLine(f, size)
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
