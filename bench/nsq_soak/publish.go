package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"

	"github.com/seed893f581e/nsq/internal/load"
	"github.com/seed893f581e/nsq/internal/wire"
)

// A publisher publishes to one topic at a steady rate, in one way.
type publisher struct {
	soak   *soak
	ledger *ledger
	way    *way
	rate   float64 // messages per second
	rnd    *rand.Rand
	bodies [][]byte
	buf    []byte
}

// A way of publishing.
type way struct {
	name  string
	share float64 // of all messages
	most  int     // messages in a round
	delay time.Duration
	begin func(ctx context.Context, in *instance) (connection, error)
}

// A connection publishes rounds of messages to one nsqd.
type connection interface {
	// publish publishes the messages from the number first on, and notes what became
	// of each. After an error the connection is of no use.
	publish(p *publisher, first uint64) error
	close()
}

var ways = []*way{
	{name: "PUB", share: 0.40, most: 200, begin: dialTCP(appendPubs)},
	{name: "MPUB", share: 0.25, most: 500, begin: dialTCP(appendMPub)},
	{name: "DPUB", share: 0.03, most: 20, delay: 3 * time.Second, begin: dialTCP(appendDPubs)},
	{name: "/mpub", share: 0.13, most: 200, begin: dialHTTP(postText)},
	{name: "/mpub?binary", share: 0.15, most: 500, begin: dialHTTP(postBinary)},
	{name: "/pub", share: 0.03, most: 5, begin: dialHTTP(postEach)},
	{name: "/pub?defer", share: 0.01, most: 5, delay: 3 * time.Second, begin: dialHTTP(postEachDeferred)},
}

// run publishes until ctx ends, to one nsqd after the other.
func (p *publisher) run(ctx context.Context) error {
	next := time.Now()
	for ctx.Err() == nil {
		in, leave := p.soak.enter(ctx)
		if in == nil {
			return nil
		}
		err := p.publishTo(ctx, in, &next)
		leave()
		if err != nil && !in.isStopping() {
			return fmt.Errorf("publishing to %s by %s: %w", p.ledger.topic, p.way.name, err)
		}
	}
	return nil
}

// publishTo publishes to one nsqd until ctx ends or the connection fails.
func (p *publisher) publishTo(ctx context.Context, in *instance, next *time.Time) error {
	c, err := p.way.begin(context.WithoutCancel(ctx), in) // a round is not broken off
	if err != nil {
		return err
	}
	defer c.close()
	for {
		if load.Sleep(ctx, time.Until(*next)) != nil {
			return nil
		}
		count := 1 + p.rnd.IntN(p.way.most)
		if *next = next.Add(time.Duration(float64(count) / p.rate * 1e9)); time.Since(*next) > time.Second {
			*next = time.Now() // what was missed is not made up for
		}
		first := p.ledger.take(count)
		p.bodies = p.bodies[:0]
		p.buf = p.buf[:0]
		for i := range count {
			at := len(p.buf)
			p.buf = p.ledger.bodies.append(p.buf, p.ledger.index, first+uint64(i))
			p.bodies = append(p.bodies, p.buf[at:len(p.buf):len(p.buf)])
		}
		if err := c.publish(p, first); err != nil {
			return err
		}
	}
}

// delayOf decides how long a message is deferred, and notes when it is due. It is
// called before the message is sent.
func (p *publisher) delayOf(n uint64) time.Duration {
	d := between(p.rnd, 0, p.way.delay).Truncate(time.Millisecond)
	p.ledger.deferred(n, now()+int64(d))
	return d
}

// tcpConnection publishes by commands.
type tcpConnection struct {
	in     *instance
	nc     net.Conn
	br     *bufio.Reader
	encode encoder
	out    []byte
}

// An encoder appends the commands of a round; it returns how many messages each of
// them has, which is answered once: all, or one.
type encoder func(dst []byte, p *publisher, first uint64) (out []byte, each int)

func dialTCP(encode encoder) func(context.Context, *instance) (connection, error) {
	return func(ctx context.Context, in *instance) (connection, error) {
		nc, err := dial(ctx, in.server.TCP, map[string]any{})
		if err != nil {
			return nil, err
		}
		return &tcpConnection{in: in, nc: nc, br: bufio.NewReader(nc), encode: encode}, nil
	}
}

func appendPubs(dst []byte, p *publisher, _ uint64) ([]byte, int) {
	for _, body := range p.bodies {
		dst = wire.AppendPub(dst, p.ledger.topic, body)
	}
	return dst, 1
}

func appendMPub(dst []byte, p *publisher, _ uint64) ([]byte, int) {
	return wire.AppendMPub(dst, p.ledger.topic, p.bodies), len(p.bodies)
}

func appendDPubs(dst []byte, p *publisher, first uint64) ([]byte, int) {
	for i, body := range p.bodies {
		dst = wire.AppendDPub(dst, p.ledger.topic, p.delayOf(first+uint64(i)), body)
	}
	return dst, 1
}

func (c *tcpConnection) close() { c.nc.Close() }

func (c *tcpConnection) publish(p *publisher, first uint64) error {
	var each int
	c.out, each = c.encode(c.out[:0], p, first)
	left := len(p.bodies)
	err := c.nc.SetDeadline(time.Now().Add(patience))
	if err == nil {
		_, err = c.nc.Write(c.out)
	}
	for err == nil && left > 0 {
		err = c.answer()
		_, isRefused := errors.AsType[*wire.Error](err)
		o := acked
		switch {
		case isRefused:
			o = refused
		case err != nil:
			continue
		}
		p.ledger.note(first, each, o, c.in.incarnation)
		first += uint64(each)
		left -= each
	}
	if left > 0 {
		p.ledger.note(first, left, doubtful, c.in.incarnation)
	}
	return err
}

// answer reads the answer to one command.
func (c *tcpConnection) answer() error {
	for {
		t, data, err := wire.ReadFrame(c.br, nil, maxFrame)
		switch {
		case err != nil:
			return err
		case t == wire.FrameError:
			return wire.ParseError(data)
		case string(data) == wire.Heartbeat:
			if _, err := c.nc.Write(wire.AppendNop(nil)); err != nil {
				return err
			}
		case string(data) == wire.OK:
			return nil
		default:
			return fmt.Errorf("a publish was answered %q", data)
		}
	}
}
