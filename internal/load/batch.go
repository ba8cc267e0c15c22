package load

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// A Batch is an encoded request, or several, that is sent again and again with
// other numbers in its messages. It belongs to one goroutine.
type Batch struct {
	Answers int // how many responses it is answered with

	b      []byte
	bodies []int // where they begin in b
	size   int   // of each
}

// MPub returns a batch that publishes all bodies, which are of one size, by one
// command.
func MPub(topic string, bodies [][]byte) *Batch {
	b := wire.AppendMPub(nil, topic, bodies)
	return packed(b, len(b)-wire.BatchLen(bodies), bodies)
}

// packed returns the batch of a request at whose offset start the bodies are
// encoded as MPUB does.
func packed(b []byte, start int, bodies [][]byte) *Batch {
	p := &Batch{Answers: 1, b: b, size: len(bodies[0])}
	at := start + wire.SizeLen // behind the count
	for range bodies {
		p.bodies = append(p.bodies, at+wire.SizeLen)
		at += wire.SizeLen + p.size
	}
	return p
}

// Pubs returns a batch that publishes every body by a command of its own.
func Pubs(topic string, bodies [][]byte) *Batch {
	p := &Batch{Answers: len(bodies), size: len(bodies[0])}
	for _, body := range bodies {
		p.b = wire.AppendPub(p.b, topic, body)
		p.bodies = append(p.bodies, len(p.b)-len(body))
	}
	return p
}

// DPub returns a batch of one deferred message.
func DPub(topic string, delay time.Duration, body []byte) *Batch {
	b := wire.AppendDPub(nil, topic, delay, body)
	return &Batch{Answers: 1, b: b, bodies: []int{len(b) - len(body)}, size: len(body)}
}

// Frames returns a batch that is the bodies as nsqd would deliver them. It has no
// answer in the protocol.
func Frames(bodies [][]byte) *Batch {
	p := &Batch{Answers: 1, size: len(bodies[0])}
	for i, body := range bodies {
		p.b = wire.AppendMessageFrame(p.b, 0, 1, uint64(i), body)
		p.bodies = append(p.bodies, len(p.b)-len(body))
	}
	return p
}

// HTTPPub returns a batch that publishes a body by an HTTP request.
func HTTPPub(topic string, body []byte) *Batch {
	b := fmt.Appendf(nil, "POST /pub?topic=%s HTTP/1.1\r\nHost: nsqd\r\nContent-Length: %d\r\n\r\n", topic, len(body))
	b = append(b, body...)
	return &Batch{Answers: 1, b: b, bodies: []int{len(b) - len(body)}, size: len(body)}
}

// HTTPMPub returns a batch that publishes all bodies by one HTTP request, in the
// binary form.
func HTTPMPub(topic string, bodies [][]byte) *Batch {
	n := wire.BatchLen(bodies)
	b := fmt.Appendf(nil, "POST /mpub?topic=%s&binary=true HTTP/1.1\r\nHost: nsqd\r\nContent-Length: %d\r\n\r\n", topic, n)
	return packed(wire.AppendBatch(b, bodies), len(b), bodies)
}

// Len returns the number of messages.
func (p *Batch) Len() int { return len(p.bodies) }

// Bytes returns the encoded request.
func (p *Batch) Bytes() []byte { return p.b }

// Number gives the messages the numbers from first on, and adds these to t.
func (p *Batch) Number(first uint64, t *Tally) {
	for i, at := range p.bodies {
		n := first + uint64(i)
		binary.LittleEndian.PutUint64(p.b[at:], n)
		t.Add(n)
	}
}

// Stamp writes a time, in nanoseconds of any clock, into all messages.
func (p *Batch) Stamp(nanoseconds int64) {
	for _, at := range p.bodies {
		binary.LittleEndian.PutUint64(p.b[at+8:], uint64(nanoseconds))
	}
}
