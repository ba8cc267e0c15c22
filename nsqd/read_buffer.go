package nsqd

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"github.com/seed893f581e/nsq/internal/wire"
)

// The size of a read buffer: small for a connection that says little, and at
// most one of the longest command line.
const (
	minReadBuffer  = 256
	maxReadBuffer  = wire.MaxLineLen
	readBufferStep = 4 // how many times larger the next size is
	fewReads       = 8 // after as many small reads in a row a buffer becomes smaller
)

// A readBuffer buffers what a client sends. It begins small, grows when a read
// fills it, and is small again when traffic is, so that a connection which
// stalls holds little. What it returns is valid until the next call.
type readBuffer struct {
	src  io.Reader
	buf  []byte
	r, w int   // what is buffered is buf[r:w]
	err  error // that src returned along with the last bytes
	size int   // that buf should have
	few  int   // reads in a row that were small for the buffer
	most int   // that one of those brought
}

func newReadBuffer(src io.Reader) *readBuffer {
	return &readBuffer{src: src, size: minReadBuffer}
}

var errLineTooLong = wire.NewError(wire.Invalid, fmt.Sprintf("command line of more than %d bytes", maxReadBuffer), nil)

// Buffered returns how many bytes can be had without a read.
func (b *readBuffer) Buffered() int { return b.w - b.r }

// ReadLine returns the bytes up to and with the next LF. A line longer than
// maxReadBuffer is errLineTooLong; one that the input cuts is lost with
// the error of the read.
func (b *readBuffer) ReadLine() ([]byte, error) {
	for seen := 0; ; {
		if i := bytes.IndexByte(b.buf[b.r+seen:b.w], '\n'); i >= 0 {
			line := b.buf[b.r : b.r+seen+i+1]
			b.r += len(line)
			return line, nil
		}
		if seen = b.Buffered(); seen >= maxReadBuffer {
			return nil, errLineTooLong
		}
		if err := b.fill(); err != nil {
			return nil, err
		}
	}
}

// Peek returns the next n bytes, at most maxReadBuffer, without taking them.
// With an error it returns what there is.
func (b *readBuffer) Peek(n int) ([]byte, error) {
	if n > maxReadBuffer {
		return b.buf[b.r:b.w], bufio.ErrBufferFull
	}
	for b.Buffered() < n {
		if err := b.fill(); err != nil {
			return b.buf[b.r:b.w], err
		}
	}
	return b.buf[b.r : b.r+n], nil
}

// Discard takes n bytes, which must be buffered.
func (b *readBuffer) Discard(n int) (int, error) {
	b.r += n
	return n, nil
}

// takeAll takes what is buffered; it is the caller's.
func (b *readBuffer) takeAll() []byte {
	held := bytes.Clone(b.buf[b.r:b.w])
	b.r = b.w
	return held
}

// Read returns what is buffered, or else reads once: past the buffer, where p
// is the larger of the two.
func (b *readBuffer) Read(p []byte) (int, error) {
	if b.Buffered() == 0 {
		if b.err == nil && len(p) >= len(b.buf) {
			return b.src.Read(p)
		}
		if err := b.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, b.buf[b.r:b.w])
	b.r += n
	return n, nil
}

// fill reads once behind what is buffered, which must be less than
// maxReadBuffer. Without an error at least one byte came.
func (b *readBuffer) fill() error {
	if err := b.err; err != nil {
		b.err = nil
		return err
	}
	b.makeRoom()
	for range 100 {
		n, err := b.src.Read(b.buf[b.w:])
		b.w += n
		if n > 0 {
			b.err = err
			b.adapt(n)
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// makeRoom moves what is buffered to the front, of a buffer of the right size.
func (b *readBuffer) makeRoom() {
	held := b.buf[b.r:b.w]
	for len(held) >= b.size {
		b.size *= readBufferStep
	}
	if len(b.buf) != b.size {
		b.buf = make([]byte, b.size)
	}
	b.w = copy(b.buf, held)
	b.r = 0
}

// adapt chooses the size for the next read by what this one brought.
func (b *readBuffer) adapt(n int) {
	if b.w == len(b.buf) {
		b.size = min(b.size*readBufferStep, maxReadBuffer)
	}
	if !b.isSmall(n) {
		b.few, b.most = 0, 0
		return
	}
	b.few, b.most = b.few+1, max(b.most, n)
	if b.few < fewReads {
		return
	}
	for b.isSmall(b.most) {
		b.size /= readBufferStep
	}
	b.few, b.most = 0, 0
}

// isSmall reports whether a read of n bytes leaves half of the next smaller
// buffer free.
func (b *readBuffer) isSmall(n int) bool {
	return b.size > minReadBuffer && n <= b.size/readBufferStep/2
}
