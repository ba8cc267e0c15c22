package nsqtest

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// MutatedStreams are what a daemon has to survive: streams that begin like
// valid conversations and go wrong, the same in every run.
type MutatedStreams struct {
	TCP, HTTP []ByteStream // valid ones
	Seed      uint64
}

// Number returns one of them, and whether it is for HTTP, as every third is.
func (m *MutatedStreams) Number(i int) (s ByteStream, isHTTP bool) {
	rnd := rand.New(rand.NewPCG(m.Seed, uint64(i)))
	if i%3 == 0 {
		return Mutate(rnd, m.HTTP), true
	}
	return Mutate(rnd, m.TCP), false
}

// A StreamTarget is a daemon without a network.
type StreamTarget struct {
	TCP, HTTP *PipeListener
	Panics    func() uint64 // how many were survived
	Clear     func()        // takes back what streams have made
}

// pipeStreams is how many streams Play sends.
const pipeStreams = 100_000

// count is pipeStreams, but the race detector takes several times as long, so
// that it gets a tenth; NSQD_TEST_STREAMS sets another number.
func count(tb testing.TB) int {
	tb.Helper()
	if env := os.Getenv("NSQD_TEST_STREAMS"); env != "" {
		n, err := strconv.Atoi(env)
		if err != nil {
			tb.Fatal(err)
		}
		return n
	}
	if RaceEnabled || testing.Short() {
		return pipeStreams / 10
	}
	return pipeStreams
}

// Play sends many streams to d, which must end the connection of each, survive,
// take no more than mostMemory bytes for those of a round, and in the end give
// all resources back but mostKept bytes.
func (m *MutatedStreams) Play(t *testing.T, d StreamTarget, mostMemory, mostKept int64) {
	t.Helper()
	const (
		round   = 2000
		workers = 8
	)
	serve := func(i int) {
		s, isHTTP := m.Number(i)
		l := d.TCP
		if isHTTP {
			l = d.HTTP
		}
		if !l.Serve(s) {
			t.Errorf("stream %d is not at its end: %q", i, s)
		}
	}
	for i := range 1000 { // what is only ever made once
		serve(i)
	}
	d.Clear()
	count, start := count(t), time.Now()
	before := TakeResources()
	var most int64
	for first := 0; first < count && !t.Failed(); first += round {
		Concurrently(workers, round, func(i int) { serve(first + i) })
		if n := d.Panics(); n != 0 {
			t.Errorf("%d panics with streams %d to %d", n, first, first+round)
		}
		most = max(most, MemoryInUse()-before.Memory)
		d.Clear()
	}
	t.Logf("%d streams in %v, at most %d KiB more memory at the end of a round of %d", count, time.Since(start), most>>10, round)
	if most > mostMemory {
		t.Errorf("memory grew by %d KiB", most>>10)
	}
	before.WaitFor(t)
	if grown := MemoryInUse() - before.Memory; grown > mostKept {
		t.Errorf("%d KiB of memory are not given back", grown>>10)
	}
}

// Concurrently calls f with every number below n, in so many goroutines, and
// returns when all calls have.
func Concurrently(workers, n int, f func(i int)) {
	var next atomic.Int64
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	running.Wait()
}

// SendStream sends stream i over a connection of its own to addr: the daemon
// ends it when it has read all, or earlier, which is no error. Every third peer
// reads to the end, the others just vanish; half of those have read nothing.
func SendStream(addr net.Addr, s ByteStream, i int) error {
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		return err
	}
	var answered sync.WaitGroup
	defer answered.Wait()
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(streamPatience))
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

// ignoreClosed returns err, unless it says that the peer closed the connection.
func ignoreClosed(err error) error {
	if err == nil || IsClosed(err) || errors.Is(err, syscall.ENOTCONN) {
		return nil
	}
	return err
}

// IsClosed reports whether err says that the peer closed the connection: a
// reset is usual where it did not read all that was sent.
func IsClosed(err error) bool {
	return err == io.EOF || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe)
}
