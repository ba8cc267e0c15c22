package nsqlookupd_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
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

// How many mutated streams are sent: over connections that never leave the
// process, and over sockets. The race detector takes several times as long, so
// that it gets a tenth; NSQD_TEST_STREAMS sets another number.
const (
	streams       = 100_000
	socketStreams = 3000
	streamSeed    = 4160
)

func streamCount(t *testing.T) int {
	if env := os.Getenv("NSQD_TEST_STREAMS"); env != "" {
		n, err := strconv.Atoi(env)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if tooltest.RaceEnabled || testing.Short() {
		return streams / 10
	}
	return streams
}

// streamNumber returns a stream that is the same in every run.
func streamNumber(i int, tcp, web []nsqtest.ByteStream) (s nsqtest.ByteStream, isHTTP bool) {
	rnd := rand.New(rand.NewPCG(streamSeed, uint64(i)))
	if i%3 == 0 {
		return nsqtest.Mutate(rnd, web), true
	}
	return nsqtest.Mutate(rnd, tcp), false
}

func startQuietly(tb testing.TB) *bubble {
	opts := nsqtest.LookupdOptions(tb)
	opts.Logger = slog.New(slog.DiscardHandler)
	return startInBubble(tb, opts)
}

// Whatever clients send, it goes on, gives everything back and serves others.
func TestMutatedStreams(t *testing.T) {
	const (
		round      = 2000
		workers    = 8
		mostMemory = 32 << 20
	)
	b := startQuietly(t)
	tcp, web := tcpStreams(), httpStreams()
	count := streamCount(t)
	start := time.Now()
	serve := func(i int) {
		s, isHTTP := streamNumber(i, tcp, web)
		l := b.tcp
		if isHTTP {
			l = b.http
		}
		if !l.Serve(s) {
			t.Errorf("stream %d is not at its end: %q", i, s)
		}
	}
	for i := range 1000 { // what is only ever made once
		serve(i)
	}
	b.DeleteTopics()
	before, memory := runtime.NumGoroutine(), nsqtest.MemoryInUse()
	files := nsqtest.OpenFiles()
	var most int64
	for first := 0; first < count && !t.Failed(); first += round {
		var next atomic.Int64
		var running sync.WaitGroup
		for range workers {
			running.Go(func() {
				for i := int(next.Add(1)) - 1; i < round; i = int(next.Add(1)) - 1 {
					serve(first + i)
				}
			})
		}
		running.Wait()
		if n := b.Panics(); n != 0 {
			t.Errorf("%d panics with streams %d to %d", n, first, first+round)
		}
		most = max(most, nsqtest.MemoryInUse()-memory)
		b.DeleteTopics()
	}
	t.Logf("%d streams in %v, at most %d KiB more memory at the end of a round of %d", count, time.Since(start), most>>10, round)
	if most > mostMemory {
		t.Errorf("memory grew by %d KiB", most>>10)
	}
	wantResources(t, before, files)
	if grown := nsqtest.MemoryInUse() - memory; grown > 2<<20 {
		t.Errorf("%d KiB of memory are not given back", grown>>10)
	}
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
	before, files := runtime.NumGoroutine(), nsqtest.OpenFiles()

	tcp, web := tcpStreams(), httpStreams()
	var next atomic.Int64
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for i := int(next.Add(1)) - 1; i < socketStreams; i = int(next.Add(1)) - 1 {
				s, isHTTP := streamNumber(i, tcp, web)
				addr := d.RealTCPAddr()
				if isHTTP {
					addr = d.RealHTTPAddr()
				}
				if err := sendStream(addr, s, i); err != nil && !isClosed(err) {
					t.Errorf("stream %d, %q: %v", i, s, err)
				}
			}
		})
	}
	running.Wait()
	if n := d.Panics(); n != 0 {
		t.Errorf("%d panics", n)
	}
	wantResources(t, before, files)
	if status, body := get(t, d, "/debug"); status != 200 || body != "{}" {
		t.Errorf("somebody is still registered: %d %s", status, body)
	}
}

// sendStream sends a stream over a connection of its own: the server ends it
// when it has read all, or earlier. Every third peer reads to the end, the
// others just vanish; half of those have read nothing.
func sendStream(addr net.Addr, s nsqtest.ByteStream, i int) error {
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		return err
	}
	var answered sync.WaitGroup
	defer answered.Wait()
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	if i%3 > 0 {
		answered.Go(func() { io.Copy(io.Discard, conn) })
	}
	for _, piece := range s {
		if _, err := conn.Write(piece); err != nil {
			return err
		}
	}
	if i%3 == 2 {
		if err := conn.(*net.TCPConn).CloseWrite(); err == nil {
			answered.Wait()
		}
	}
	return nil
}

// wantResources waits until no more goroutines run and no more files are open
// than there were.
func wantResources(t *testing.T, goroutines, files int) {
	t.Helper()
	nsqtest.Eventually(t, "goroutines and descriptors are back at the start's level", func() bool {
		return runtime.NumGoroutine() <= goroutines && nsqtest.OpenFiles() <= files
	})
	t.Logf("at the end %d goroutines and %d descriptors, at the start %d and %d", runtime.NumGoroutine(), nsqtest.OpenFiles(), goroutines, files)
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
			if each > mostEach && !tooltest.RaceEnabled { // whose stacks are larger
				t.Errorf("%d bytes for each connection, want at most %d", each, mostEach)
			}
			for _, c := range conns {
				c.close()
			}
			nsqtest.Eventually(t, "all are gone", func() bool { return runtime.NumGoroutine() <= goroutines })
		})
	}
}
