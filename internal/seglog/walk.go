package seglog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// chunk is how much is read at a time.
const chunk = 128 << 10

// walker reads the frames of one segment in order. It reads up to limit, which may
// grow between calls, and searches on behind what is damaged.
type walker struct {
	seg   *segment
	file  io.ReaderAt
	off   int64 // of the next frame
	limit int64
	seen  tally // up to off
	total tally // up to limit
	voids []void

	buf    []byte // what was read, from the offset at on
	at     int64
	memory *Memory // that buf is a part of
	reuse  bool    // payloads are valid until the next call only

	// hole is told of damage, if it is not nil.
	hole func(offset, size, messages int64)
	// torn is told of a header whose payload is not there, or not what was written, if it is not nil.
	torn func(f *frame, at int64)
}

// next returns the next frame and its offset; io.EOF at the limit.
func (w *walker) next() (frame, int64, error) {
	for {
		w.skipVoid()
		at := w.off
		if at >= w.limit {
			return frame{}, at, io.EOF
		}
		f, ok, err := w.parse(at)
		switch {
		case err != nil:
			return f, at, err
		case !ok:
			if err := w.resync(); err != nil {
				return f, at, err
			}
		case f.kind < Messages || f.kind > kindSeal:
			return f, at, fmt.Errorf("%w: %s has a frame of kind %d", ErrLaterForm, w.seg.path, f.kind)
		default:
			if f.payload, err = w.payload(&f); err != nil {
				return f, at, err
			}
			w.off, w.seen = at+f.size(), f.after(w.seg.first)
			if f.whole() {
				return f, at, nil
			}
			w.tear(&f, at)
			w.lost(at, w.off, f.after(w.seg.first).since(f.before(w.seg.first)))
		}
	}
}

func (w *walker) skipVoid() {
	for _, v := range w.voids {
		if v.from == w.off {
			w.off, w.seen = v.to, v.after
		}
	}
}

// parse reads the header at an offset; false if there is none, or it does not fit here.
func (w *walker) parse(at int64) (f frame, ok bool, err error) {
	if w.limit-at < headerSize {
		return f, false, nil
	}
	head, err := w.view(at, headerSize)
	if err != nil {
		return f, false, err
	}
	f, ok = parseHeader(head, seedAt(w.seg.salt, at))
	ok = ok && f.before(w.seg.first).next >= w.seen.next
	if ok && f.size() > w.limit-at {
		w.tear(&f, at)
		ok = false
	}
	return f, ok, nil
}

func (w *walker) payload(f *frame) ([]byte, error) {
	b, err := w.view(w.off, int(f.size()))
	if err != nil {
		return nil, err
	}
	return b[headerSize:len(b):len(b)], nil
}

// resync moves on to the next place where a frame begins, or to the limit.
func (w *walker) resync() error {
	from, t := w.off, w.total
	to, f, err := w.find(from + 1)
	if err != nil {
		return err
	}
	if to < w.limit {
		t = f.before(w.seg.first)
	}
	lost := t.since(w.seen)
	w.off, w.seen = to, t
	w.lost(from, to, lost)
	return nil
}

// find searches the first frame that begins at an offset or behind it; limit if there is none.
func (w *walker) find(from int64) (int64, frame, error) {
	for w.limit-from >= headerSize {
		b, err := w.view(from, int(min(chunk/4, w.limit-from)))
		if err != nil {
			return 0, frame{}, err
		}
		i := bytes.Index(b, magicBytes)
		if i < 0 {
			from += int64(len(b) - len(magicBytes) + 1)
			continue
		}
		from += int64(i)
		if f, ok, err := w.parse(from); ok || err != nil {
			return from, f, err
		}
		from++
	}
	return w.limit, frame{}, nil
}

func (w *walker) tear(f *frame, at int64) {
	if w.torn != nil {
		w.torn(f, at)
	}
}

func (w *walker) lost(from, to, messages int64) {
	if w.hole != nil {
		w.hole(from, to-from, messages)
	}
}

// letGo lets go of what was read.
func (w *walker) letGo() {
	w.memory.Release()
	w.buf, w.memory = nil, nil
}

// view returns n bytes at an offset. What a file that became shorter lacks are zeros.
func (w *walker) view(at int64, n int) ([]byte, error) {
	if i := at - w.at; i >= 0 && i+int64(n) <= int64(len(w.buf)) {
		return w.buf[i : i+int64(n)], nil
	}
	var rest []byte
	if i := at - w.at; i >= 0 && i < int64(len(w.buf)) {
		rest = w.buf[i:]
	}
	size := max(n, int(min(chunk, w.limit-at)))
	last := w.memory
	if !w.reuse || last == nil || len(last.bytes) < size {
		w.memory = newMemory(size)
		defer last.Release()
	}
	buf := w.memory.bytes[:size]
	have := copy(buf, rest)
	w.buf, w.at = nil, 0
	read, err := w.file.ReadAt(buf[have:], at+int64(have))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s at %d: %w", w.seg.path, at, err)
	}
	clear(buf[have+read:])
	w.buf, w.at = buf, at
	return buf[:n], nil
}
