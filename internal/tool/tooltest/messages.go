package tooltest

import (
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsq"
)

// receiveTimeout is how long messages that are there may take to arrive. It is
// far less than the time after which nsqd delivers a lost message again.
const receiveTimeout = 20 * time.Second

// Publish publishes messages, in order.
func Publish(tb testing.TB, d *nsqtest.NSQD, topic string, bodies ...string) {
	tb.Helper()
	p, err := nsq.NewProducer(d.TCPAddr(), nsq.NewConfig())
	if err != nil {
		tb.Fatal(err)
	}
	p.SetLogger(nil, nsq.LogLevelError)
	defer p.Stop()
	for _, body := range bodies {
		if err := p.Publish(topic, []byte(body)); err != nil {
			tb.Fatal(err)
		}
	}
}

// Receive waits for n messages of a channel, which may not be more than 2500,
// and takes exactly those.
func Receive(tb testing.TB, d *nsqtest.NSQD, topic, channel string, n int) []string {
	tb.Helper()
	var bodies []string
	receive(tb, d, topic, channel, n, func(m *nsq.Message) bool {
		bodies = append(bodies, string(m.Body))
		return len(bodies) == n
	})
	return bodies
}

// Drain takes all messages of a channel, which nothing else may write to. They
// must not be so many that some of them are on disk.
func Drain(tb testing.TB, d *nsqtest.NSQD, topic, channel string) []string {
	tb.Helper()
	const end = "the end of the channel"
	Publish(tb, d, topic, end)
	var bodies []string
	receive(tb, d, topic, channel, 2500, func(m *nsq.Message) bool {
		if string(m.Body) == end {
			return true
		}
		bodies = append(bodies, string(m.Body))
		m.Finish()
		return false
	})
	return bodies
}

// receive calls f with messages, one at a time, until it returns true. Then
// those that f did not finish are finished.
func receive(tb testing.TB, d *nsqtest.NSQD, topic, channel string, maxInFlight int, f func(*nsq.Message) bool) {
	tb.Helper()
	config := nsq.NewConfig()
	config.MaxInFlight = maxInFlight
	c, err := nsq.NewConsumer(topic, channel, config)
	if err != nil {
		tb.Fatal(err)
	}
	c.SetLogger(nil, nsq.LogLevelError)
	arrived := make(chan *nsq.Message, maxInFlight)
	c.AddHandler(nsq.HandlerFunc(func(m *nsq.Message) error {
		m.DisableAutoResponse()
		arrived <- m
		return nil
	}))
	if err := c.ConnectToNSQD(d.TCPAddr()); err != nil {
		tb.Fatal(err)
	}

	timeout := time.After(receiveTimeout)
	var taken []*nsq.Message
	for done := false; !done; {
		select {
		case m := <-arrived:
			taken = append(taken, m)
			done = f(m)
		case <-timeout:
			tb.Errorf("only %d messages in %s/%s", len(taken), topic, channel)
			done = true
		}
	}
	c.Stop() // first, so that nothing takes the place of what is finished
	for _, m := range taken {
		m.Finish()
	}
	<-c.StopChan
}
