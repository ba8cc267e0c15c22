package store

import (
	"encoding/binary"
	"errors"

	"github.com/seed893f581e/nsq/internal/seglog"
)

// Keys of the index; numbers are big endian, so that they sort.
//
//	c topic channel           what a channel finished, see noted
//	d topic channel due seq   where a deferred message lies
//	s                         how many commits were synced, see index.seal
//	t topic                   what is released, and in the index
const (
	channelKeys  = 'c'
	deferredKeys = 'd'
	sealKey      = 's'
	topicKeys    = 't'
)

func appendTopicKey(dst []byte, topic uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, topicKeys), topic)
}

// appendChannelKey appends the key of a channel's position, or the beginning
// of all keys of its deferred messages.
func appendChannelKey(dst []byte, kind byte, topic, channel uint32) []byte {
	dst = binary.BigEndian.AppendUint32(append(dst, kind), topic)
	return binary.BigEndian.AppendUint32(dst, channel)
}

const (
	topicKeyLen    = 1 + 4
	channelKeyLen  = 1 + 4 + 4
	deferredKeyLen = channelKeyLen + 8 + 8
)

// dueKey orders the deferred messages of a channel.
type dueKey struct {
	due int64 // nanoseconds since the Unix epoch, not negative
	seq uint64
}

func (k dueKey) less(o dueKey) bool {
	return k.due < o.due || k.due == o.due && k.seq < o.seq
}

func (k dueKey) compare(o dueKey) int {
	switch {
	case k.less(o):
		return -1
	case o.less(k):
		return 1
	}
	return 0
}

func (k dueKey) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(k.due))
	return binary.BigEndian.AppendUint64(dst, k.seq)
}

// ids returns the topic and, of keys that have one, the channel.
func ids(key []byte) (topic, channel uint32) {
	topic = binary.BigEndian.Uint32(key[1:])
	if len(key) >= channelKeyLen {
		channel = binary.BigEndian.Uint32(key[topicKeyLen:])
	}
	return topic, channel
}

// place is where a frame lies.
type place struct {
	kept bool // in the topic's log of kept messages
	pos  seglog.Pos
}

// segment is one file of a topic.
type segment struct {
	kept bool
	id   uint32
}

func (p place) segment() segment { return segment{p.kept, p.pos.Segment()} }

// entry is a deferred message in the index.
type entry struct {
	dueKey
	at       place
	attempts uint16
	bytes    uint32 // of its payload
}

const entryLen = 1 + 8 + 2 + 4

func (e *entry) appendValue(dst []byte) []byte {
	var kept byte
	if e.at.kept {
		kept = 1
	}
	dst = binary.BigEndian.AppendUint64(append(dst, kept), uint64(e.at.pos))
	dst = binary.BigEndian.AppendUint16(dst, e.attempts)
	return binary.BigEndian.AppendUint32(dst, e.bytes)
}

var errEntry = errors.New("a damaged entry of a deferred message")

// parseEntry is the inverse of dueKey.append and appendValue; key is a whole key.
func parseEntry(key, value []byte) (e entry, err error) {
	if len(key) != deferredKeyLen || len(value) != entryLen || value[0] > 1 {
		return e, errEntry
	}
	var ok bool
	e.dueKey, ok = parseDueKey(key)
	e.at.kept = value[0] == 1
	e.at.pos = seglog.Pos(binary.BigEndian.Uint64(value[1:]))
	e.attempts = binary.BigEndian.Uint16(value[9:])
	e.bytes = binary.BigEndian.Uint32(value[11:])
	if !ok {
		return e, errEntry
	}
	return e, nil
}

// parseDueKey returns what appended the end of a whole key; false if it cannot have.
func parseDueKey(key []byte) (k dueKey, ok bool) {
	if len(key) != deferredKeyLen {
		return k, false
	}
	k.due = int64(binary.BigEndian.Uint64(key[channelKeyLen:]))
	k.seq = binary.BigEndian.Uint64(key[channelKeyLen+8:])
	return k, k.due >= 0
}

// sum is a number that the sum over all entries of a channel tells lost, old
// and foreign ones by.
func (e *entry) sum() uint64 {
	h := uint64(e.due)
	for _, v := range [...]uint64{e.seq, uint64(e.at.pos), uint64(e.bytes)} {
		h = (h ^ v) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	return h
}
