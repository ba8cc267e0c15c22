package nsqlookupd

import (
	"bufio"
	"bytes"
	"io"
	"runtime"
	"strconv"
	"sync"
)

// encodeBuffer is how much of an answer is in memory at a time.
const encodeBuffer = 32 << 10

// unknownTopicTag is the tag of a topic that does not exist.
const unknownTopicTag = `W/"0000000000000000"`

// An answer writes itself as JSON, piece by piece: those of a large registry
// are hundreds of megabytes. It needs no lock.
type answer interface {
	writeTo(w io.Writer) error
}

// answerFunc is an answer that is a func.
type answerFunc func(w *bufio.Writer)

func (f answerFunc) writeTo(w io.Writer) error {
	b := bufio.NewWriterSize(yieldingWriter{w}, encodeBuffer)
	f(b)
	return b.Flush() // the first error of any write
}

// A yieldingWriter lets others run after each piece: on a machine with few
// processors a few large answers would keep registrations waiting for theirs.
type yieldingWriter struct{ w io.Writer }

func (y yieldingWriter) Write(b []byte) (int, error) {
	n, err := y.w.Write(b)
	runtime.Gosched()
	return n, err
}

// A lookupAnswer is what /lookup and /watch say of a topic.
type lookupAnswer struct {
	found     bool   // whether the topic exists
	tag       string // the weak ETag: a hash of which producers it shows
	until     int64  // unix nanoseconds of when time alone changes the producers
	channels  []string
	producers []*producer

	once sync.Once
	body []byte
}

// JSON returns the body of the answer, which is made once and must not be
// changed. A topic that was not found has none: that is an error for the client.
func (a *lookupAnswer) JSON() []byte {
	a.once.Do(func() {
		var b bytes.Buffer
		answerFunc(a.encode).writeTo(&b) // a buffer never fails
		a.body = b.Bytes()
	})
	return a.body
}

func (a *lookupAnswer) encode(w *bufio.Writer) {
	w.WriteString(`{"channels":[`)
	list := list{w: w}
	for _, c := range a.channels {
		list.name(c)
	}
	w.WriteString(`],"producers":[`)
	list.reset()
	for _, p := range a.producers {
		list.next()
		w.Write(p.json)
		w.WriteByte('}')
	}
	w.WriteString(`]}`)
}

// topicsJSON answers /topics.
func (s *snapshot) topicsJSON() answer {
	return answerFunc(func(w *bufio.Writer) {
		w.WriteString(`{"topics":[`)
		list := list{w: w}
		for t := range s.topics() {
			list.name(t)
		}
		w.WriteString(`]}`)
	})
}

// channelsJSON answers /channels.
func (s *snapshot) channelsJSON(topic string) answer {
	return answerFunc(func(w *bufio.Writer) {
		w.WriteString(`{"channels":[`)
		list := list{w: w}
		for c := range s.channels(topic) {
			list.name(c)
		}
		w.WriteString(`]}`)
	})
}

// nodesJSON answers /nodes.
func (s *snapshot) nodesJSON(v view) answer {
	return answerFunc(func(w *bufio.Writer) {
		w.WriteString(`{"producers":[`)
		list := list{w: w}
		s.producers.Scan(func(p *producer) bool {
			if v.active(p) {
				list.next()
				s.writeNode(w, p, v)
			}
			return true
		})
		w.WriteString(`]}`)
	})
}

// writeNode writes a producer as /nodes shows it.
func (s *snapshot) writeNode(w *bufio.Writer, p *producer, v view) {
	w.Write(p.json)
	w.WriteString(`,"tombstones":[`)
	list := list{w: w}
	for reg := range s.topicsOf(p) {
		list.next()
		w.WriteString(strconv.FormatBool(s.hidden(reg, v)))
	}
	w.WriteString(`],"topics":[`)
	list.reset()
	for reg := range s.topicsOf(p) {
		list.name(reg.key.topic)
	}
	w.WriteString(`]}`)
}

// A list puts commas between its items.
type list struct {
	w     *bufio.Writer
	begun bool
}

// next begins an item.
func (l *list) next() {
	if l.begun {
		l.w.WriteByte(',')
	}
	l.begun = true
}

// reset begins another list.
func (l *list) reset() { l.begun = false }

// name writes a topic or channel as an item. Valid names need no escaping.
func (l *list) name(name string) {
	l.next()
	l.w.WriteByte('"')
	l.w.WriteString(name)
	l.w.WriteByte('"')
}
