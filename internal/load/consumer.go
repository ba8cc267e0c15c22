package load

import (
	"context"
	"fmt"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// A Consumer takes the messages of one channel over one connection and finishes
// them.
type Consumer struct {
	Conn     *Conn
	Finished Tally // of the goroutine that runs Run
	Bytes    int64 // of the bodies that were finished; like Finished

	// Requeue, if it is not nil, decides whether a message is requeued, at once,
	// rather than finished.
	Requeue func(m *wire.Message) bool

	// Took is called with what a read brought, after it was answered. It may be nil.
	Took func(messages int)

	// Timed, if it is not nil, is called for every message that is finished, with
	// the time that it bears and the time at which it arrived.
	Timed func(stamp, now int64)

	out []byte
}

// Now is the clock of the times in messages: nanoseconds since the program began,
// never set back.
func Now() int64 { return int64(time.Since(began)) }

var began = time.Now()

// Subscribe connects, and subscribes to a channel with that RDY.
func Subscribe(ctx context.Context, addr string, s Settings, topic, channel string, rdy int) (*Consumer, error) {
	c, err := Dial(ctx, addr, s)
	if err != nil {
		return nil, err
	}
	err = c.Write(wire.AppendSub(nil, topic, channel))
	if err == nil {
		err = c.expectOK()
	}
	if err == nil {
		err = c.Write(wire.AppendRdy(nil, rdy))
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("subscribing to %s/%s: %w", topic, channel, err)
	}
	return &Consumer{Conn: c}, nil
}

// Run takes messages until the connection fails, and returns why.
func (c *Consumer) Run() error {
	for {
		if err := c.step(); err != nil {
			return fmt.Errorf("consuming: %w", err)
		}
	}
}

// step reads once and answers what that brought.
func (c *Consumer) step() error {
	c.out = c.out[:0]
	n := 0
	var now int64
	_, err := c.Conn.frames(func(data []byte) error {
		m, err := wire.ParseMessage(data)
		if err != nil {
			return err
		}
		if len(m.Body) < MinSize {
			return fmt.Errorf("a message of %d bytes is not one of ours", len(m.Body))
		}
		n++
		if c.Requeue != nil && c.Requeue(&m) {
			c.out = wire.AppendReq(c.out, m.ID, 0)
			return nil
		}
		if c.Timed != nil {
			if now == 0 {
				now = Now()
			}
			c.Timed(stamp(m.Body), now)
		}
		c.Finished.Add(number(m.Body))
		c.Bytes += int64(len(m.Body))
		c.out = wire.AppendFin(c.out, m.ID)
		return nil
	})
	if err != nil || n == 0 {
		return err
	}
	if err := c.Conn.Write(c.out); err != nil {
		return err
	}
	if c.Took != nil {
		c.Took(n)
	}
	return nil
}
