package nsqd_test

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// tcpStreams are valid conversations with every command, as far as a client
// can hold them without listening.
func tcpStreams() []nsqtest.ByteStream {
	const id = "0123456789abcdef"
	pub := func(topic, body string) []byte { return wire.AppendPub(nil, topic, []byte(body)) }
	identify := func(json string) []byte { return wire.AppendIdentify(nil, []byte(json)) }
	all := `{"client_id":"c","hostname":"h","user_agent":"test/1","feature_negotiation":true,"heartbeat_interval":30000,` +
		`"output_buffer_size":4096,"output_buffer_timeout":250,"sample_rate":50,"msg_timeout":1000,"tls_v1":false,"snappy":false,` +
		`"deflate":false,"deflate_level":6,"topology_region":"r","topology_zone":"z"}`
	magic := []byte(wire.MagicV2)
	return []nsqtest.ByteStream{
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
func httpStreams() []nsqtest.ByteStream {
	request := func(line, body string) []byte {
		return fmt.Appendf(nil, "%s HTTP/1.1\r\nHost: nsqd\r\nContent-Length: %d\r\n\r\n%s", line, len(body), body)
	}
	batch := string(wire.AppendBatch(nil, byteSlices(bodies("m", 5))))
	streams := []nsqtest.ByteStream{
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
		streams = append(streams, nsqtest.ByteStream{request("GET "+path, ""), request("HEAD "+path, "")})
	}
	for _, action := range []string{"create", "pause", "unpause", "empty", "delete"} {
		streams = append(streams,
			nsqtest.ByteStream{request("POST /topic/create?topic=t", ""), request("POST /topic/"+action+"?topic=t", "")},
			nsqtest.ByteStream{request("POST /channel/create?topic=t&channel=c", ""), request("POST /channel/"+action+"?topic=t&channel=c", "")})
	}
	return streams
}
