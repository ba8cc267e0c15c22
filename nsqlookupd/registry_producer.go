package nsqlookupd

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
)

// producerInfo is what /lookup and /nodes show of a producer, with the names
// and in the order of JSON.
type producerInfo struct {
	RemoteAddress    string `json:"remote_address"` // ip:port of its connection, also its id in /debug
	Hostname         string `json:"hostname"`
	BroadcastAddress string `json:"broadcast_address"`
	TCPPort          int    `json:"tcp_port"`
	HTTPPort         int    `json:"http_port"`
	Version          string `json:"version"`
	TopologyZone     string `json:"topology_zone"`
	TopologyRegion   string `json:"topology_region"`
}

// A producer is one connection of an nsqd that sent IDENTIFY. Its identity is
// the pointer: two connections of one nsqd are two producers.
type producer struct {
	info       producerInfo // never changes
	json       []byte       // info as JSON, without the brace at its end
	hash       uint64       // of all but the remote address
	lastUpdate atomic.Int64 // unix nanoseconds of IDENTIFY or the last PING

	serial        uint64 // tells equal ones apart; given by the registry
	registrations int    // how many it has; only the registry looks at it
}

// newProducer returns a producer that identified itself at a time. It keeps
// none of the memory that info's texts are part of.
func newProducer(info producerInfo, now int64) *producer {
	for _, text := range []*string{
		&info.RemoteAddress, &info.Hostname, &info.BroadcastAddress,
		&info.Version, &info.TopologyZone, &info.TopologyRegion,
	} {
		*text = strings.Clone(*text)
	}
	p := &producer{info: info, hash: hashInfo(info)}
	encoded := object(info)
	p.json = encoded[:len(encoded)-1]
	p.lastUpdate.Store(now)
	return p
}

// hashInfo is the same in every process and for every connection of an nsqd.
func hashInfo(info producerInfo) uint64 {
	var b []byte
	for _, text := range []string{
		info.Hostname, info.BroadcastAddress, strconv.Itoa(info.TCPPort), strconv.Itoa(info.HTTPPort),
		info.Version, info.TopologyZone, info.TopologyRegion,
	} {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	sum := sha256.Sum256(b)
	return binary.BigEndian.Uint64(sum[:])
}

// compareProducers orders producers as lists show them; nil comes first.
func compareProducers(p, q *producer) int {
	switch {
	case p == q:
		return 0
	case p == nil:
		return -1
	case q == nil:
		return 1
	}
	return cmp.Or(
		strings.Compare(p.info.BroadcastAddress, q.info.BroadcastAddress),
		cmp.Compare(p.info.TCPPort, q.info.TCPPort),
		cmp.Compare(p.info.HTTPPort, q.info.HTTPPort),
		strings.Compare(p.info.RemoteAddress, q.info.RemoteAddress),
		cmp.Compare(p.serial, q.serial),
	)
}

// isNode reports whether node, as /topic/tombstone gets it, means this
// producer: its broadcast address and HTTP port. An IPv6 address may be with
// or without brackets.
func (p *producer) isNode(node string) bool {
	host, port, ok := cutLast(node, ":")
	if !ok || port != strconv.Itoa(p.info.HTTPPort) {
		return false
	}
	return host == p.info.BroadcastAddress || node == net.JoinHostPort(p.info.BroadcastAddress, port)
}

// cutLast is strings.Cut at the last separator.
func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
