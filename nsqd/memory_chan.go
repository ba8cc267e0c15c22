package nsqd

// A memoryChan holds spans first in, first out. It is bounded in messages, but
// the bound is the caller's to keep: room says what is left of it, and push
// always succeeds. It grows and shrinks with what it holds. It is not safe for
// concurrent use; the queue that owns it has the lock.
type memoryChan struct {
	capacity int // in messages
	messages int
	ring     []span // a power of two of slots, nil when empty
	head     int    // slot of the first span
	spans    int
}

// room returns how many messages fit before the bound is reached.
func (m *memoryChan) room() int { return max(0, m.capacity-m.messages) }

// push adds s, which must not be empty, at the end.
func (m *memoryChan) push(s span) {
	m.grow()
	m.ring[(m.head+m.spans)&(len(m.ring)-1)] = s
	m.spans++
	m.messages += int(s.count)
}

// pushFront adds s, which must not be empty, before everything else.
func (m *memoryChan) pushFront(s span) {
	m.grow()
	m.head = (m.head - 1) & (len(m.ring) - 1)
	m.ring[m.head] = s
	m.spans++
	m.messages += int(s.count)
}

// pop appends the next messages to dst and returns their number: at most n,
// and no more spans once maxBytes are reached, so that the last one may exceed
// them by a message.
func (m *memoryChan) pop(dst []span, n, maxBytes int) ([]span, int) {
	got := 0
	for got < n && m.spans > 0 && maxBytes > 0 {
		first := &m.ring[m.head]
		head, bytes := first.cut(n-got, maxBytes)
		dst = append(dst, head)
		got += int(head.count)
		maxBytes -= bytes
		if first.count > 0 {
			break // the bytes are used up, or n is
		}
		*first = span{} // let go of the batch
		m.head = (m.head + 1) & (len(m.ring) - 1)
		m.spans--
	}
	m.messages -= got
	m.shrink()
	return dst, got
}

func (m *memoryChan) grow() {
	if m.spans < len(m.ring) {
		return
	}
	m.resize(max(4, 2*len(m.ring)))
}

// shrink gives memory back once a quarter is enough.
func (m *memoryChan) shrink() {
	slots := len(m.ring)
	for slots > 64 && m.spans <= slots/4 {
		slots /= 2
	}
	if slots < len(m.ring) {
		m.resize(slots)
	}
}

func (m *memoryChan) resize(slots int) {
	ring := make([]span, slots)
	for i := range m.spans {
		ring[i] = m.ring[(m.head+i)&(len(m.ring)-1)]
	}
	m.ring, m.head = ring, 0
}

// clear removes and returns every span.
func (m *memoryChan) clear() []span {
	spans := make([]span, m.spans)
	for i := range spans {
		spans[i] = m.ring[(m.head+i)&(len(m.ring)-1)]
	}
	m.ring, m.head, m.spans, m.messages = nil, 0, 0, 0
	return spans
}
