package nsq

import (
	"bufio"
	"bytes"
	"net"
	"sync"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// benchNSQD accepts one connection and hands it to serve after IDENTIFY, from a
// goroutine that ends with the benchmark.
func benchNSQD(b testing.TB, serve func(nc net.Conn, br *bufio.Reader)) (addr string) {
	b.Helper()
	f := nsqtest.NewFake(b)
	var serving sync.WaitGroup
	serving.Go(func() {
		nc, ok := <-f.Conns
		if !ok {
			return
		}
		defer nc.Close()
		br := bufio.NewReaderSize(nc, 1<<18)
		c := &nsqtest.FakeConn{TB: b, Conn: nc, Reader: br}
		br.Discard(4)
		c.Read()
		c.Respond(nsqtest.Negotiated)
		serve(nc, br)
	})
	b.Cleanup(func() { serving.Wait() })
	return f.Addr
}

// answerPublications answers PUB commands with bodies of size bytes as fast as
// it can, once for every read.
func answerPublications(size int) func(net.Conn, *bufio.Reader) {
	ok := wire.AppendFrame(nil, wire.FrameResponse, wire.OK)
	return func(nc net.Conn, br *bufio.Reader) {
		var replies []byte
		for {
			if _, err := br.ReadSlice('\n'); err != nil {
				return
			}
			if _, err := br.Discard(wire.SizeLen + size); err != nil {
				return
			}
			replies = append(replies, ok...)
			if br.Buffered() == 0 {
				nc.Write(replies)
				replies = replies[:0]
			}
		}
	}
}

func benchProducer(b testing.TB, addr string) *Producer {
	b.Helper()
	p := newTestProducer(b, addr, nil)
	p.SetLogger(nil, LogLevelInfo)
	if err := p.Ping(); err != nil {
		b.Fatal(err)
	}
	return p
}

func BenchmarkPublish(b *testing.B) {
	body := make([]byte, 200)
	p := benchProducer(b, benchNSQD(b, skipNop(answerPublications(len(body)))))
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Publish("topic", body); err != nil {
			b.Fatal(err)
		}
	}
	p.Stop()
}

// skipNop takes the command that Ping sends.
func skipNop(serve func(net.Conn, *bufio.Reader)) func(net.Conn, *bufio.Reader) {
	return func(nc net.Conn, br *bufio.Reader) {
		br.ReadSlice('\n')
		serve(nc, br)
	}
}

func BenchmarkPublishConcurrently(b *testing.B) {
	body := make([]byte, 200)
	p := benchProducer(b, benchNSQD(b, skipNop(answerPublications(len(body)))))
	b.ReportAllocs()
	b.SetParallelism(50)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := p.Publish("topic", body); err != nil {
				b.Error(err)
				return
			}
		}
	})
	p.Stop()
}

func BenchmarkPublishAsync(b *testing.B) {
	body := make([]byte, 200)
	p := benchProducer(b, benchNSQD(b, skipNop(answerPublications(len(body)))))
	done := make(chan *ProducerTransaction, 1000)
	var drained sync.WaitGroup
	drained.Go(func() {
		for tx := range done {
			if tx.Error != nil {
				b.Error(tx.Error)
			}
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		if err := p.PublishAsync("topic", body, done); err != nil {
			b.Fatal(err)
		}
	}
	p.Stop()
	close(done)
	drained.Wait()
}

// BenchmarkConsume receives messages of 200 bytes and finishes them, with as
// many in flight as in the name.
func BenchmarkConsume(b *testing.B) {
	for _, bb := range []struct {
		name            string
		inFlight, hands int
	}{
		{"1 in flight", 1, 1},
		{"200 in flight", 200, 1},
		{"2500 in flight, 4 handlers", 2500, 4},
	} {
		b.Run(bb.name, func(b *testing.B) {
			r := newTestConsumer(b, func(c *Config) { c.MaxInFlight = bb.inFlight })
			r.SetLogger(nil, LogLevelInfo)
			handled := make(chan struct{}, 1<<16)
			r.AddConcurrentHandlers(HandlerFunc(func(*Message) error {
				handled <- struct{}{}
				return nil
			}), bb.hands)
			addr := benchNSQD(b, func(nc net.Conn, br *bufio.Reader) { pushMessages(nc, br, bb.inFlight) })
			if err := r.ConnectToNSQD(addr); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				<-handled
			}
			go func() { // handlers must not wait for the benchmark
				for range handled {
				}
			}()
			r.Stop()
			<-r.StopChan
			close(handled)
		})
	}
}

// pushMessages keeps n messages in flight until the client sends CLS.
func pushMessages(nc net.Conn, br *bufio.Reader, n int) {
	frame := wire.AppendMessageFrame(nil, 1, 1, 1, make([]byte, 200))
	out := wire.AppendFrame(nil, wire.FrameResponse, wire.OK)
	for {
		line, err := br.ReadSlice('\n')
		switch {
		case err != nil:
			return
		case bytes.HasPrefix(line, []byte("RDY")):
			out = append(out, bytes.Repeat(frame, n)...)
		case bytes.HasPrefix(line, []byte("FIN")):
			out = append(out, frame...)
		case bytes.HasPrefix(line, []byte("CLS")):
			nc.Write(wire.AppendFrame(nil, wire.FrameResponse, wire.CloseWait))
			for err == nil { // until the client is done
				_, err = br.ReadSlice('\n')
			}
			return
		}
		if br.Buffered() == 0 {
			nc.Write(out)
			out = out[:0]
		}
	}
}
