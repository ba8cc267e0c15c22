package nsqd_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// How many mutated streams are sent: over connections that never leave the
// process, and over sockets. The race detector takes several times as long, so
// that it gets a tenth; NSQD_TEST_STREAMS sets another number.
const (
	streams       = 100_000
	socketStreams = 3000
	streamSeed    = 4150
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
func streamNumber(i int, tcp, http []nsqtest.ByteStream) (s nsqtest.ByteStream, isHTTP bool) {
	rnd := rand.New(rand.NewPCG(streamSeed, uint64(i)))
	if i%3 == 0 {
		return nsqtest.Mutate(rnd, http), true
	}
	return nsqtest.Mutate(rnd, tcp), false
}

// Whatever clients send, the broker goes on, gives everything back and serves
// others.
func TestMutatedStreams(t *testing.T) {
	const (
		round      = 2000
		workers    = 8
		mostMemory = 64 << 20
	)
	opts := nsqtest.Options(t)
	opts.Logger = slog.New(slog.DiscardHandler)
	b := startInBubble(t, opts)
	deleteTopics := func() {
		t.Helper()
		if err := b.DeleteTopics(); err != nil {
			t.Fatal(err)
		}
	}
	tcp, http := tcpStreams(), httpStreams()
	count := streamCount(t)
	start := time.Now()
	serve := func(i int) {
		s, isHTTP := streamNumber(i, tcp, http)
		l := b.listener
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
	deleteTopics()
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
		deleteTopics()
	}
	t.Logf("%d streams in %v, at most %d KiB more memory at the end of a round of %d", count, time.Since(start), most>>10, round)
	if most > mostMemory {
		t.Errorf("memory grew by %d KiB", most>>10)
	}
	wantResources(t, before, files)
	if grown := nsqtest.MemoryInUse() - memory; grown > 4<<20 {
		t.Errorf("%d KiB of memory are not given back", grown>>10)
	}
	c := b.dial()
	c.sub("after", "c")
	c.rdy(1)
	b.dial().pub("after", "message")
	c.fin(c.wantMessage("message", 1))
}

// The same over sockets, where peers close, half-close and do not read.
func TestMutatedStreamsOverSockets(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.Logger = slog.New(slog.DiscardHandler)
	n := nsqtest.Start(t, opts)
	dialRaw(t, n).pub("t", "message")
	before, files := runtime.NumGoroutine(), nsqtest.OpenFiles()

	tcp, http := tcpStreams(), httpStreams()
	var next atomic.Int64
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for i := int(next.Add(1)) - 1; i < socketStreams; i = int(next.Add(1)) - 1 {
				s, isHTTP := streamNumber(i, tcp, http)
				addr := n.RealTCPAddr()
				if isHTTP {
					addr = n.RealHTTPAddr()
				}
				if i%10 == 0 {
					answerMutated(t, n, i)
					continue
				}
				if err := sendStream(addr, s, i); err != nil {
					t.Errorf("stream %d, %q: %v", i, s, err)
				}
			}
		})
	}
	running.Wait()
	if n := n.Panics(); n != 0 {
		t.Errorf("%d panics", n)
	}
	c := dialRaw(t, n)
	c.pub("after", "message")
	c.consume("after", "c", 1)
	c.fin(c.wantMessage("message", 1))
	c.close()
	if err := n.DeleteTopics(); err != nil {
		t.Error(err)
	}
	wantResources(t, before, files)
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

// sendStream sends a stream over a connection of its own: the broker ends it
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
		answered.Go(func() { _, err = io.Copy(io.Discard, conn) })
	}
	for _, piece := range s {
		if _, err := conn.Write(piece); err != nil {
			return ignoreClosed(err)
		}
	}
	if i%3 == 2 {
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			return ignoreClosed(err)
		}
		answered.Wait()
		return ignoreClosed(err)
	}
	return nil
}

// ignoreClosed returns err, unless it says that the broker closed the
// connection.
func ignoreClosed(err error) error {
	if err == nil || isClosed(err) || errors.Is(err, syscall.ENOTCONN) {
		return nil
	}
	return err
}

// answerMutated takes a message and sends mutated answers to it.
func answerMutated(t *testing.T, n *nsqtest.NSQD, i int) {
	c := dialRaw(t, n)
	defer c.close()
	c.pub("answers", "message")
	c.consume("answers", "c", 1)
	id := c.message().ID
	answers := []nsqtest.ByteStream{{wire.AppendTouch(nil, id), wire.AppendReq(nil, id, 0), wire.AppendFin(nil, id), wire.AppendCls(nil)}}
	for _, piece := range nsqtest.Mutate(rand.New(rand.NewPCG(streamSeed, uint64(i))), answers) {
		if c.trySend(piece) != nil {
			return
		}
	}
}

// FuzzTCP sends the broker whatever the fuzzer finds, a line at a time.
func FuzzTCP(f *testing.F) {
	for _, s := range tcpStreams() {
		f.Add(bytes.Join(s, nil))
	}
	fuzzStreams(f, func(b *bubble) *nsqtest.PipeListener { return b.listener })
}

// FuzzHTTP is FuzzTCP for the HTTP API.
func FuzzHTTP(f *testing.F) {
	for _, s := range httpStreams() {
		f.Add(bytes.Join(s, nil))
	}
	fuzzStreams(f, func(b *bubble) *nsqtest.PipeListener { return b.http })
}

func fuzzStreams(f *testing.F, listener func(*bubble) *nsqtest.PipeListener) {
	opts := nsqtest.Options(f)
	opts.Logger = slog.New(slog.DiscardHandler)
	b := startInBubble(f, opts)
	l := listener(b)
	sent := 0
	f.Fuzz(func(t *testing.T, stream []byte) {
		if !l.Serve(bytes.SplitAfter(stream, []byte{'\n'})) {
			t.Error("the stream is not at its end")
		}
		if n := b.Panics(); n != 0 {
			t.Errorf("%d panics", n)
		}
		if sent++; sent%1000 == 0 {
			if err := b.DeleteTopics(); err != nil {
				t.Error(err)
			}
		}
	})
}
