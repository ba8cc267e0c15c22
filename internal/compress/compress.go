// Package compress has the compressed layers of a connection: snappy's framing
// format and raw deflate (RFC 1951).
//
// A writer keeps nothing between two writes, neither data nor memory: an
// encoder of deflate takes 0.8 to 1.4 MB, so that they are shared by all
// connections and each write starts with an empty history. A reader keeps what
// its format needs: deflate's window, 42 KB, or the largest block of snappy that
// has come, at most 70 KB, and 2.5 KB before that.
package compress

import (
	"bufio"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/s2"
)

// A Writer compresses to another one. What is given to one Write has been
// written when it returns. It is not safe for concurrent use.
type Writer struct {
	w      io.Writer
	encode func(dst, p []byte) ([]byte, error) // appends p, which is not longer than piece, in compressed form
	piece  int
}

// deflatePiece bounds the memory of a large write.
const deflatePiece = 256 << 10

// NewDeflateWriter returns a writer of raw deflate at a level of 1 to 9. Every
// write ends on a byte, with a sync marker.
func NewDeflateWriter(w io.Writer, level int) *Writer {
	return &Writer{w, func(dst, p []byte) ([]byte, error) { return appendDeflate(dst, p, level) }, deflatePiece}
}

// NewSnappyWriter returns a writer of snappy's framing format.
func NewSnappyWriter(w io.Writer) *Writer {
	started := false
	encode := func(dst, p []byte) ([]byte, error) {
		if !started {
			started = true
			dst = append(dst, snappyStart...)
		}
		return appendSnappy(dst, p), nil
	}
	return &Writer{w, encode, snappyPiece}
}

// Write compresses p and writes it.
func (w *Writer) Write(p []byte) (int, error) {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	written := 0
	for written < len(p) {
		piece := p[written:min(written+w.piece, len(p))]
		compressed, err := w.encode((*buf)[:0], piece)
		if err != nil {
			return written, err
		}
		*buf = compressed
		if _, err := w.w.Write(compressed); err != nil {
			return written, err
		}
		written += len(piece)
	}
	return written, nil
}

// buffers are what compressed pieces wait in for their write.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// An encoder is an encoder of deflate that writes to memory.
type encoder struct {
	deflate *flate.Writer
	out     []byte
}

func (e *encoder) Write(p []byte) (int, error) {
	e.out = append(e.out, p...)
	return len(p), nil
}

// encoders are the idle ones, by level.
var encoders [flate.BestCompression + 1]sync.Pool // of *encoder

func appendDeflate(dst, p []byte, level int) (_ []byte, err error) {
	e, _ := encoders[level].Get().(*encoder)
	if e == nil {
		e = new(encoder)
		if e.deflate, err = flate.NewWriter(e, level); err != nil {
			return nil, err
		}
	}
	e.out = dst
	e.deflate.Reset(e)
	if _, err := e.deflate.Write(p); err != nil {
		return nil, err
	}
	if err := e.deflate.Flush(); err != nil {
		return nil, err
	}
	dst, e.out = e.out, nil
	encoders[level].Put(e)
	return dst, nil
}

// NewDeflateReader returns a reader of raw deflate. It returns what a sync
// marker completes without waiting for more.
func NewDeflateReader(r io.Reader) io.Reader {
	return flate.NewReader(bufio.NewReader(r))
}

// NewSnappyReader returns a reader of snappy's framing format.
func NewSnappyReader(r io.Reader) io.Reader {
	return s2.NewReader(r, s2.ReaderMaxBlockSize(snappyPiece), s2.ReaderAllocBlock(1<<10))
}
