package diskq

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"
)

// sizeLen is the length of a record's length.
const sizeLen = 4

// A view reads a data file and judges what it finds. It ends at limit, which is
// a record boundary unless the file is damaged or torn.
type view struct {
	f     file
	limit int64
	shape *shape

	window *[windowSize]byte // nil until something is read
	off    int64             // what the window holds: filled bytes from off on
	filled int

	long *[]byte // nil until a record is read that the window does not hold whole

	next       int64 // the offset of a head that was judged last, and found good
	nextLength int64
}

const windowSize = 64 << 10

// windows spares a queue that is read now and then a window of its own.
var windows = sync.Pool{New: func() any { return new([windowSize]byte) }}

// longBuffers are for records that are longer than a window, or cross its end.
var longBuffers = sync.Pool{New: func() any { return new([]byte) }}

// A shape tells records from other bytes.
type shape struct {
	header    int64 // every record is at least that long
	plausible func(header []byte) bool
}

// use turns the view to another file, or another limit of the same.
func (v *view) use(f file, limit int64) {
	if v.f != f {
		v.forget()
	}
	if limit < v.limit {
		v.next = -1
	}
	v.f, v.limit = f, limit
}

// forget drops what was read.
func (v *view) forget() { v.filled, v.next = 0, -1 }

// release gives the window back. The view can be used again.
func (v *view) release() {
	if v.window != nil {
		windows.Put(v.window)
		v.window = nil
	}
	v.f = nil
	v.forget()
}

// releaseLong gives the memory of a long record back.
func (v *view) releaseLong() {
	if v.long != nil {
		longBuffers.Put(v.long)
		v.long = nil
	}
}

// at returns n bytes from off on, fewer only where the limit is. They are valid
// until the next call.
func (v *view) at(off int64, n int) ([]byte, error) {
	n = int(max(0, min(int64(n), v.limit-off)))
	if i := off - v.off; i >= 0 && i+int64(n) <= int64(v.filled) {
		return v.window[i : i+int64(n)], nil
	}
	if v.window == nil {
		v.window = windows.Get().(*[windowSize]byte)
	}
	got, err := v.f.ReadAt(v.window[:min(windowSize, v.limit-off)], off)
	v.off, v.filled = off, got
	if errors.Is(err, io.EOF) { // the file is shorter than it was: what is missing is damage
		v.limit, v.next = off+int64(got), -1
		err = nil
	}
	if err != nil {
		v.forget()
		return nil, err
	}
	return v.window[:min(n, got)], nil
}

// record returns the record at off, which check has found good. It is valid until
// the next call. It reports false if the file has become shorter than that.
func (v *view) record(off, length int64) (rec []byte, ok bool, err error) {
	off += sizeLen
	if i := off - v.off; i >= 0 && i+length <= int64(v.filled) {
		return v.window[i : i+length : i+length], true, nil
	}
	if v.long == nil {
		v.long = longBuffers.Get().(*[]byte)
	}
	*v.long = slices.Grow((*v.long)[:0], int(length))
	rec = (*v.long)[:length]
	n, err := v.f.ReadAt(rec, off)
	switch {
	case int64(n) == length:
		return rec, true, nil
	case errors.Is(err, io.EOF):
		v.limit, v.next = off+int64(n), -1
		return nil, false, nil
	default:
		return nil, false, err
	}
}

// head returns the length of the record at off, and whether that and its header
// can be: the record ends within the view and begins as records do.
func (v *view) head(off int64) (length int64, ok bool, err error) {
	if off == v.next {
		return v.nextLength, true, nil
	}
	b, err := v.at(off, sizeLen+int(v.shape.header))
	if err != nil || len(b) < sizeLen+int(v.shape.header) {
		return 0, false, err
	}
	length = recordLength(b)
	if length < v.shape.header || length > v.limit-off-sizeLen || !v.shape.plausible(b[sizeLen:]) {
		return length, false, nil
	}
	v.next, v.nextLength = off, length
	return length, true, nil
}

func recordLength(b []byte) int64 { return int64(int32(binary.BigEndian.Uint32(b))) }

// check reports whether a whole record lies at off, as far as the format lets
// one see it, and its length. Its head must be good, and something that tells of
// a record boundary must follow it: then its length is right, too.
func (v *view) check(off int64) (length int64, ok bool, err error) {
	length, ok, err = v.head(off)
	if err != nil || !ok {
		return length, false, err
	}
	end := off + sizeLen + length
	if end == v.limit {
		return length, true, nil
	}
	_, ok, err = v.head(end)
	if err == nil && !ok {
		ok, err = v.boundary(end)
	}
	return length, ok, err
}

// boundary reports whether a record seems to end at off although no good one
// follows: it is there that the damage begins. Where that cannot be told the
// answer is no.
func (v *view) boundary(off int64) (bool, error) {
	before, err := v.at(off-1, 1)
	if err != nil || len(before) == 0 {
		return false, err
	}
	wasZero := before[0] == 0
	b, err := v.at(off, sizeLen+int(v.shape.header))
	if err != nil || len(b) == 0 {
		return false, err
	}
	whole := len(b) == sizeLen+int(v.shape.header)
	if len(b) >= sizeLen && allZero(b[:sizeLen]) {
		// A range of zeros. If it began before off, the record is part of it.
		return !wasZero && (allZero(b) || whole && v.shape.plausible(b[sizeLen:])), nil
	}
	if !whole {
		return v.torn(b), nil
	}
	if v.shape.plausible(b[sizeLen:]) {
		return true, nil // only its length is damaged, or it is cut short
	}
	return v.chain(off)
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// A torn record is not believed to have been longer than that, so that letters
// are not taken for a length. Whole records are of any length.
const maxTorn = 1 << 28

// torn reports whether so few bytes can be how a record begins.
func (v *view) torn(b []byte) bool {
	var size [sizeLen]byte
	copy(size[:], b)
	length := recordLength(size[:])
	return length >= 0 && length <= maxTorn && (len(b) < sizeLen || length >= v.shape.header)
}

// chain reports whether lengths lead from off to a good record or the end: only
// headers are damaged.
func (v *view) chain(off int64) (bool, error) {
	for range 4 {
		b, err := v.at(off, sizeLen)
		if err != nil || len(b) < sizeLen {
			return false, err
		}
		length := recordLength(b)
		if length < v.shape.header || length > v.limit-off-sizeLen {
			return false, nil
		}
		off += sizeLen + length
		if off == v.limit {
			return true, nil
		}
		if _, ok, err := v.head(off); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// search returns the offset of the first whole record behind off, or the limit.
func (v *view) search(off int64) (int64, error) {
	for off++; off+sizeLen+v.shape.header <= v.limit; off++ {
		_, ok, err := v.head(off)
		if err == nil && ok {
			_, ok, err = v.check(off)
		}
		if err != nil {
			return 0, err
		}
		if ok {
			return off, nil
		}
	}
	return v.limit, nil
}

// A tally is what lies in a data file from some offset on.
type tally struct {
	records int64
	end     int64 // behind the last whole record
	damaged bool  // something before end was skipped
}

// count walks the records from off to the limit. If it is to stop at damage,
// end is where that begins.
func (v *view) count(off int64, stopAtDamage bool) (tally, error) {
	t := tally{end: off}
	for off < v.limit {
		length, ok, err := v.check(off)
		if err != nil {
			return t, err
		}
		if ok {
			off += sizeLen + length
			t.records++
			t.end = off
			continue
		}
		if stopAtDamage {
			t.damaged = true
			return t, nil
		}
		if off, err = v.search(off); err != nil {
			return t, err
		}
		if off < v.limit {
			t.damaged = true
		}
	}
	return t, nil
}
