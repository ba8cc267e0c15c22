package nsqd_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/seed893f581e/nsq/internal/wire"
)

// A byteStream is what a client sends, in the pieces that it sends it in.
type byteStream [][]byte

// tcpStreams are valid conversations with every command, as far as a client
// can hold them without listening.
func tcpStreams() []byteStream {
	const id = "0123456789abcdef"
	pub := func(topic, body string) []byte { return wire.AppendPub(nil, topic, []byte(body)) }
	identify := func(json string) []byte { return wire.AppendIdentify(nil, []byte(json)) }
	all := `{"client_id":"c","hostname":"h","user_agent":"test/1","feature_negotiation":true,"heartbeat_interval":30000,` +
		`"output_buffer_size":4096,"output_buffer_timeout":250,"sample_rate":50,"msg_timeout":1000,"tls_v1":false,"snappy":false,` +
		`"deflate":false,"deflate_level":6,"topology_region":"r","topology_zone":"z"}`
	magic := []byte(wire.MagicV2)
	return []byteStream{
		{magic, identify(all), pub("t", "message"), wire.AppendNop(nil)},
		{magic, identify(`{}`), identify(`{"heartbeat_interval":-1}`), pub("t", "message")},
		{magic, bytes.Repeat(pub("t", "m"), 30), bytes.Repeat(pub("u", "m"), 30)},
		{magic, pub("t", strings.Repeat("long ", 3000)), pub("t", "short")},
		{magic, []byte("PUB t\n"), {0, 0, 0, 5}, []byte("he"), []byte("llo"), []byte("NOP\r\n")},
		{magic, wire.AppendMPub(nil, "t", byteSlices(bodies("m", 20))), wire.AppendMPub(nil, "u", byteSlices([]string{"x"}))},
		{magic, wire.AppendDPub(nil, "t", 0, []byte("now")), wire.AppendDPub(nil, "t", 3_600_000_000_000, []byte("in an hour"))},
		{magic, pub("t", "message"), wire.AppendSub(nil, "t", "c"), wire.AppendRdy(nil, 2500), wire.AppendNop(nil)},
		{magic, identify(all), wire.AppendSub(nil, "t", "c"), wire.AppendRdy(nil, 1), []byte("FIN " + id + "\nREQ " + id + " 0\nREQ " + id + " 60000\nTOUCH " + id + "\n")},
		{magic, wire.AppendSub(nil, "t", "c#ephemeral"), wire.AppendRdy(nil, 10), wire.AppendCls(nil), []byte("FIN " + id + "\n")},
		{magic, wire.AppendSub(nil, "e#ephemeral", "c#ephemeral"), []byte("RDY\nRDY 0\nRDY 18446744073709551617\nCLS\n")},
		{magic, wire.AppendAuth(nil, "secret"), pub("t", "message")},
		{magic, identify(`{"feature_negotiation":true,"snappy":true}`), []byte("\xff\x06\x00\x00sNaPpY\x01\x08\x00\x00\x16\xb5\x3e\x94NOP\n")},
		{magic, identify(`{"feature_negotiation":true,"deflate":true,"deflate_level":3}`), []byte("\xf2\xf3\x0f\xe0\x02\x00\x00\x00\xff\xff")},
		{magic, identify(`{"feature_negotiation":true,"tls_v1":true}`), []byte("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03")},
	}
}

// httpStreams are requests to every endpoint that takes no while, and leaves
// the broker as it is.
func httpStreams() []byteStream {
	request := func(line, body string) []byte {
		return fmt.Appendf(nil, "%s HTTP/1.1\r\nHost: nsqd\r\nContent-Length: %d\r\n\r\n%s", line, len(body), body)
	}
	batch := string(wire.AppendBatch(nil, byteSlices(bodies("m", 5))))
	streams := []byteStream{
		{request("POST /pub?topic=t", "message"), request("POST /pub?topic=t&defer=1000", "message")},
		{request("POST /mpub?topic=t", "one\ntwo\n\nthree"), request("POST /mpub?topic=t&binary=true", batch)},
		{[]byte("POST /mpub?topic=t&binary=1 HTTP/1.1\r\nHost: nsqd\r\nTransfer-Encoding: chunked\r\n\r\n"), []byte("4\r\n\x00\x00\x00\x01\r\n"), []byte("5\r\n\x00\x00\x00\x01x\r\n0\r\n\r\n")},
		{[]byte("POST /pub?topic=t HTTP/1.1\r\nHost: nsqd\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"), []byte("3\r\ntwo\r\n0\r\n\r\n")},
		{[]byte("POST /pub?topic=t HTTP/1.1\r\nHost: nsqd\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"), []byte("hello")},
		{[]byte("GET /ping HTTP/1.0\r\n\r\n")},
		{[]byte("OPTIONS /pub HTTP/1.1\r\nHost: nsqd\r\nOrigin: http://nsqd\r\n\r\n")},
		{[]byte(wire.MagicV2 + "PUB t\n")},
	}
	for _, path := range []string{"/ping", "/info", "/stats", "/stats?format=json&topic=t&channel=c&include_clients=false&include_mem=true",
		"/config/log_level", "/config/nsqlookupd_tcp_addresses", "/debug/pprof/", "/debug/pprof/cmdline", "/no/such/path"} {
		streams = append(streams, byteStream{request("GET "+path, ""), request("HEAD "+path, "")})
	}
	for _, action := range []string{"create", "pause", "unpause", "empty", "delete"} {
		streams = append(streams,
			byteStream{request("POST /topic/create?topic=t", ""), request("POST /topic/"+action+"?topic=t", "")},
			byteStream{request("POST /channel/create?topic=t&channel=c", ""), request("POST /channel/"+action+"?topic=t&channel=c", "")})
	}
	return streams
}

// mutate returns a stream that begins like one of the given ones and has some
// bytes flipped, cut, duplicated, inserted, or taken from another.
func mutate(rnd *rand.Rand, from []byteStream) byteStream {
	var s byteStream
	for _, piece := range from[rnd.IntN(len(from))] {
		s = append(s, bytes.Clone(piece))
	}
	for range 1 + rnd.IntN(4) {
		i := rnd.IntN(len(s))
		if i == 0 && rnd.IntN(4) > 0 { // the magic: little is seen of what follows a wrong one
			i = rnd.IntN(len(s))
		}
		switch rnd.IntN(10) {
		case 0: // another's piece in front of it
			other := from[rnd.IntN(len(from))]
			s = append(s[:i:i], append(byteStream{bytes.Clone(other[rnd.IntN(len(other))])}, s[i:]...)...)
		case 1: // the end is missing
			s = s[:i+1]
			s[i] = s[i][:rnd.IntN(len(s[i])+1)]
		case 2: // two pieces arrive as one
			if i+1 < len(s) {
				s = append(append(s[:i:i], append(s[i], s[i+1]...)), s[i+2:]...)
			}
		case 3: // one arrives as two
			cut := rnd.IntN(len(s[i]) + 1)
			s = append(s[:i:i], append(byteStream{s[i][:cut:cut], s[i][cut:]}, s[i+1:]...)...)
		default:
			s[i] = mutateBytes(rnd, s[i])
		}
	}
	return s
}

// oddNumbers are sizes and counts at limits.
var oddNumbers = []uint32{0, 1, 2, 1<<20 + 1, 5 << 20, 5<<20 + 1, 1<<31 - 1, 1 << 31, 1<<32 - 1}

func mutateBytes(rnd *rand.Rand, b []byte) []byte {
	if len(b) == 0 {
		return []byte{byte(rnd.Uint32())}
	}
	start := rnd.IntN(len(b))
	end := start + rnd.IntN(min(len(b)-start, 64)+1)
	switch rnd.IntN(6) {
	case 0: // one bit
		b[start] ^= 1 << rnd.IntN(8)
	case 1: // some bytes
		for i := start; i < end; i++ {
			b[i] = byte(rnd.Uint32())
		}
	case 2: // a number
		var number [4]byte
		binary.BigEndian.PutUint32(number[:], oddNumbers[rnd.IntN(len(oddNumbers))])
		copy(b[start:], number[:])
	case 3: // cut
		b = append(b[:start:start], b[end:]...)
	case 4: // twice, or many times
		part := bytes.Repeat(b[start:end], 1+rnd.IntN(1+rnd.IntN(100)))
		b = append(b[:end:end], append(part, b[end:]...)...)
	case 5: // a word that means something
		words := []string{" ", "\n", "\r\n", "0", "-1", "9223372036854775808", "#ephemeral", "{", `"`, ":", "%", "&", "chunked", "IDENTIFY\n"}
		b = append(b[:start:start], append([]byte(words[rnd.IntN(len(words))]), b[start:]...)...)
	}
	return b
}
