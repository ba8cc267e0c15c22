package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/seed893f581e/nsq/internal/load"
	"github.com/seed893f581e/nsq/internal/process"
	"github.com/seed893f581e/nsq/internal/wire"
)

// The relay is this program started again, with this variable in the environment.
// It passes blocks on from producers to consumers, a producer and a consumer in
// pairs, answers each with OK, and reads what consumers send. Blocks of producers
// that have no consumer are only answered.
const relayVariable = "NSQ_BENCH_RELAY"

// What a connection to the relay begins with; then comes the size of a block.
const (
	roleProducer = 'P'
	roleConsumer = 'C'
	roleAlone    = 'A' // a producer without a consumer
)

const relayHeaderLen = 1 + wire.SizeLen

// serveRelay is the relay's process. It ends when its standard input does.
func serveRelay(stdin io.Reader, stderr io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // whatever ends it
		l.Close()
	}()
	// In the words of nsqd, so that both are waited for alike.
	fmt.Fprintf(stderr, "relay: TCP: listening on %s\nrelay: HTTP: listening on none\n", l.Addr())
	producers, consumers := make(chan net.Conn, 64), make(chan net.Conn, 64)
	for {
		nc, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return err
		}
		header := make([]byte, relayHeaderLen)
		if _, err := io.ReadFull(nc, header); err != nil {
			return err
		}
		size, err := wire.ParseSize(header[1:])
		if err != nil {
			return err
		}
		switch header[0] {
		case roleProducer:
			producers <- nc
		case roleConsumer:
			consumers <- nc
		case roleAlone:
			go answer(nc, make([]byte, size))
		}
		if len(producers) > 0 && len(consumers) > 0 {
			go relay(<-producers, <-consumers, make([]byte, size))
		}
	}
}

// relay serves one pair until either goes away.
func relay(producer, consumer net.Conn, block []byte) {
	var answers sync.WaitGroup
	defer answers.Wait()
	defer consumer.Close()
	defer producer.Close()
	answers.Go(func() {
		buf := make([]byte, 64<<10)
		for {
			if _, err := consumer.Read(buf); err != nil {
				return
			}
		}
	})
	for {
		if _, err := io.ReadFull(producer, block); err != nil {
			return
		}
		if _, err := consumer.Write(block); err != nil {
			return
		}
		if _, err := producer.Write(relayOK); err != nil {
			return
		}
	}
}

// answer serves a producer that has no consumer.
func answer(producer net.Conn, block []byte) {
	defer producer.Close()
	for {
		if _, err := io.ReadFull(producer, block); err != nil {
			return
		}
		if _, err := producer.Write(relayOK); err != nil {
			return
		}
	}
}

var relayOK = wire.AppendFrame(nil, wire.FrameResponse, wire.OK)

// startRelay starts the relay.
func startRelay(ctx context.Context) (*process.Server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return process.StartServer(ctx, process.Command{Path: self, Env: []string{relayVariable + "=1"}})
}

// runLimit1 is pub1 with the relay in place of nsqd.
func runLimit1(ctx context.Context, r *round) error {
	g := load.NewGroup(ctx) // for the connections
	defer g.Stop()
	ps := make([]*load.Producer, pub1Producers)
	for i := range ps {
		batch := singleOf(r.size)
		nc, err := r.dialRelay(g.Context(), roleAlone, len(batch.Bytes()))
		if err != nil {
			return err
		}
		ps[i] = load.NewProducer(load.NewConn(nc), batch, 1, i)
	}
	r.begin(0)
	sent, err := r.publish(ctx, ps)
	if err != nil {
		return err
	}
	r.end(sent.Count)
	return nil
}

// runLimit is pubsub with the relay in place of nsqd.
func runLimit(ctx context.Context, r *round) error {
	g := load.NewGroup(ctx)
	defer g.Stop()
	gate := load.NewGate(backlog, 1)
	var consumers []*load.Consumer
	var producers []*load.Producer
	for i := range pubsub.producers {
		batch := load.Frames(load.Bodies(perBatch, r.size))
		nc, err := r.dialRelay(g.Context(), roleConsumer, len(batch.Bytes()))
		if err != nil {
			return err
		}
		c := &load.Consumer{Conn: load.NewConn(nc), Took: func(n int) { gate.Consumed(0, n) }}
		g.Run(func(context.Context) error { return c.Run() })
		consumers = append(consumers, c)
		if nc, err = r.dialRelay(g.Context(), roleProducer, len(batch.Bytes())); err != nil {
			return err
		}
		producers = append(producers, load.NewProducer(load.NewConn(nc), batch, pubsub.window, i))
	}
	sent, err := r.steady(g.Context(), producers, gate)
	if err != nil {
		return err
	}
	if err := arrived(g.Context(), gate, sent.Count); err != nil {
		return err
	}
	if err := g.Stop(); err != nil {
		return err
	}
	return compare(sent, finished(consumers), 1)
}

// dialRelay connects to the relay for as long as ctx.
func (r *round) dialRelay(ctx context.Context, role byte, block int) (net.Conn, error) {
	nc, err := net.Dial("tcp", r.server.TCP)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { nc.Close() })
	if _, err := nc.Write(wire.AppendSize([]byte{role}, block)); err != nil {
		return nil, err
	}
	return nc, nil
}
