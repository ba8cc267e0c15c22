package main

import (
	"bytes"
	"math/rand/v2"

	"github.com/seed893f581e/nsq/internal/load"
)

// Bodies follow from the topic and the number of a message: the number in digits,
// then, in most, a dot and filler. So what arrives is compared byte for byte
// without a copy being kept, and the first messages of a topic have one byte. No
// body has a newline, as a line of a text batch may not.
type bodies struct {
	seed   uint64
	filler []byte
}

const (
	digits     = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
	digitBits  = 6
	endOfDigit = '.'

	smallBody  = 400
	mediumBody = 4 << 10
	largeBody  = 40 << 10
)

func newBodies(seed uint64) *bodies {
	b := &bodies{seed: seed, filler: make([]byte, 2*largeBody)}
	rnd := rand.New(rand.NewPCG(seed, 1))
	for i := range b.filler {
		if b.filler[i] = byte(rnd.Uint32()); b.filler[i] == '\n' {
			b.filler[i] = '\r'
		}
	}
	return b
}

// append appends the body of a message.
func (b *bodies) append(dst []byte, topic int, number uint64) []byte {
	dst = appendNumber(dst, number)
	if filler := b.fillerOf(topic, number); len(filler) > 0 {
		dst = append(dst, endOfDigit)
		dst = append(dst, filler...)
	}
	return dst
}

// fillerOf returns what follows the dot: nothing in an eighth of the messages.
func (b *bodies) fillerOf(topic int, number uint64) []byte {
	h := load.Mix(b.seed ^ load.Mix(uint64(topic)<<48^number))
	var size uint64
	switch {
	case h%8 == 0:
		return nil
	case h%512 == 1:
		size = mediumBody + h>>32%(largeBody-mediumBody)
	case h%32 == 2:
		size = smallBody + h>>32%(mediumBody-smallBody)
	default:
		size = 20 + h>>32%(smallBody-20)
	}
	at := h >> 16 % (uint64(len(b.filler)) - size)
	return b.filler[at : at+size]
}

// check returns the number of a message, and whether all of the body is as it was
// published.
func (b *bodies) check(topic int, body []byte) (number uint64, intact bool) {
	number, rest, ok := parseNumber(body)
	if !ok {
		return 0, false
	}
	filler := b.fillerOf(topic, number)
	if len(filler) == 0 {
		return number, len(rest) == 0
	}
	return number, len(rest) > 0 && rest[0] == endOfDigit && bytes.Equal(rest[1:], filler)
}

func appendNumber(dst []byte, number uint64) []byte {
	if number >= 1<<digitBits {
		dst = appendNumber(dst, number>>digitBits)
	}
	return append(dst, digits[number%(1<<digitBits)])
}

// parseNumber returns the number at the start of a body and what follows it.
func parseNumber(body []byte) (number uint64, rest []byte, ok bool) {
	i := 0
	for ; i < len(body) && body[i] != endOfDigit; i++ {
		v := digitValues[body[i]]
		if v < 0 || i == 10 || i > 0 && number == 0 {
			return 0, nil, false
		}
		number = number<<digitBits | uint64(v)
	}
	return number, body[i:], i > 0
}

// digitValues are the values of digits, and -1 for all other bytes.
var digitValues = func() (values [256]int8) {
	for i := range values {
		values[i] = -1
	}
	for i := range digits {
		values[digits[i]] = int8(i)
	}
	return values
}()
