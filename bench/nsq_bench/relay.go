package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"

	"github.com/seed893f581e/nsq/internal/load"
	"github.com/seed893f581e/nsq/internal/process"
	"github.com/seed893f581e/nsq/internal/wire"
)

// The relay is this program started again, with the size of a block in the
// environment. It passes blocks on from producers to consumers, a producer and a
// consumer in pairs, answers each with OK, and reads what consumers send.
const relayVariable = "NSQ_BENCH_RELAY"

// What a connection to the relay begins with.
const (
	roleProducer = 'P'
	roleConsumer = 'C'
)

// serveRelay is the relay's process. It ends when its standard input does.
func serveRelay(block string, stdin io.Reader, stderr io.Writer) error {
	size, err := strconv.Atoi(block)
	if err != nil || size < 1 {
		return fmt.Errorf("%s must be the size of a block in bytes, is %q", relayVariable, block)
	}
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
		var role [1]byte
		if _, err := io.ReadFull(nc, role[:]); err != nil {
			return err
		}
		if role[0] == roleProducer {
			producers <- nc
		} else {
			consumers <- nc
		}
		if len(producers) > 0 && len(consumers) > 0 {
			go relay(<-producers, <-consumers, size)
		}
	}
}

// relay serves one pair until either goes away.
func relay(producer, consumer net.Conn, size int) {
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
	block := make([]byte, size)
	ok := wire.AppendFrame(nil, wire.FrameResponse, wire.OK)
	for {
		if _, err := io.ReadFull(producer, block); err != nil {
			return
		}
		if _, err := consumer.Write(block); err != nil {
			return
		}
		if _, err := producer.Write(ok); err != nil {
			return
		}
	}
}

// startRelay starts the relay for blocks of a size.
func startRelay(ctx context.Context, size int) (*process.Server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return process.StartServer(ctx, process.Command{Path: self, Env: []string{fmt.Sprintf("%s=%d", relayVariable, relayBlock(size))}})
}

func relayBlock(size int) int { return len(load.Frames(load.Bodies(perBatch, size)).Bytes()) }

// runLimit is pubsub with the relay in place of nsqd.
func runLimit(ctx context.Context, r *round) error {
	g := load.NewGroup(ctx)
	defer g.Stop()
	gate := load.NewGate(backlog, 1)
	var consumers []*load.Consumer
	var producers []*load.Producer
	for i := range pubsub.producers {
		nc, err := r.dialRelay(g.Context(), roleConsumer)
		if err != nil {
			return err
		}
		c := &load.Consumer{Conn: load.NewConn(nc), Took: func(n int) { gate.Consumed(0, n) }}
		g.Run(func(context.Context) error { return c.Run() })
		consumers = append(consumers, c)
		if nc, err = r.dialRelay(g.Context(), roleProducer); err != nil {
			return err
		}
		batch := load.Frames(load.Bodies(perBatch, r.size))
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
func (r *round) dialRelay(ctx context.Context, role byte) (net.Conn, error) {
	nc, err := net.Dial("tcp", r.server.TCP)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { nc.Close() })
	if _, err := nc.Write([]byte{role}); err != nil {
		return nil, err
	}
	return nc, nil
}
