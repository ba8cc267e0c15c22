package load

import (
	"encoding/binary"
	"math/rand/v2"
	"strconv"
)

// MinSize is the least size of a body: it holds a number and a time.
const MinSize = 16

// Bodies returns n bodies of that many bytes which look like what people send:
// JSON with names that repeat and values that do not, so that they compress as
// such messages do. They are the same in every run. The first 16 bytes are for
// the message's number and time.
func Bodies(n, size int) [][]byte {
	rnd := rand.New(rand.NewPCG(1, 2))
	bodies := make([][]byte, n)
	for i := range bodies {
		b := make([]byte, MinSize, size+64)
		for len(b) < size {
			b = append(b, `{"event":"`...)
			b = append(b, eventNames[rnd.IntN(len(eventNames))]...)
			b = append(b, `","user":`...)
			b = strconv.AppendUint(b, rnd.Uint64N(1e9), 10)
			b = append(b, `,"session":"`...)
			b = strconv.AppendUint(b, rnd.Uint64(), 16)
			b = append(b, `","amount":`...)
			b = strconv.AppendFloat(b, rnd.Float64()*1000, 'f', 2, 64)
			b = append(b, '}')
		}
		bodies[i] = b[:size]
	}
	return bodies
}

var eventNames = []string{"page_view", "click", "purchase", "login", "logout", "search", "add_to_cart", "refund"}

// number and stamp are what the first bytes of a body say.
func number(body []byte) uint64 { return binary.LittleEndian.Uint64(body) }
func stamp(body []byte) int64   { return int64(binary.LittleEndian.Uint64(body[8:])) }

// A Tally tells sets of messages apart by their count and a sum over what is made
// of their numbers: two that are equal hold, all but certainly, the same messages
// equally often. It belongs to one goroutine.
type Tally struct {
	Count int64
	sum   uint64
}

// Add adds the message of that number.
func (t *Tally) Add(number uint64) {
	t.Count++
	t.sum += Mix(number)
}

// Merge adds what other holds, so many times.
func (t *Tally) Merge(other Tally, times int) {
	t.Count += other.Count * int64(times)
	t.sum += other.sum * uint64(times)
}

// Mix spreads a number over all bits, one to one (the finalizer of splitmix64).
func Mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
