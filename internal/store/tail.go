package store

import "sort"

// tail is the recent batches of a topic, which channels that keep up read from
// memory. The topic's mu guards it.
type tail struct {
	batches  []*Batch
	messages int
	bytes    int64
	first    uint64 // all batches that hold numbers from here on are in the tail
}

func (b *Batch) end() uint64 { return b.First + uint64(b.Count) }

// batchOverhead is roughly what a batch takes beside its payload.
const batchOverhead = 128

func (b *Batch) size() int64 { return int64(len(b.Payload)) + batchOverhead }

// add appends a batch and lets go of the oldest beyond the bounds.
func (l *tail) add(b *Batch, maxMessages int, maxBytes int64) {
	l.batches = append(l.batches, b)
	l.messages += b.Count
	l.bytes += b.size()
	for l.messages > maxMessages || l.bytes > maxBytes {
		l.pop()
	}
}

func (l *tail) pop() {
	b := l.batches[0]
	l.batches[0] = nil
	l.batches = l.batches[1:]
	l.messages -= b.Count
	l.bytes -= b.size()
	l.first = b.end()
	if len(l.batches) == 0 {
		l.batches = nil
	}
}

// passed lets go of the batches that end at a number or before.
func (l *tail) passed(seq uint64) {
	for len(l.batches) > 0 && l.batches[0].end() <= seq {
		l.pop()
	}
}

// from appends up to n batches to dst, from the one that holds seq, or the
// first behind it, on: those that begin before end. seq must not be below first.
func (l *tail) from(dst []*Batch, seq, end uint64, n int) []*Batch {
	i := sort.Search(len(l.batches), func(i int) bool { return l.batches[i].end() > seq })
	for ; n > 0 && i < len(l.batches) && l.batches[i].First < end; i, n = i+1, n-1 {
		dst = append(dst, l.batches[i])
	}
	return dst
}

// clear lets go of everything; end is the number behind the last message.
func (l *tail) clear(end uint64) { *l = tail{first: end} }
