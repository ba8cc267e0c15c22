package nsqtest

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
)

// A ByteStream is what a client sends, in the pieces that it sends it in.
type ByteStream [][]byte

// Mutate returns a stream that begins like one of the given ones and has some
// bytes flipped, cut, duplicated, inserted, or taken from another.
func Mutate(rnd *rand.Rand, from []ByteStream) ByteStream {
	var s ByteStream
	for _, piece := range from[rnd.IntN(len(from))] {
		s = append(s, bytes.Clone(piece))
	}
	for range 1 + rnd.IntN(4) {
		i := rnd.IntN(len(s))
		if i == 0 && rnd.IntN(4) > 0 { // the magic: little is seen of what follows a wrong one
			i = rnd.IntN(len(s))
		}
		switch rnd.IntN(10) {
		case 0: // another's piece in front of it
			other := from[rnd.IntN(len(from))]
			s = append(s[:i:i], append(ByteStream{bytes.Clone(other[rnd.IntN(len(other))])}, s[i:]...)...)
		case 1: // the end is missing
			s = s[:i+1]
			s[i] = s[i][:rnd.IntN(len(s[i])+1)]
		case 2: // two pieces arrive as one
			if i+1 < len(s) {
				s = append(append(s[:i:i], append(s[i], s[i+1]...)), s[i+2:]...)
			}
		case 3: // one arrives as two
			cut := rnd.IntN(len(s[i]) + 1)
			s = append(s[:i:i], append(ByteStream{s[i][:cut:cut], s[i][cut:]}, s[i+1:]...)...)
		default:
			s[i] = mutateBytes(rnd, s[i])
		}
	}
	return s
}

// oddNumbers are sizes and counts at limits.
var oddNumbers = []uint32{0, 1, 2, 1<<20 + 1, 5 << 20, 5<<20 + 1, 1<<31 - 1, 1 << 31, 1<<32 - 1}

func mutateBytes(rnd *rand.Rand, b []byte) []byte {
	if len(b) == 0 {
		return []byte{byte(rnd.Uint32())}
	}
	start := rnd.IntN(len(b))
	end := start + rnd.IntN(min(len(b)-start, 64)+1)
	switch rnd.IntN(6) {
	case 0: // one bit
		b[start] ^= 1 << rnd.IntN(8)
	case 1: // some bytes
		for i := start; i < end; i++ {
			b[i] = byte(rnd.Uint32())
		}
	case 2: // a number
		var number [4]byte
		binary.BigEndian.PutUint32(number[:], oddNumbers[rnd.IntN(len(oddNumbers))])
		copy(b[start:], number[:])
	case 3: // cut
		b = append(b[:start:start], b[end:]...)
	case 4: // twice, or many times
		part := bytes.Repeat(b[start:end], 1+rnd.IntN(1+rnd.IntN(100)))
		b = append(b[:end:end], append(part, b[end:]...)...)
	case 5: // a word that means something
		words := []string{" ", "\n", "\r\n", "0", "-1", "9223372036854775808", "#ephemeral", "{", `"`, ":", "%", "&", "chunked", "IDENTIFY\n"}
		b = append(b[:start:start], append([]byte(words[rnd.IntN(len(words))]), b[start:]...)...)
	}
	return b
}
