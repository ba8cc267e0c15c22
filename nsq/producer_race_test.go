package nsq

import (
	"bufio"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// Publishing with and without contexts, lost connections, errors, an nsqd that is
// away or frozen, and stopping may meet in any way: every call returns, every
// transaction ends once, and nothing is left behind.
func TestProducerRaces(t *testing.T) {
	before := nsqtest.TakeResources()
	rounds := 0
	for start := time.Now(); time.Since(start) < 3*time.Second; rounds++ {
		raceProducer(t)
		if t.Failed() {
			break
		}
	}
	t.Logf("%d rounds", rounds)
	before.WaitFor(t)
}

func raceProducer(t *testing.T) {
	server := startRecklessServer(t)
	defer server.stop()
	p := newTestProducer(t, server.addr, nil)
	p.SetLogger(nil, LogLevelInfo)

	done := make(chan *ProducerTransaction)
	r := racers{p: p, done: done, open: map[int]bool{}}
	var receiver, publishers, stops sync.WaitGroup
	receiver.Go(func() {
		for tx := range done {
			r.ended(t, tx)
		}
	})
	for range 8 {
		publishers.Go(func() {
			for !errors.Is(r.publish(t), ErrStopped) {
			}
		})
	}
	<-time.After(rand.N(40 * time.Millisecond))
	for range 1 + rand.IntN(3) {
		stops.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), rand.N(20*time.Millisecond))
			defer cancel()
			if err := p.StopContext(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("StopContext returned %v", err)
			}
		})
	}
	nsqtest.Within(t, "StopContext", stops.Wait)
	nsqtest.Within(t, "publishers", publishers.Wait)
	nsqtest.Within(t, "Stop", p.Stop)
	close(done)
	receiver.Wait()
	if len(r.open) > 0 {
		t.Errorf("%d transactions did not end", len(r.open))
	}
}

// racers publish, and remember what has not ended.
type racers struct {
	p    *Producer
	done chan *ProducerTransaction

	mu   sync.Mutex // what follows
	last int
	open map[int]bool
}

// publish makes some call.
func (r *racers) publish(t *testing.T) error {
	ctx := t.Context()
	if rand.IntN(2) == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, rand.N(3*time.Millisecond))
		defer cancel()
	}
	switch rand.IntN(5) {
	case 0:
		return r.p.PingContext(ctx)
	case 1:
		return r.p.PublishContext(ctx, "t", []byte("x"))
	case 2:
		return r.p.MultiPublishContext(ctx, "t", [][]byte{make([]byte, 1000)})
	}
	r.mu.Lock()
	r.last++
	id := r.last
	r.open[id] = true
	r.mu.Unlock()
	err := r.p.PublishAsyncContext(ctx, "t", []byte("async"), r.done, id)
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.open, id)
	}
	return err
}

func (r *racers) ended(t *testing.T, tx *ProducerTransaction) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := tx.Args[0].(int)
	if !r.open[id] {
		t.Errorf("a transaction ended that was not open: %v", tx.Error)
	}
	delete(r.open, id)
}

// recklessServer is an nsqd whose connections end in every way.
type recklessServer struct {
	addr    string
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func startRecklessServer(t *testing.T) *recklessServer {
	ctx, cancel := context.WithCancel(t.Context())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &recklessServer{addr: ln.Addr().String(), cancel: cancel}
	s.running.Go(func() {
		defer ln.Close()
		defer context.AfterFunc(ctx, func() { ln.Close() })()
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			s.running.Go(func() {
				defer nc.Close()
				defer context.AfterFunc(ctx, func() { nc.Close() })()
				serveRecklessly(ctx, nc, rand.IntN(40))
			})
		}
	})
	return s
}

func (s *recklessServer) stop() {
	s.cancel()
	s.running.Wait()
}

// serveRecklessly answers n commands, IDENTIFY among them, and then ends the
// connection.
func serveRecklessly(ctx context.Context, nc net.Conn, n int) {
	c := &nsqtest.FakeConn{Conn: nc, Reader: bufio.NewReader(nc)}
	c.Reader.Discard(len(wire.MagicV2))
	for range n {
		line, _, err := c.Read()
		if err != nil {
			return
		}
		if line != "NOP" {
			nc.Write(wire.AppendFrame(nil, wire.FrameResponse, wire.OK))
		}
	}
	switch rand.IntN(8) {
	case 0:
		nc.Write(wire.AppendFrame(nil, wire.FrameError, "E_PUB_FAILED PUB failed"))
	case 1:
		nc.Write([]byte{0, 0, 0}) // a piece of a frame
	case 2:
		nc.Write([]byte("garbage, and more of it"))
	case 3:
		nc.Write(wire.AppendFrame(nil, wire.FrameResponse, wire.OK)) // which nobody may wait for
	case 4:
		<-ctx.Done() // frozen
	case 5:
		nc.(*net.TCPConn).SetLinger(0) // reset
	}
}
