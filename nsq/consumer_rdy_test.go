package nsq

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

func TestShares(t *testing.T) {
	for _, tt := range []struct {
		name           string
		n, maxInFlight int
		want           []int
	}{
		{"no connection", 0, 10, []int{}},
		{"one connection", 1, 10, []int{10}},
		{"an even split", 2, 10, []int{5, 5}},
		{"what is left over is not used", 3, 10, []int{3, 3, 3}},
		{"one each", 3, 3, []int{1, 1, 1}},
		{"fewer messages than connections", 4, 2, []int{1, 1, 0, 0}},
		{"paused", 2, 0, []int{0, 0}},
	} {
		if got := shares(make([]bool, tt.n), tt.maxInFlight); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %d of %d connections get %v, want %v", tt.name, tt.maxInFlight, tt.n, got, tt.want)
		}
	}
}

func TestSharesOfIdleConnections(t *testing.T) {
	const busy, idle = false, true
	for _, tt := range []struct {
		name        string
		conns       []bool
		maxInFlight int
		want        []int
	}{
		{"one idle", []bool{busy, idle}, 10, []int{9, 1}},
		{"one busy", []bool{idle, busy, idle, idle}, 10, []int{1, 7, 1, 1}},
		{"two busy", []bool{idle, busy, idle, busy}, 11, []int{1, 4, 1, 4}},
		{"all idle", []bool{idle, idle}, 10, []int{5, 5}},
		{"one each", []bool{idle, busy}, 2, []int{1, 1}},
		{"fewer messages than connections", []bool{idle, busy}, 1, []int{1, 0}},
		{"paused", []bool{idle, busy}, 0, []int{0, 0}},
	} {
		if got := shares(tt.conns, tt.maxInFlight); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestTurnTime(t *testing.T) {
	short := NewConfig()
	short.LowRdyTimeout = time.Second
	often := NewConfig()
	often.RDYRedistributeInterval = time.Millisecond
	for _, tt := range []struct {
		name           string
		cfg            *Config
		n, maxInFlight int
		want           time.Duration
	}{
		{"all within the interval", NewConfig(), 4, 1, 1250 * time.Millisecond},
		{"two at a time", NewConfig(), 4, 2, 2500 * time.Millisecond},
		{"long enough to be of use", NewConfig(), 1000, 1, minTurn},
		{"a short interval", often, 1000, 1, time.Millisecond},
		{"a short LowRdyTimeout", short, 3, 2, time.Second},
	} {
		if got := turnTime(tt.cfg, tt.n, tt.maxInFlight); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestIdleConnectionGivesUpItsTurn(t *testing.T) {
	now := time.Now()
	cfg := NewConfig()
	cfg.LowRdyIdleTimeout = time.Second
	c := &consumerConn{nsqdConn: newNSQDConn(nil, "", cfg), made: now.Add(-time.Hour), since: now}
	for _, tt := range []struct {
		name     string
		lastRecv time.Duration // after now
		turn     time.Duration
		want     time.Duration
	}{
		{"no message in this turn", -time.Minute, 3 * time.Second, time.Second},
		{"a message in this turn", 500 * time.Millisecond, 3 * time.Second, 1500 * time.Millisecond},
		{"one message after the other", 2900 * time.Millisecond, 3 * time.Second, 3 * time.Second},
		{"a short turn", 0, time.Millisecond, time.Millisecond},
	} {
		c.lastRecv.Store(int64(time.Hour + tt.lastRecv))
		if got := c.turnEnds(tt.turn).Sub(now); got != tt.want {
			t.Errorf("%s: it ends after %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestRDYIsSharedOut(t *testing.T) {
	a, b := nsqtest.NewFake(t), nsqtest.NewFake(t)
	r := newTestConsumer(t, func(c *Config) { c.MaxInFlight = 10 })
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))

	connected := make(chan error, 1)
	go func() { connected <- r.ConnectToNSQDs([]string{a.Addr, b.Addr}) }()
	ca := a.Subscribed(10)
	cb := b.Accept()
	ca.Expect("RDY 5") // the first is lowered before the second is raised
	cb.Expect("SUB t c")
	cb.Expect("RDY 5") // without waiting for the answer to SUB
	if err := nsqtest.Receive(t, "ConnectToNSQDs", connected); err != nil {
		t.Fatal(err)
	}
	r.ChangeMaxInFlight(10) // no change, no RDY
	r.ChangeMaxInFlight(0)
	ca.Expect("RDY 0")
	cb.Expect("RDY 0")
	r.ChangeMaxInFlight(3)
	ca.Expect("RDY 1")
	cb.Expect("RDY 1")
	r.ChangeMaxInFlight(10)
	ca.Expect("RDY 5")
	cb.Expect("RDY 5")
	if err := r.DisconnectFromNSQD(b.Addr); err != nil {
		t.Fatal(err)
	}
	ca.Expect("RDY 10")
	cb.Expect("CLS")
	cb.Respond("CLOSE_WAIT")
	cb.ExpectEnd()
}

func TestRDYIsCappedByNSQD(t *testing.T) {
	for maxInFlight, warn := range map[int]bool{1000: true, 71: true, 70: false} {
		f := nsqtest.NewFake(t)
		r := newTestConsumer(t, func(c *Config) { c.MaxInFlight = maxInFlight })
		l := &callingLog{call: func() {}}
		r.SetLogger(l, LogLevelWarning)
		r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
		connected := make(chan error, 1)
		go func() { connected <- r.ConnectToNSQD(f.Addr) }()
		c := f.Raw()
		c.Magic()
		c.Expect("IDENTIFY")
		c.Respond(`{"max_rdy_count":70}`)
		c.Expect("SUB t c")
		c.Expect("RDY 70")
		if err := nsqtest.Receive(t, "ConnectToNSQD", connected); err != nil {
			t.Fatal(err)
		}
		if warn {
			l.expect(t, fmt.Sprintf("(%s) max RDY count 70 < consumer max in flight %d, truncation possible", f.Addr, maxInFlight))
		} else if n := l.expect(t); n != 0 {
			t.Errorf("%d warnings with %d messages in flight", n, maxInFlight)
		}
		c.Conn.Close()
	}
}

func TestConnectionsTakeTurns(t *testing.T) {
	r := newTestConsumer(t, func(c *Config) {
		c.MaxInFlight = 1
		c.RDYRedistributeInterval = time.Millisecond
	})
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	for i := range 3 {
		f := nsqtest.NewFake(t)
		connected := make(chan error, 1)
		go func() { connected <- r.ConnectToNSQD(f.Addr) }()
		c := f.Accept()
		c.Expect("SUB t c")
		if err := nsqtest.Receive(t, "ConnectToNSQD", connected); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			c.Expect("RDY 1")
			go drainCommands(c)
			continue
		}
		for range 3 { // again and again
			c.Expect("RDY 1")
			c.Expect("RDY 0")
		}
		go drainCommands(c)
	}
}

// drainCommands reads what the client sends until it goes away.
func drainCommands(c *nsqtest.FakeConn) {
	for {
		if _, _, err := c.Read(); err != nil {
			c.Conn.Close()
			return
		}
	}
}

func TestIsStarved(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, func(c *Config) { c.MaxInFlight = 10 })
	handled := make(chan *Message, 10)
	r.AddHandler(HandlerFunc(func(m *Message) error {
		m.DisableAutoResponse()
		handled <- m
		return nil
	}))
	if r.IsStarved() {
		t.Error("starved without a connection")
	}
	go r.ConnectToNSQD(f.Addr)
	c := f.Subscribed(10)
	var last *Message
	for i := range 8 {
		if r.IsStarved() {
			t.Errorf("starved with %d of 10 messages", i)
		}
		c.Message(uint64(i), 1, "x")
		last = nsqtest.Receive(t, "message", handled)
	}
	if !r.IsStarved() {
		t.Error("not starved with 8 of 10 messages")
	}
	last.Finish()
	if r.IsStarved() {
		t.Error("starved after an answer")
	}
	c.Conn.Close() // the other messages are never answered
}
