package nsq

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

var errUnreachable = errors.New("unreachable")

// dialedNSQD is an nsqd that may be away. It is reached over pipes, so that a test
// can run on a fake clock, and remembers when it was dialled. What it sends is up
// to the test, to which its ends of connections come.
type dialedNSQD struct {
	conns chan net.Conn

	mu      sync.Mutex // what follows
	away    bool
	slow    time.Duration // how long it takes to know
	dialled []time.Time
}

func (d *dialedNSQD) dial(ctx context.Context, addr string, cfg *Config) (*nsqdConn, error) {
	d.mu.Lock()
	d.dialled = append(d.dialled, time.Now())
	away, slow := d.away, d.slow
	d.mu.Unlock()
	select {
	case <-time.After(slow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if away {
		return nil, errUnreachable
	}
	client, server := net.Pipe()
	d.conns <- server
	return newNSQDConn(oneWay{client}, addr, cfg), nil
}

func (d *dialedNSQD) set(away bool, slow time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away, d.slow = away, slow
}

// attempts returns how often it was dialled since the last call, and the times
// between.
func (d *dialedNSQD) attempts() (n int, pauses []time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := 1; i < len(d.dialled); i++ {
		pauses = append(pauses, d.dialled[i].Sub(d.dialled[i-1]))
	}
	n = len(d.dialled)
	d.dialled = nil
	return n, pauses
}

// testReconnecting runs f on a fake clock with a producer for d.
func testReconnecting(t *testing.T, f func(t *testing.T, p *Producer, d *dialedNSQD)) {
	synctest.Test(t, func(t *testing.T) {
		p, err := NewProducer("fake", NewConfig())
		if err != nil {
			t.Fatal(err)
		}
		d := &dialedNSQD{conns: make(chan net.Conn, 1000)}
		p.SetLogger(nil, LogLevelInfo)
		p.dial = d.dial
		defer func() {
			p.Stop()
			close(d.conns)
			for nc := range d.conns {
				nc.Close()
			}
		}()
		f(t, p, d)
	})
}

// connect makes p publish a message and d answer it, and returns the connection.
func connect(t *testing.T, p *Producer, d *dialedNSQD) *nsqtest.FakeConn {
	t.Helper()
	done := make(chan *ProducerTransaction, 1)
	if err := p.PublishAsync("t", []byte("x"), done); err != nil {
		t.Fatal(err)
	}
	c := nsqtest.NewFakeConn(t, <-d.conns)
	c.Expect("PUB t")
	c.Respond(wire.OK)
	if tx := <-done; tx.Error != nil {
		t.Fatal(tx.Error)
	}
	return c
}

// A lost connection is made again without anybody asking: soon at first, then
// with pauses that are about twice as long each time.
func TestReconnectsInTheBackground(t *testing.T) {
	testReconnecting(t, func(t *testing.T, p *Producer, d *dialedNSQD) {
		c := connect(t, p, d)
		d.set(true, 0)
		d.attempts()
		lost := time.Now()
		c.Conn.Close()
		<-time.After(5 * time.Minute)
		if first := d.dialled[0].Sub(lost); first < attemptInterval/2 || first > attemptInterval {
			t.Errorf("the first attempt came after %v", first)
		}
		n, pauses := d.attempts()
		want := attemptInterval
		for i, pause := range pauses {
			want = min(2*want, maxReconnectPause)
			if pause < want/2 || pause > want {
				t.Errorf("pause %d is %v, want between %v and %v", i, pause, want/2, want)
			}
		}
		if n < 30 || n > 70 {
			t.Errorf("%d attempts in 5 minutes", n)
		}
		if len(slices.Compact(pauses)) < len(pauses)/2 {
			t.Errorf("the pauses have no jitter: %v", pauses)
		}

		d.set(false, 0)
		<-time.After(maxReconnectPause)
		if _, connected := p.load(); !connected {
			t.Error("nsqd is back, and there is no connection")
		}
		if n, _ := d.attempts(); n != 1 {
			t.Errorf("%d attempts to connect to what is there", n)
		}
	})
}

// Nothing is tried in the background before there was a connection.
func TestNoAttemptsThatNobodyAskedFor(t *testing.T) {
	testReconnecting(t, func(t *testing.T, p *Producer, d *dialedNSQD) {
		d.set(true, 0)
		for range 3 {
			if err := p.Ping(); err != errUnreachable {
				t.Errorf("Ping returned %v", err)
			}
		}
		d.attempts()
		<-time.After(time.Hour)
		if n, _ := d.attempts(); n != 0 {
			t.Errorf("%d attempts that nobody asked for", n)
		}
	})
}

// However many publish, an nsqd that is away is bothered ten times a second, and
// nobody waits long to know.
func TestAttemptsAreShared(t *testing.T) {
	for name, connectedBefore := range map[string]bool{"never connected": false, "connection lost": true} {
		t.Run(name, func(t *testing.T) {
			testReconnecting(t, func(t *testing.T, p *Producer, d *dialedNSQD) {
				if connectedBefore {
					c := connect(t, p, d)
					d.set(true, 0)
					c.Conn.Close()
					synctest.Wait()
				}
				d.set(true, 0)
				d.attempts()
				const seconds = 10
				ctx, cancel := context.WithTimeout(t.Context(), seconds*time.Second)
				defer cancel()
				var publishers sync.WaitGroup
				for range 100 {
					publishers.Go(func() {
						for ctx.Err() == nil {
							start := time.Now()
							err := p.PublishAsyncContext(ctx, "t", []byte("x"), nil)
							if err != errUnreachable && ctx.Err() == nil {
								t.Errorf("PublishAsync returned %v", err)
								return
							}
							if took := time.Since(start); took > attemptInterval {
								t.Errorf("it took %v", took)
								return
							}
						}
					})
				}
				publishers.Wait()
				if n, _ := d.attempts(); n < seconds*9 || n > seconds*10+2 {
					t.Errorf("%d attempts in %d seconds", n, seconds)
				}
			})
		})
	}
}

// A call does not wait for the end of a long pause, and the first one after nsqd
// is back succeeds.
func TestCallCutsThePauseShort(t *testing.T) {
	testReconnecting(t, func(t *testing.T, p *Producer, d *dialedNSQD) {
		c := connect(t, p, d)
		d.set(true, 0)
		c.Conn.Close()
		<-time.After(5 * time.Minute)
		start := time.Now()
		if err := p.Ping(); err != errUnreachable || time.Since(start) > attemptInterval {
			t.Errorf("Ping returned %v after %v", err, time.Since(start))
		}
		d.set(false, 0)
		start = time.Now()
		connect(t, p, d)
		if took := time.Since(start); took != attemptInterval { // since the attempt that failed
			t.Errorf("it took %v to connect to what is there", took)
		}
	})
}

// An attempt that began before a call does not tell whether nsqd is there now.
func TestCallIsNotFailedByAnEarlierAttempt(t *testing.T) {
	testReconnecting(t, func(t *testing.T, p *Producer, d *dialedNSQD) {
		d.set(true, time.Second)
		earlier := make(chan error, 1)
		go func() { earlier <- p.Ping() }()
		synctest.Wait() // it dials
		d.set(false, 0)
		start := time.Now()
		connect(t, p, d)
		if took := time.Since(start); took != time.Second+attemptInterval {
			t.Errorf("it took %v", took)
		}
		if err := <-earlier; err != errUnreachable {
			t.Errorf("the earlier call returned %v", err)
		}
	})
}

// An nsqd that closes every connection at once is like one that is away.
func TestConnectionsOfNoUse(t *testing.T) {
	testReconnecting(t, func(t *testing.T, p *Producer, d *dialedNSQD) {
		connect(t, p, d).Conn.Close()
		d.attempts()
		go func() {
			for nc := range d.conns {
				nc.Close()
			}
		}()
		<-time.After(5 * time.Minute)
		if n, _ := d.attempts(); n > 70 {
			t.Errorf("%d connections in 5 minutes that nobody asked for", n)
		}
		var published int
		for start := time.Now(); time.Since(start) < 10*time.Second; published++ {
			done := make(chan *ProducerTransaction, 1)
			if err := p.PublishAsync("t", []byte("x"), done); err != nil {
				t.Fatal(err)
			}
			if tx := <-done; tx.Error != ErrNotConnected {
				t.Fatal(tx.Error)
			}
		}
		// Ten a second, those that were under way at the start and at the end, and
		// one of its own.
		if n, _ := d.attempts(); n > 105 {
			t.Errorf("%d connections in 10 seconds for %d calls", n, published)
		}
	})
}

// A refused message delays neither the next one nor the connection for it.
func TestNoPauseAfterARefusal(t *testing.T) {
	testReconnecting(t, func(t *testing.T, p *Producer, d *dialedNSQD) {
		start := time.Now()
		for range 10 {
			done := make(chan *ProducerTransaction, 1)
			if err := p.PublishAsync("bad$", []byte("x"), done); err != nil {
				t.Fatal(err)
			}
			c := nsqtest.NewFakeConn(t, <-d.conns)
			c.Expect("PUB bad$")
			c.Fail("E_BAD_TOPIC no")
			if tx := <-done; tx.Error != (ErrProtocol{"E_BAD_TOPIC no"}) {
				t.Error(tx.Error)
			}
			c.Conn.Close()
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("10 messages took %v", took)
		}
	})
}

// Stop ends a pause, and an attempt.
func TestStopEndsReconnecting(t *testing.T) {
	for name, slow := range map[string]time.Duration{"pause": 0, "attempt": time.Hour} {
		t.Run(name, func(t *testing.T) {
			testReconnecting(t, func(t *testing.T, p *Producer, d *dialedNSQD) {
				c := connect(t, p, d)
				d.set(true, slow)
				c.Conn.Close()
				<-time.After(5 * time.Minute)
				pinged := make(chan error, 1)
				if slow > 0 {
					go func() { pinged <- p.Ping() }()
					synctest.Wait()
				} else {
					pinged <- ErrStopped
				}
				start := time.Now()
				p.Stop()
				if took := time.Since(start); took != 0 {
					t.Errorf("Stop took %v", took)
				}
				if err := <-pinged; err != ErrStopped {
					t.Errorf("Ping returned %v", err)
				}
			})
		})
	}
}

// A logger that publishes may do so with every line but that it cannot connect,
// and waits for the answer.
func TestLoggerMayPublish(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	published := make(chan error, 10)
	p.SetLogger(outputFunc(func(string) { published <- p.Publish("log", []byte("line")) }), LogLevelInfo)
	go p.Ping()
	c := f.Accept()
	bodies := c.Publishing()
	nsqtest.Receive(t, "the line about the connection", bodies)
	if err := nsqtest.Receive(t, "Publish", published); err != nil {
		t.Error(err)
	}
	c.Conn.Close()
	bodies = f.Accept().Publishing()
	for range 2 { // one line about the lost connection, one about the new one
		nsqtest.Receive(t, "a line", bodies)
		if err := nsqtest.Receive(t, "Publish", published); err != nil {
			t.Error(err)
		}
	}
	p.Stop() // which logs a line, too
	if err := nsqtest.Receive(t, "Publish", published); err != ErrStopped {
		t.Error(err)
	}
}

type outputFunc func(string)

func (f outputFunc) Output(_ int, s string) error { f(s); return nil }
