package main

import (
	"bytes"
	"slices"
	"testing"
)

func TestBodies(t *testing.T) {
	b := newBodies(1)
	seen := make(map[string]bool)
	var sizes []int
	for n := range uint64(50_000) {
		body := b.append(nil, 2, n)
		if got, ok := b.check(2, body); got != n || !ok {
			t.Fatalf("the body of %d is taken for %d, %t", n, got, ok)
		}
		if seen[string(body)] || bytes.IndexByte(body, '\n') >= 0 {
			t.Fatalf("the body of %d is that of another, or has a newline: %.40q", n, body)
		}
		seen[string(body)] = true
		sizes = append(sizes, len(body))
	}
	slices.Sort(sizes)
	if least, most := sizes[0], sizes[len(sizes)-1]; least != 1 || most < 30<<10 {
		t.Errorf("bodies have %d to %d bytes", least, most)
	}
	const large = 1<<60 - 1
	if got, ok := b.check(0, b.append(nil, 0, large)); got != large || !ok {
		t.Errorf("the body of %d is taken for %d, %t", uint64(large), got, ok)
	}
}

// A body that is not to the byte what was published is not taken for another one, but
// for the few that are all number.
func TestAlteredBodiesAreFound(t *testing.T) {
	b := newBodies(1)
	for n := range uint64(300) {
		body := b.append(nil, 0, n)
		if bytes.IndexByte(body, endOfDigit) < 0 {
			continue
		}
		for i := range min(len(body), 100) {
			changed := slices.Clone(body)
			changed[i] ^= 1
			if got, ok := b.check(0, changed); ok {
				t.Fatalf("the body of %d with byte %d changed is taken for that of %d", n, i, got)
			}
		}
		for name, changed := range map[string][]byte{
			"longer":  append(slices.Clone(body), 'x'),
			"shorter": body[:len(body)-1],
			"empty":   {},
		} {
			if got, ok := b.check(0, changed); ok {
				t.Errorf("the body of %d, %s, is taken for that of %d", n, name, got)
			}
		}
		if got, ok := b.check(1, body); ok {
			t.Errorf("the body of %d is taken for that of %d in another topic", n, got)
		}
	}
}

func TestBitSet(t *testing.T) {
	var s bitSet
	want := []uint64{0, 63, 64, 1000}
	for _, n := range want {
		s.add(n)
	}
	var got []uint64
	if count := each(1001, s.word, func(n uint64) { got = append(got, n) }); count != 4 || !slices.Equal(got, want) {
		t.Errorf("%d: %v", count, got)
	}
	if !s.has(63) || s.has(62) || s.has(1<<40) {
		t.Error("has is wrong")
	}
}
