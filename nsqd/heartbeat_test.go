package nsqd_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

func TestHeartbeats(t *testing.T) {
	for _, tc := range []struct {
		identify string
		interval time.Duration
	}{
		{"", 30 * time.Second}, // none sent
		{`{}`, 30 * time.Second},
		{`{"heartbeat_interval":1000}`, time.Second},
		{`{"heartbeat_interval":60000}`, time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := startInBubble(t, nil)
			c := b.dial()
			if tc.identify != "" {
				c.identify(tc.identify)
			}
			c.consume("t", "c", 1)
			start := time.Now()
			for i := range time.Duration(5) {
				f, err := c.tryFrame(2 * tc.interval)
				if f != heartbeat {
					t.Fatalf("got %v, %v, want a heartbeat", f, err)
				}
				wantDue(t, "the heartbeat came", start, (i+1)*tc.interval)
				c.nop()
			}
			// From here on the client is silent. It read a heartbeat when it last
			// said something.
			start = time.Now()
			for {
				f, err := c.tryFrame(10 * tc.interval)
				if err != nil {
					if !nsqtest.IsClosed(err) {
						t.Errorf("the silent connection ended with %v", err)
					}
					break
				}
				if f != heartbeat {
					t.Errorf("got %v", f)
				}
			}
			wantDue(t, "the silent connection was closed", start, 2*tc.interval)
		})
	}
}

func TestHeartbeatsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		c := b.dial()
		c.identify(`{"heartbeat_interval":-1}`)
		if f, err := c.tryFrame(24 * time.Hour); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a day later there is %v, %v", f, err)
		}
		c.sync()
	})
}

// Another implementation takes only the first IDENTIFY for the heartbeat timer.
func TestSecondIdentifyChangesTheHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		c := b.dial()
		for _, seconds := range []time.Duration{30, 1, 60, 2} {
			c.identify(fmt.Sprintf(`{"heartbeat_interval":%d}`, seconds*1000))
			start := time.Now()
			for i := range time.Duration(3) {
				if f, err := c.tryFrame(time.Hour); f != heartbeat {
					t.Fatalf("got %v, %v, want a heartbeat", f, err)
				}
				wantDue(t, "the heartbeat came", start, (i+1)*seconds*time.Second)
				c.nop()
			}
		}
	})
}

// The deadline covers a command's line and body: a body that trickles in does
// not extend it.
func TestTricklingBodyIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		c := b.dial()
		c.identify(`{"heartbeat_interval":1000}`)
		start := time.Now()
		c.send(append([]byte("PUB t\n"), wire.AppendSize(nil, 1000)...))
		var trickle sync.WaitGroup
		defer trickle.Wait()
		trickle.Go(func() {
			for c.trySend([]byte("x")) == nil {
				<-time.After(300 * time.Millisecond)
			}
		})
		for {
			f, err := c.tryFrame(time.Minute)
			if err == nil && f == heartbeat {
				continue
			}
			if want := (frame{wire.FrameError, "E_BAD_MESSAGE PUB failed to read message body"}); f != want {
				t.Errorf("got %v, %v, want %v", f, err, want)
			}
			break
		}
		wantDue(t, "the error came", start, 2*time.Second)
		c.wantClosed()
	})
}

func TestConnectionWithoutMagicHasTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		for _, said := range []string{"", "  V"} {
			c := b.connect()
			start := time.Now()
			c.send([]byte(said))
			c.wantClosed()
			wantDue(t, "it was closed", start, 10*time.Second)
		}
	})
}

func TestConnectionWithoutMagicDoesNotHoldUpExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		silent, half, idle, busy := b.connect(), b.connect(), b.dial(), b.dial()
		half.send([]byte("  V"))
		busy.send([]byte("PUB t\n\x00\x00"))
		start := time.Now()
		b.stop()
		wantDue(t, "the broker stopped", start, 0)
		for _, c := range []*rawClient{silent, half, idle, busy} {
			if f, err := c.tryFrame(time.Minute); !nsqtest.IsClosed(err) && f.kind != wire.FrameError {
				t.Errorf("after the stop the connection gave %v, %v", f, err)
			}
		}
	})
}

// A client that says it is alive but does not read is a zombie: it is dropped
// within two heartbeats, and what it was sent goes to others.
func TestConsumerThatDoesNotReadIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		zombie := b.dial()
		zombie.identify(`{"heartbeat_interval":1000}`)
		zombie.consume("t", "c", 10)
		dropped := make(chan struct{})
		go func() {
			for zombie.trySend(wire.AppendNop(nil)) == nil {
				<-time.After(200 * time.Millisecond)
			}
			close(dropped)
		}()
		c := b.wantHeir("a plain connection")
		<-dropped
		c.sync()
		b.wantCounts("t", "c", nsqd.Counts{})
	})
}

func TestPublisherThatDoesNotReadIsDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		c := b.dial()
		start := time.Now()
		for c.trySend(wire.AppendPub(nil, "t", []byte("m"))) == nil {
		}
		// A heartbeat that comes to wait behind the write does not put it off.
		if took := time.Since(start); took < 30*time.Second || took > 38*time.Second {
			t.Errorf("it was dropped after %v", took)
		}
	})
}

// Without heartbeats a connection may be silent, but what it began must come.
func TestWithoutHeartbeatsACommandMustStillEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		const bound = 2 * time.Minute // twice --max-heartbeat-interval
		for rule, tt := range map[string]struct {
			begin string // in writes of their own
			then  []string
			want  frame // none: the end of the connection
		}{
			"half a line":             {"PU", nil, frame{}},
			"a line that trickles":    {"P", strings.Split(strings.Repeat("x", 500), ""), frame{}},
			"a line without a body":   {"PUB t\n", nil, frame{wire.FrameError, "E_BAD_MESSAGE PUB failed to read message body size"}},
			"half a body":             {"PUB t\n\x00\x00\x00\x09half", nil, frame{wire.FrameError, "E_BAD_MESSAGE PUB failed to read message body"}},
			"a body in other writes":  {"PUB t\n", []string{"\x00\x00", "\x00\x09half"}, frame{wire.FrameError, "E_BAD_MESSAGE PUB failed to read message body"}},
			"a body behind a command": {"NOP\nMPUB t\n\x00\x00\x00\x09", nil, frame{wire.FrameError, "E_BAD_BODY MPUB failed to read message count"}},
			"a body that trickles":    {"PUB t\n\x00\x0f\x00\x00", strings.Split(strings.Repeat("x", 500), ""), frame{wire.FrameError, "E_BAD_MESSAGE PUB failed to read message body"}},
		} {
			c := b.dial()
			c.identify(`{"heartbeat_interval":-1}`)
			c.wantNothing(time.Hour)
			c.pub("t", "after an hour")
			c.wantNothing(time.Hour)
			start := time.Now()
			c.send([]byte(tt.begin))
			var trickle sync.WaitGroup
			trickle.Go(func() {
				for _, piece := range tt.then {
					<-time.After(time.Second)
					if c.trySend([]byte(piece)) != nil {
						return
					}
				}
			})
			if tt.want != (frame{}) {
				c.want(tt.want)
			}
			c.wantClosed()
			t.Log(rule)
			wantDue(t, "it was closed", start, bound)
			c.close()
			trickle.Wait()
		}
	})
}

// wantHeir publishes for the one consumer of t:c, which reads nothing and has
// heartbeats of a second, and returns another that gets its messages in time.
func (b *bubble) wantHeir(connection string) *rawClient {
	b.tb.Helper()
	start := time.Now()
	b.dial().mpub("t", bodies("m", 3)...)
	synctest.Wait()
	b.wantCounts("t", "c", nsqd.Counts{InFlight: 3})
	c := b.dial()
	c.consume("t", "c", 10)
	for i := range 3 {
		c.fin(c.wantMessage(fmt.Sprint("m", i), 2))
	}
	if took := time.Since(start); took > 2*time.Second {
		b.tb.Errorf("%s: the messages came to the other consumer after %v", connection, took)
	}
	return c
}
