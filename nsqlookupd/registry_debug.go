package nsqlookupd

import (
	"bufio"
	"encoding/json"
	"strconv"
)

// neverTombstoned is what /debug shows as the time of a tombstone that is not
// there: what the zero time.Time gives as unix nanoseconds.
const neverTombstoned = -6795364578871345152

// debugJSON answers /debug: everything that is kept, shown or not.
func (s *snapshot) debugJSON() answer {
	return answerFunc(func(w *bufio.Writer) {
		d := debugWriter{w: w, parts: make(map[*producer]debugParts)}
		w.WriteByte('{')
		d.clients(s)
		d.registrations(s)
		w.WriteByte('}')
	})
}

// A debugWriter writes an object of lists: of the producers of each key.
type debugWriter struct {
	w     *bufio.Writer
	keys  list
	parts map[*producer]debugParts
}

// debugParts are what is the same of a producer wherever it is listed.
type debugParts struct{ head, middle, tail []byte }

func (d *debugWriter) clients(s *snapshot) {
	if s.producers.Len() == 0 {
		return
	}
	d.begin("client::")
	producers := list{w: d.w}
	s.producers.Scan(func(p *producer) bool {
		producers.next()
		d.producer(p, tombstone{}, false)
		return true
	})
	d.end()
}

func (d *debugWriter) registrations(s *snapshot) {
	var last *key
	producers := list{w: d.w}
	s.registrations.Scan(func(reg registration) bool {
		if k := reg.key; k != last {
			if last != nil {
				d.end()
			}
			if last = k; k.channel == "" {
				d.begin("topic:", k.topic, ":")
			} else {
				d.begin("channel:", k.topic, ":", k.channel)
			}
			producers.reset()
		}
		producers.next()
		t, ok := s.tombstone(reg)
		d.producer(reg.producer, t, ok)
		return true
	})
	if last != nil {
		d.end()
	}
}

// begin starts the list of a key; valid names need no escaping.
func (d *debugWriter) begin(name ...string) {
	d.keys.w = d.w
	d.keys.next()
	d.w.WriteByte('"')
	for _, part := range name {
		d.w.WriteString(part)
	}
	d.w.WriteString(`":[`)
}

func (d *debugWriter) end() { d.w.WriteByte(']') }

func (d *debugWriter) producer(p *producer, t tombstone, tombstoned bool) {
	parts, ok := d.parts[p]
	if !ok {
		parts = newDebugParts(p)
		d.parts[p] = parts
	}
	at := int64(neverTombstoned)
	if tombstoned {
		at = t.at
	}
	w := d.w
	w.Write(parts.head)
	w.Write(strconv.AppendInt(w.AvailableBuffer(), p.lastUpdate.Load(), 10))
	w.Write(parts.middle)
	w.WriteString(strconv.FormatBool(tombstoned))
	w.WriteString(`,"tombstoned_at":`)
	w.Write(strconv.AppendInt(w.AvailableBuffer(), at, 10))
	w.Write(parts.tail)
}

// newDebugParts encodes a producer; keys are in alphabetical order.
func newDebugParts(p *producer) debugParts {
	head := object(struct {
		BroadcastAddress string `json:"broadcast_address"`
		Hostname         string `json:"hostname"`
		HTTPPort         int    `json:"http_port"`
		ID               string `json:"id"`
	}{p.info.BroadcastAddress, p.info.Hostname, p.info.HTTPPort, p.info.RemoteAddress})
	tail := object(struct {
		TopologyRegion string `json:"topology_region"`
		TopologyZone   string `json:"topology_zone"`
		Version        string `json:"version"`
	}{p.info.TopologyRegion, p.info.TopologyZone, p.info.Version})
	return debugParts{
		head:   append(head[:len(head)-1], `,"last_update":`...),
		middle: []byte(`,"tcp_port":` + strconv.Itoa(p.info.TCPPort) + `,"tombstoned":`),
		tail:   append([]byte{','}, tail[1:]...),
	}
}

// object encodes a struct of texts and numbers, which never fails.
func object(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}
