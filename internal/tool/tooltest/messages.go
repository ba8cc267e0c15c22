package tooltest

import (
	"bufio"
	"net"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// receiveTimeout is how long messages that are there may take to arrive. It is
// far less than the time after which nsqd delivers a lost message again.
const receiveTimeout = 40 * time.Second

// Broker is an nsqd, inside the test or not.
type Broker interface{ TCPAddr() string }

// Publish publishes messages, in order.
func Publish(tb testing.TB, d Broker, topic string, bodies ...string) {
	tb.Helper()
	c := dial(tb, d)
	defer c.nc.Close()
	go func() { // the answers are read meanwhile
		var b []byte
		for _, body := range bodies {
			b = wire.AppendPub(b, topic, []byte(body))
		}
		_, _ = c.nc.Write(b) // without which there is no answer
	}()
	for range bodies {
		c.expect(wire.OK)
	}
}

// Receive waits for n messages of a channel, which may not be more than 2500,
// and takes exactly those.
func Receive(tb testing.TB, d Broker, topic, channel string, n int) []string {
	tb.Helper()
	c := dial(tb, d)
	defer c.nc.Close()
	c.subscribe(topic, channel, n)
	var messages []wire.Message
	for len(messages) < n {
		messages = append(messages, c.message())
	}
	c.write(wire.AppendRdy(nil, 0)) // nothing takes the place of what is finished
	var bodies []string
	for _, m := range messages {
		c.write(wire.AppendFin(nil, m.ID))
		bodies = append(bodies, string(m.Body))
	}
	c.unsubscribe()
	return bodies
}

// Drain takes all messages of a channel, which nothing else may write to. They
// must not be so many that some of them are on disk.
func Drain(tb testing.TB, d Broker, topic, channel string) []string {
	tb.Helper()
	const end = "the end of the channel"
	Publish(tb, d, topic, end)
	c := dial(tb, d)
	defer c.nc.Close()
	c.subscribe(topic, channel, 2500)
	var bodies []string
	for {
		m := c.message()
		c.write(wire.AppendFin(nil, m.ID))
		if string(m.Body) == end {
			c.unsubscribe()
			return bodies
		}
		bodies = append(bodies, string(m.Body))
	}
}

// client is a connection to a broker. Its methods end the test on failure.
type client struct {
	tb testing.TB
	nc net.Conn
	br *bufio.Reader
}

func dial(tb testing.TB, d Broker) *client {
	tb.Helper()
	nc, err := net.Dial("tcp", d.TCPAddr())
	if err != nil {
		tb.Fatal(err)
	}
	if err := nc.SetDeadline(time.Now().Add(receiveTimeout)); err != nil {
		tb.Fatal(err)
	}
	c := &client{tb, nc, bufio.NewReader(nc)}
	c.write([]byte(wire.MagicV2))
	return c
}

func (c *client) write(b []byte) {
	c.tb.Helper()
	if _, err := c.nc.Write(b); err != nil {
		c.tb.Fatal(err)
	}
}

func (c *client) subscribe(topic, channel string, ready int) {
	c.tb.Helper()
	c.write(wire.AppendSub(nil, topic, channel))
	c.expect(wire.OK)
	c.write(wire.AppendRdy(nil, ready))
}

// unsubscribe returns when nsqd has dealt with everything it was sent.
func (c *client) unsubscribe() {
	c.tb.Helper()
	c.write(wire.AppendCls(nil))
	c.expect(wire.CloseWait)
}

func (c *client) expect(response string) {
	c.tb.Helper()
	t, data, err := wire.ReadFrame(c.br, nil, 0)
	if err != nil || t != wire.FrameResponse || string(data) != response {
		c.tb.Fatalf("nsqd answered %d %q, %v, want %s", t, data, err, response)
	}
}

func (c *client) message() wire.Message {
	c.tb.Helper()
	t, data, err := wire.ReadFrame(c.br, nil, 0)
	if err != nil || t != wire.FrameMessage {
		c.tb.Fatalf("nsqd sent %d %q, %v, want a message", t, data, err)
	}
	m, err := wire.ParseMessage(data)
	if err != nil {
		c.tb.Fatal(err)
	}
	return m
}
