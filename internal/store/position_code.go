package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2/roaring64"
)

// noted is what the index keeps of a channel.
type noted struct {
	name     string
	position position
	attempts []attempted // of numbers that are not finished, in their order
	entries  uint64      // deferred messages that the index has
	sum      uint64      // of these entries
}

// attempted is a run of messages that were given out so many times.
type attempted struct {
	first    uint64
	count    int
	attempts uint16
}

func sortAttempts(runs []attempted) {
	slices.SortFunc(runs, func(a, b attempted) int { return cmp.Compare(a.first, b.first) })
}

// notedForm is the first byte of what append makes.
const notedForm = 1

// maxSpan bounds how far above its floor a position may have marks: more is
// damage, and would take memory.
const maxSpan = 1 << 36

// append encodes n: a form, floor and name, and the marks and attempts as
// bitmaps of what is above the floor. A channel that finished all it was given
// takes about 10 bytes and its name.
func (n *noted) append(dst []byte) ([]byte, error) {
	dst = append(dst, notedForm)
	dst = binary.AppendUvarint(dst, n.position.floor)
	dst = appendBytes(dst, []byte(n.name))
	dst = binary.AppendUvarint(dst, n.entries)
	if n.entries > 0 {
		dst = binary.LittleEndian.AppendUint64(dst, n.sum)
	}
	dst, err := appendBitmap(dst, n.position.bitmap())
	byAttempts := n.byAttempts()
	dst = binary.AppendUvarint(dst, uint64(len(byAttempts)))
	for attempts, bitmap := range byAttempts {
		if err == nil {
			dst, err = appendBitmap(binary.AppendUvarint(dst, uint64(attempts)), bitmap)
		}
	}
	return dst, err
}

// bitmap returns the marks, less the floor; nil if there are none.
func (p *position) bitmap() *roaring64.Bitmap {
	from := p.nextMarked(p.floor, p.top())
	if from >= p.top() {
		return nil
	}
	b := roaring64.New()
	for top := p.top(); from < top; {
		to := p.nextClear(from, top)
		b.AddRange(from-p.floor, to-p.floor)
		from = p.nextMarked(to, top)
	}
	return b
}

func (n *noted) byAttempts() map[uint16]*roaring64.Bitmap {
	if len(n.attempts) == 0 {
		return nil
	}
	m := make(map[uint16]*roaring64.Bitmap)
	for _, a := range n.attempts {
		b := m[a.attempts]
		if b == nil {
			b = roaring64.New()
			m[a.attempts] = b
		}
		from := a.first - n.position.floor
		b.AddRange(from, from+uint64(a.count))
	}
	return m
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendBitmap(dst []byte, b *roaring64.Bitmap) ([]byte, error) {
	if b == nil {
		return append(dst, 0), nil
	}
	b.RunOptimize()
	data, err := b.ToBytes()
	return appendBytes(dst, data), err
}

// parseNoted is the inverse of append.
func parseNoted(b []byte) (*noted, error) {
	if len(b) == 0 || b[0] != notedForm {
		return nil, errors.New("a position in a form that is not known")
	}
	r := reader{b: b[1:]}
	n := &noted{}
	n.position.floor = r.uvarint()
	n.name = string(r.bytes())
	if n.entries = r.uvarint(); n.entries > 0 {
		n.sum = r.uint64()
	}
	r.bitmap(func(from, to uint64) {
		n.position.mark(n.position.floor+from, n.position.floor+to)
	})
	for count := r.uvarint(); count > 0 && r.err == nil; count-- {
		attempts := uint16(r.uvarint())
		r.bitmap(func(from, to uint64) {
			n.attempts = append(n.attempts, attempted{n.position.floor + from, int(to - from), attempts})
		})
	}
	if r.err == nil && len(r.b) > 0 {
		r.err = fmt.Errorf("%d bytes after a position", len(r.b))
	}
	sortAttempts(n.attempts)
	return n, r.err
}

// reader parses what may be damaged: with the first mistake all that follows
// is empty.
type reader struct {
	b   []byte
	err error
}

var errShort = errors.New("it ends too early")

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("a damaged position: %w", err)
	}
	r.b = nil
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail(errShort)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) uint64() uint64 {
	if len(r.b) < 8 {
		r.fail(errShort)
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail(errShort)
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

// bitmap calls run with every run of numbers of a bitmap.
func (r *reader) bitmap(run func(from, to uint64)) {
	data := r.bytes()
	if len(data) == 0 {
		return
	}
	if len(data) < 8 || binary.LittleEndian.Uint64(data) > maxSpan>>32 { // so many bitmaps of 32 bits
		r.fail(errors.New("it is too large"))
		return
	}
	b := roaring64.New()
	if _, err := b.ReadFrom(bytes.NewReader(data)); err != nil {
		r.fail(err)
		return
	}
	if err := b.Validate(); err != nil {
		r.fail(err)
		return
	}
	if !b.IsEmpty() && b.Maximum() >= maxSpan {
		r.fail(fmt.Errorf("it spans %d numbers", b.Maximum()))
		return
	}
	runs(b, run)
}

// runs calls run with every run of numbers of b.
func runs(b *roaring64.Bitmap, run func(from, to uint64)) {
	it := b.Iterator()
	for it.HasNext() {
		from := it.Next()
		to := from + 1
		for it.HasNext() && it.PeekNext() == to {
			it.Next()
			to++
		}
		run(from, to)
	}
}
