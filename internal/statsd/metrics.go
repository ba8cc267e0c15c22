// Package statsd turns numbers into the packets that a statsd daemon takes, and
// sends them.
package statsd

import "strconv"

// Metrics makes the packets of one round after the other. It is not safe for
// concurrent use.
type Metrics struct {
	prefix string
	size   int // of a packet

	packets [][]byte
	totals  map[string]uint64 // of this round's counters, by name
	before  map[string]uint64 // and of the last round's
}

// NewMetrics returns one whose names all start with prefix. Lines share a
// packet up to packetSize bytes; a longer line has a packet of its own.
func NewMetrics(prefix string, packetSize int) *Metrics {
	return &Metrics{prefix: prefix, size: packetSize, totals: make(map[string]uint64)}
}

// Counter adds by how much a counter has grown since the last round, or since 0
// if that did not have it. A total that is less than it was has begun anew.
func (m *Metrics) Counter(name string, total uint64) {
	m.totals[name] = total
	delta := total
	if before := m.before[name]; before <= total {
		delta -= before
	}
	m.add(name, strconv.AppendUint(nil, delta, 10), 'c')
}

// Gauge adds a value as it is. It must not be negative, which statsd would
// take for a change.
func (m *Metrics) Gauge(name string, value uint64) {
	m.add(name, strconv.AppendUint(nil, value, 10), 'g')
}

// add appends a line to the last packet, or to a new one where it does not fit.
func (m *Metrics) add(name string, value []byte, kind byte) {
	line := len(m.prefix) + len(name) + 1 + len(value) + len("|c\n")
	last := len(m.packets) - 1
	if last < 0 || len(m.packets[last])+line > m.size {
		m.packets = append(m.packets, make([]byte, 0, max(line, m.size)))
		last++
	}
	p := append(m.packets[last], m.prefix...)
	p = append(p, name...)
	p = append(p, ':')
	p = append(p, value...)
	m.packets[last] = append(p, '|', kind, '\n')
}

// Flush ends the round and returns its packets, in the order in which lines
// were added.
func (m *Metrics) Flush() [][]byte {
	packets := m.packets
	m.packets, m.before = nil, m.totals
	m.totals = make(map[string]uint64, len(m.before))
	return packets
}
