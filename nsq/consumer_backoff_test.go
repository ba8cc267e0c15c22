package nsq

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// backoffConn is the server's end of a pipe to a consumer. What the consumer
// sends is read all the time, as a test that lets time pass must not make writes
// time out.
type backoffConn struct {
	*nsqtest.FakeConn
	lines chan string
}

// do is a handler that does what the message says.
func do(m *Message) error {
	what, after, _ := strings.Cut(string(m.Body), " after ")
	if d, err := time.ParseDuration(after); err == nil {
		<-time.After(d)
	}
	switch what {
	case "fail":
		return errors.New("no")
	case "requeue without back-off":
		m.RequeueWithoutBackoff(0)
	}
	return nil
}

// backoffConsumer returns a consumer on a fake clock, with n connections that
// have their shares.
func backoffConsumer(t *testing.T, n int, change func(*Config)) (*Consumer, []*backoffConn) {
	cfg := NewConfig()
	cfg.DefaultRequeueDelay = 0
	change(cfg)
	r, err := NewConsumer("t", "c", cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.SetLogger(nil, LogLevelInfo)
	r.AddConcurrentHandlers(HandlerFunc(do), 4)
	conns := make([]*backoffConn, n)
	for i := range conns {
		conns[i] = addBackoffConn(t, r, fmt.Sprint("pipe", i))
	}
	synctest.Wait()
	for _, c := range conns {
		c.drained()
	}
	return r, conns
}

func addBackoffConn(t *testing.T, r *Consumer, addr string) *backoffConn {
	c := &backoffConn{addPipe(t, r, addr), make(chan string, 1000)}
	c.Reader = bufio.NewReader(c.Conn)
	go func() {
		defer c.Conn.Close()
		for {
			line, _, err := c.Read()
			switch {
			case err != nil:
				return
			case line == "SUB t c":
				c.Respond(wire.OK)
			case line == "CLS":
				c.Respond(wire.CloseWait)
				c.lines <- line
			default:
				c.lines <- line
			}
		}
	}()
	return c
}

// drained returns what was sent and not looked at.
func (c *backoffConn) drained() (lines []string) {
	for len(c.lines) > 0 {
		lines = append(lines, <-c.lines)
	}
	return lines
}

// sends checks what the consumer sends within the present moment, in order.
func (c *backoffConn) sends(want ...string) {
	c.TB.Helper()
	synctest.Wait()
	if got := c.drained(); fmt.Sprint(got) != fmt.Sprint(want) {
		c.TB.Errorf("the consumer sent %q, want %q", got, want)
	}
}

// after lets time pass.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func stopBackoff(r *Consumer, conns ...*backoffConn) {
	for _, c := range conns {
		c.Conn.Close()
	}
	r.Stop()
	<-r.StopChan
	synctest.Wait()
}

func TestBackoffOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, conns := backoffConsumer(t, 1, func(c *Config) { c.MaxInFlight = 5 })
		l := &callingLog{call: func() { r.Stats() }}
		r.SetLogger(l, LogLevelWarning)
		c := conns[0]
		for i, step := range []struct {
			body  string
			sends []string // with ID for the message's id
			pause time.Duration
		}{
			{"requeue without back-off", []string{"REQ ID 0"}, 0},
			{"fail", []string{"RDY 0", "REQ ID 0"}, 2 * time.Second},
			{"fail", []string{"RDY 0", "REQ ID 0"}, 4 * time.Second},
			{"requeue without back-off", []string{"RDY 0", "REQ ID 0"}, 4 * time.Second},
			{"succeed", []string{"RDY 0", "FIN ID"}, 2 * time.Second},
			{"succeed", []string{"RDY 5", "FIN ID"}, 0},
			{"succeed", []string{"FIN ID"}, 0},
		} {
			for j, line := range step.sends {
				if line == "FIN ID" {
					step.sends[j] = "FIN " + nsqtest.ID(uint64(i))
				} else if line == "REQ ID 0" {
					step.sends[j] = "REQ " + nsqtest.ID(uint64(i)) + " 0"
				}
			}
			c.Message(uint64(i), 1, step.body)
			c.sends(step.sends...)
			if step.pause > 0 {
				after(step.pause - 1)
				c.sends()
				after(1)
				c.sends("RDY 1")
			}
		}
		l.expect(t, "backing off for 2s (backoff level 1), setting all to RDY 0",
			"backing off for 4s (backoff level 2), setting all to RDY 0",
			"(pipe0) backoff timeout expired, sending RDY 1",
			"exiting backoff, returning all to RDY 5")
		stopBackoff(r, c)
	})
}

func TestBackoffIsSwitchedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, conns := backoffConsumer(t, 1, func(c *Config) { c.MaxBackoffDuration = 0 })
		conns[0].Message(1, 1, "fail")
		conns[0].sends("REQ " + nsqtest.ID(1) + " 0")
		stopBackoff(r, conns...)
	})
}

// What comes in during a pause changes neither its end nor the level.
func TestOutcomesInAPauseAreIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, conns := backoffConsumer(t, 1, func(c *Config) { c.MaxInFlight = 5 })
		c := conns[0]
		c.Message(1, 1, "fail after 1s")
		synctest.Wait()
		c.Message(2, 1, "fail")
		c.sends("RDY 0", "REQ "+nsqtest.ID(2)+" 0")
		after(time.Second)
		c.sends("REQ " + nsqtest.ID(1) + " 0")
		after(time.Second)
		c.sends("RDY 1")
		c.Message(3, 1, "succeed")
		c.sends("RDY 5", "FIN "+nsqtest.ID(3))
		stopBackoff(r, c)
	})
}

// All connections pause, one is asked for one message, and that turn is handed
// on as any other.
func TestBackoffOfSeveralConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, conns := backoffConsumer(t, 3, func(c *Config) { c.MaxInFlight = 6 })
		conns[1].Message(1, 1, "fail")
		conns[0].sends("RDY 0")
		conns[1].sends("RDY 0", "REQ "+nsqtest.ID(1)+" 0")
		conns[2].sends("RDY 0")
		after(2 * time.Second)
		asked := map[*backoffConn]bool{}
		for range conns {
			for _, c := range conns {
				for _, line := range c.drained() {
					if line == "RDY 1" {
						asked[c] = true
					} else if line != "RDY 0" {
						t.Errorf("%q while one message is asked for", line)
					}
				}
			}
			if sum := totalRDY(r); sum != 1 {
				t.Errorf("RDY adds up to %d", sum)
			}
			after(5 * time.Second / 3)
		}
		if len(asked) != len(conns) {
			t.Errorf("%d connections had their turn within RDYRedistributeInterval", len(asked))
		}
		conns[0].Message(2, 1, "succeed")
		synctest.Wait()
		if sum := totalRDY(r); sum != 6 {
			t.Errorf("RDY adds up to %d after back-off", sum)
		}
		stopBackoff(r, conns...)
	})
}

func totalRDY(r *Consumer) (sum int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		sum += c.rdy.Load()
	}
	return sum
}

// While the one message is handled, no other is asked for, unless its handler
// hangs.
func TestOneMessageAtATimeInBackoff(t *testing.T) {
	for body, want := range map[string][]string{
		"fail after 32s": nil,
		"fail after 33s": {"RDY 1", "RDY 0"}, // LowRdyTimeout after the turn of 2.5s
	} {
		synctest.Test(t, func(t *testing.T) {
			r, conns := backoffConsumer(t, 2, func(c *Config) { c.MaxInFlight = 6 })
			conns[0].Message(1, 1, "fail")
			after(2 * time.Second)
			asked, other := conns[0], conns[1]
			if !slices.Contains(asked.drained(), "RDY 1") {
				asked, other = other, asked
				asked.drained()
			}
			other.drained()
			asked.Message(2, 1, body)
			after(34 * time.Second)
			other.sends(want...)
			if level := r.backoff.level; level != 2 {
				t.Errorf("%s: the level is %d", body, level)
			}
			stopBackoff(r, conns...)
		})
	}
}

// A connection that is lost and made again is not asked for messages before the
// pause is over.
func TestConnectionIsMadeAgainInAPause(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, func(c *Config) { c.BackoffMultiplier = 250 * time.Millisecond })
	r.AddHandler(HandlerFunc(do))
	go r.ConnectToNSQD(f.Addr)
	c := f.Subscribed(1)
	c.Message(1, 1, "fail")
	c.Expect("RDY 0")
	ends := r.currentBackoff().until
	c.Expect("REQ " + nsqtest.ID(1) + " 90000")
	c.Conn.Close()
	c = f.Subscribed(1)
	if now := time.Now(); now.Before(ends) {
		t.Errorf("RDY 1 came %v before the end of the pause", ends.Sub(now))
	}
	c.Conn.Close()
}

func TestConnectionsComeAndGoInAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, conns := backoffConsumer(t, 2, func(c *Config) { c.MaxInFlight = 6 })
		lost, left := conns[0], conns[1]
		lost.Message(1, 1, "fail")
		lost.sends("RDY 0", "REQ "+nsqtest.ID(1)+" 0")
		left.sends("RDY 0")
		lost.Conn.Close()
		must(t, r.DisconnectFromNSQD("pipe0"))
		left.sends()
		made := addBackoffConn(t, r, "new")
		made.sends()
		left.Conn.Close()
		must(t, r.DisconnectFromNSQD("pipe1"))
		made.sends()
		after(2 * time.Second)
		made.sends("RDY 1")

		made.Message(2, 1, "fail")
		made.sends("RDY 0", "REQ "+nsqtest.ID(2)+" 0")
		made.Conn.Close()
		must(t, r.DisconnectFromNSQD("new"))
		after(4 * time.Second) // with nobody to ask at the end
		first := addBackoffConn(t, r, "first")
		first.sends("RDY 1")
		second := addBackoffConn(t, r, "second")
		second.sends()
		first.Conn.Close() // its turn goes to the other
		must(t, r.DisconnectFromNSQD("first"))
		second.sends("RDY 1")
		stopBackoff(r, second)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMaxInFlightChangesInBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, conns := backoffConsumer(t, 1, func(c *Config) { c.MaxInFlight = 5 })
		c := conns[0]
		c.Message(1, 1, "fail")
		c.sends("RDY 0", "REQ "+nsqtest.ID(1)+" 0")
		r.ChangeMaxInFlight(7)
		c.sends()
		after(2 * time.Second)
		c.sends("RDY 1")
		r.ChangeMaxInFlight(8)
		c.sends()
		r.ChangeMaxInFlight(0) // the program pauses
		c.sends("RDY 0")
		c.Message(2, 1, "fail") // which was on its way
		c.sends("REQ " + nsqtest.ID(2) + " 0")
		after(30 * time.Second)
		c.sends()
		r.ChangeMaxInFlight(9)
		c.sends("RDY 1")
		c.Message(3, 1, "succeed")
		c.sends("RDY 0", "FIN "+nsqtest.ID(3))
		after(2 * time.Second)
		c.sends("RDY 1")
		c.Message(4, 1, "succeed")
		c.sends("RDY 9", "FIN "+nsqtest.ID(4))
		stopBackoff(r, c)
	})
}

func TestStopInBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, conns := backoffConsumer(t, 1, func(c *Config) { c.MaxInFlight = 5 })
		c := conns[0]
		c.Message(1, 1, "fail after 1s")
		c.Message(2, 1, "fail")
		c.sends("RDY 0", "REQ "+nsqtest.ID(2)+" 0")
		start := time.Now()
		r.Stop()
		c.sends("CLS")
		after(time.Second)
		c.sends("REQ " + nsqtest.ID(1) + " 0")
		c.Conn.Close()
		<-r.StopChan
		if took := time.Since(start); took != time.Second {
			t.Errorf("StopChan was closed after %v", took)
		}
	})
}

// A failure while the consumer stops begins no pause.
func TestNoBackoffAfterStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, conns := backoffConsumer(t, 1, func(*Config) {})
		c := conns[0]
		c.Message(1, 1, "fail after 1s")
		synctest.Wait()
		r.Stop()
		after(time.Second)
		c.sends("CLS", "REQ "+nsqtest.ID(1)+" 0")
		if r.backoff.level != 0 {
			t.Errorf("the level is %d", r.backoff.level)
		}
		c.Conn.Close()
		<-r.StopChan
	})
}

// Every connection may be the first to be asked after a pause, and a strategy of
// the program may use the consumer.
func TestFirstConnectionIsRandom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *Consumer
		r, conns := backoffConsumer(t, 2, func(c *Config) {
			c.MaxInFlight = 6
			c.BackoffStrategy = strategyFunc(func(int) time.Duration {
				r.ChangeMaxInFlight(6)
				return 100 * time.Millisecond
			})
		})
		conns[0].Message(0, 1, "fail")
		first := map[string]int{}
		for i := range 100 {
			after(100 * time.Millisecond)
			for name, c := range map[string]*backoffConn{"one": conns[0], "other": conns[1]} {
				for _, line := range c.drained() {
					if line == "RDY 1" {
						first[name]++
						c.Message(uint64(i), 1, "fail")
					}
				}
			}
		}
		if first["one"] < 20 || first["other"] < 20 || first["one"]+first["other"] != 100 {
			t.Errorf("of 100 times, first were %v", first)
		}
		stopBackoff(r, conns...)
	})
}

// Messages that are answered at the same time make the consumer back off once.
func TestFailuresAtTheSameTime(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, func(c *Config) { c.MaxInFlight = 20 })
	all := make(chan struct{})
	r.AddConcurrentHandlers(HandlerFunc(func(m *Message) error {
		<-all
		return errors.New("no")
	}), 20)
	go r.ConnectToNSQD(f.Addr)
	c := f.Subscribed(20)
	for i := range 20 {
		c.Message(uint64(i), 1, "x")
	}
	nsqtest.Eventually(t, "all are in flight", func() bool { return r.Stats().MessagesReceived == 20 })
	close(all)
	c.Expect("RDY 0")
	for range 20 {
		if line, _ := c.Next(); line[:3] != "REQ" {
			t.Errorf("got %q in the pause", line)
		}
	}
	if level := r.currentBackoff().level; level != 1 {
		t.Errorf("20 failures at a time lead to level %d", level)
	}
	c.Conn.Close()
}
