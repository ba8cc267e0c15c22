package seglog

import (
	"bytes"
	"strings"
	"testing"
)

// What parses encodes back to the bytes it came from; nothing panics.
func FuzzParseHeader(f *testing.F) {
	var b [headerSize]byte
	one := frame{kind: Messages, flags: flagMore, first: 7, count: 3, length: 40, id: 9, time: 1, due: 2, channel: 4, moved: 5}
	one.putHeader(b[:], 11)
	f.Add(b[:], uint32(11))
	f.Fuzz(func(t *testing.T, data []byte, seed uint32) {
		if len(data) < headerSize {
			return
		}
		h, ok := parseHeader(data, seed)
		var again [headerSize]byte
		h.putHeader(again[:], seed)
		if ok && !bytes.Equal(again[:], data[:headerSize]) {
			t.Fatalf("%x encodes as %x", data[:headerSize], again)
		}
		if h, ok := parseHeader(again[:], seed); !ok {
			t.Fatalf("%v does not parse back", h)
		}
	})
}

// Whatever a file holds, it is read to its end, and no more is found than fits.
func FuzzWalk(f *testing.F) {
	seg := &segment{id: 1, salt: 5, first: 1, path: "file"}
	p, err := new(Log).newPending([]*Record{messages("a", "b"), moved(9, "c")})
	if err != nil {
		f.Fatal(err)
	}
	whole, _ := p.encode(nil, seg, 0, tally{next: 1}, false)
	f.Add(whole, uint16(0), byte(0))
	f.Add(append(whole, whole...), uint16(70), byte(1))
	f.Fuzz(func(t *testing.T, data []byte, at uint16, flip byte) {
		if int(at) < len(data) {
			data[at] ^= flip
		}
		w := walker{seg: seg, file: bytes.NewReader(data), limit: int64(len(data)), seen: tally{next: 1}}
		covered := int64(0)
		w.hole = func(offset, size, messages int64) {
			covered += size
			if messages < 0 {
				t.Errorf("%d messages lost", messages)
			}
		}
		for {
			f, _, err := w.next()
			if err != nil {
				break
			}
			covered += f.size()
		}
		if w.off == w.limit && covered != w.limit {
			t.Errorf("%d of %d bytes are accounted for", covered, w.limit)
		}
	})
}

func TestNameOfASegmentReadsBack(t *testing.T) {
	for _, after := range []uint64{1<<63 | 5, 1<<63 | 2, 0} {
		want := segment{id: 0xab, first: 1<<63 | 5, salt: 0x1234, after: after}
		name := want.fileName()
		got, ok := parseName(name)
		if !ok || got.id != want.id || got.first != want.first || got.salt != want.salt || got.after != want.after {
			t.Errorf("%s reads as %x, %x, %x, %x, %v", name, got.id, got.first, got.salt, got.after, ok)
		}
		for _, bad := range []string{"", ".log", "x-y-z.log", "1-2-3.log", name + ".log", "A" + name[1:], name[:len(name)-4], "1" + name} {
			if _, ok := parseName(bad); ok {
				t.Errorf("%q passed for a segment", bad)
			}
		}
	}
	behind := segment{first: 5, after: 5}
	if _, ok := parseName(strings.TrimSuffix(behind.fileName(), suffix) + "-0000000000000006" + suffix); ok {
		t.Error("more was acknowledged than was given")
	}
}
