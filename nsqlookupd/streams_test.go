package nsqlookupd_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// tcpStreams are valid conversations with every command, as far as a client can
// hold them without listening.
func tcpStreams() []nsqtest.ByteStream {
	magic, identify := []byte(wire.MagicV1), []byte(identifyCommand)
	lines := func(text string) []byte { return []byte(text) }
	return []nsqtest.ByteStream{
		{magic, identify, wire.AppendRegister(nil, "t", ""), wire.AppendRegister(nil, "t", "c"), wire.AppendPing(nil)},
		{magic, wire.AppendPing(nil), identify, bytes.Repeat(wire.AppendRegister(nil, "t", "c#ephemeral"), 30)},
		{magic, identify, wire.AppendRegister(nil, "e#ephemeral", "c"), wire.AppendUnregister(nil, "e#ephemeral", ""), wire.AppendUnregister(nil, "e#ephemeral", "c")},
		{magic, identify, lines("REGISTER a\nREGISTER b c\nREGISTER b d e f\r\n"), lines("UNREGISTER b d\nUNREGISTER b\nPING\n")},
		{magic, lines("IDENTIFY\n"), {0, 0, 0, 80}, lines(`{"broadcast_address":"b","tcp_port":1,`), lines(`"http_port":2,"version":"v","more":[1,2,3]}    PING\n`)},
		{magic, wire.AppendIdentify(nil, lines(`{"broadcast_address":"b","hostname":"h","tcp_port":1,"http_port":2,"version":"v","topology_zone":"z","topology_region":"r","remote_address":"x"}`)), lines("REGISTER t\n")},
		{magic, wire.AppendIdentify(nil, lines(`{}`))},
		{magic, identify, identify},
	}
}

// httpStreams are requests to every endpoint that takes no while.
func httpStreams() []nsqtest.ByteStream {
	request := func(line, body string) []byte {
		return fmt.Appendf(nil, "%s HTTP/1.1\r\nHost: nsqlookupd\r\nContent-Length: %d\r\n\r\n%s", line, len(body), body)
	}
	streams := []nsqtest.ByteStream{
		{[]byte("GET /ping HTTP/1.0\r\n\r\n")},
		{[]byte("OPTIONS /lookup HTTP/1.1\r\nHost: nsqlookupd\r\nOrigin: http://nsqlookupd\r\n\r\n")},
		{[]byte("GET /watch?topic=t&timeout=1 HTTP/1.1\r\nHost: nsqlookupd\r\nIf-None-Match: W/\"x\", \"y\"\r\n\r\n")},
		{[]byte("POST /topic/create?topic=t HTTP/1.1\r\nHost: nsqlookupd\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"), []byte("0\r\n\r\n")},
		{identifyCommandWithMagic},
	}
	for _, path := range []string{"/ping", "/info", "/topics", "/nodes", "/debug", "/lookup?topic=t", "/channels?topic=t", "/watch?topic=%00", "/debug/pprof/", "/no/such/path"} {
		streams = append(streams, nsqtest.ByteStream{request("GET "+path, ""), request("HEAD "+path, "x")})
	}
	for _, path := range []string{"/topic/create?topic=t", "/topic/delete?topic=t", "/topic/tombstone?topic=t&node=n1.example:4151",
		"/channel/create?topic=t&channel=c", "/channel/delete?topic=t&channel=c"} {
		streams = append(streams, nsqtest.ByteStream{request("POST "+path, ""), request("POST "+path, "topic=t")})
	}
	return streams
}

var identifyCommandWithMagic = []byte(wire.MagicV1 + identifyCommand)

func mutatedStreams() *nsqtest.MutatedStreams {
	return &nsqtest.MutatedStreams{TCP: tcpStreams(), HTTP: httpStreams(), Seed: 4160}
}

func startQuietly(tb testing.TB) *bubble {
	opts := nsqtest.LookupdOptions(tb)
	opts.Logger = slog.New(slog.DiscardHandler)
	return startInBubble(tb, opts)
}

// Whatever clients send, it goes on, gives everything back and serves others.
func TestMutatedStreams(t *testing.T) {
	b := startQuietly(t)
	target := nsqtest.StreamTarget{TCP: b.tcp, HTTP: b.http, Panics: b.Panics, Clear: b.DeleteTopics}
	mutatedStreams().Play(t, target, 32<<20, 2<<20)
	if a := b.get("/debug"); a.body != "{}" {
		t.Errorf("somebody is still registered: %s", a.body)
	}
	b.producer("n1").register("after", "c")
	if a := b.get("/channels?topic=after"); a.body != `{"channels":["c"]}` {
		t.Errorf("got %v", a)
	}
}

// The same over sockets, where peers close, half-close and do not read.
func TestMutatedStreamsOverSockets(t *testing.T) {
	opts := nsqtest.LookupdOptions(t)
	opts.Logger = slog.New(slog.DiscardHandler)
	d := nsqtest.StartLookupd(t, opts)
	dialProducer(t, d, "n1").close()
	before, streams := nsqtest.TakeResources(), mutatedStreams()
	nsqtest.Concurrently(8, 3000, func(i int) {
		s, isHTTP := streams.Number(i)
		addr := d.RealTCPAddr()
		if isHTTP {
			addr = d.RealHTTPAddr()
		}
		if err := nsqtest.SendStream(addr, s, i); err != nil {
			t.Errorf("stream %d, %q: %v", i, s, err)
		}
	})
	if n := d.Panics(); n != 0 {
		t.Errorf("%d panics", n)
	}
	before.WaitFor(t)
	if status, body := get(t, d, "/debug"); status != 200 || body != "{}" {
		t.Errorf("somebody is still registered: %d %s", status, body)
	}
}

// FuzzTCP sends whatever the fuzzer finds, a line at a time.
func FuzzTCP(f *testing.F) {
	for _, s := range tcpStreams() {
		f.Add(bytes.Join(s, nil))
	}
	b := startQuietly(f)
	f.Fuzz(func(t *testing.T, stream []byte) {
		if !b.tcp.Serve(bytes.SplitAfter(stream, []byte{'\n'})) {
			t.Error("the stream is not at its end")
		}
		if n := b.Panics(); n != 0 {
			t.Errorf("%d panics", n)
		}
		if a, err := b.do(t.Context(), http.MethodGet, "/debug", ""); err != nil || a.body != "{}" {
			t.Errorf("somebody is still registered: %s, %v", a.body, err)
		}
		b.DeleteTopics()
	})
}

// How much memory connections that stall take, each in its own way.
func TestStalledConnectionsAreCheap(t *testing.T) {
	const (
		connections = 300
		mostEach    = 32 << 10
	)
	opts := nsqtest.LookupdOptions(t)
	opts.Logger = slog.New(slog.DiscardHandler)
	d := nsqtest.StartLookupd(t, opts)
	for name, sent := range map[string]string{
		"nothing":             "",
		"the magic":           "  V1",
		"most of a line":      "  V1" + string(bytes.Repeat([]byte{'x'}, 4095)),
		"a body, announced":   "  V1IDENTIFY\n\x00\x00\x40\x00{",
		"most of a body":      "  V1IDENTIFY\n\x00\x00\x40\x00" + string(bytes.Repeat([]byte{' '}, 16383)),
		"a registered nsqd":   "  V1" + identifyCommand + "REGISTER t c\n",
		"answers nobody read": "  V1" + string(bytes.Repeat([]byte("PING\n"), 10_000)),
	} {
		t.Run(name, func(t *testing.T) {
			before, goroutines := nsqtest.MemoryInUse(), runtime.NumGoroutine()
			var conns []*rawClient
			for range connections {
				c := connect(t, d.RealTCPAddr())
				c.send(sent)
				conns = append(conns, c)
			}
			nsqtest.Eventually(t, "all are served", func() bool { return runtime.NumGoroutine() >= goroutines+connections })
			each := (nsqtest.MemoryInUse() - before) / connections
			t.Logf("%d bytes each", each)
			if each > mostEach && !nsqtest.RaceEnabled { // whose stacks are larger
				t.Errorf("%d bytes for each connection, want at most %d", each, mostEach)
			}
			for _, c := range conns {
				c.close()
			}
			nsqtest.Eventually(t, "all are gone", func() bool { return runtime.NumGoroutine() <= goroutines })
		})
	}
}
