package main

import "math/bits"

// bitSet is a set of small numbers.
type bitSet struct{ words []uint64 }

func (s *bitSet) add(n uint64) {
	w := int(n / 64)
	for len(s.words) <= w {
		s.words = append(s.words, 0)
	}
	s.words[w] |= 1 << (n % 64)
}

func (s *bitSet) has(n uint64) bool {
	return n/64 < uint64(len(s.words)) && s.word(int(n/64))>>(n%64)&1 != 0
}

func (s *bitSet) word(i int) uint64 {
	if i < len(s.words) {
		return s.words[i]
	}
	return 0
}

// each calls f for every number of the words that word makes of the index of each
// word below the number end; it returns how many there are.
func each(end uint64, word func(i int) uint64, f func(n uint64)) (count int64) {
	for i := range int((end + 63) / 64) {
		for w := word(i); w != 0; w &= w - 1 {
			f(uint64(i)*64 + uint64(bits.TrailingZeros64(w)))
			count++
		}
	}
	return count
}
