package nsq

import (
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// callingLog calls into the package from every log line, as a logger may that
// adds statistics to its lines or publishes them.
type callingLog struct {
	call func()

	mu    sync.Mutex
	lines []string
}

func (l *callingLog) Output(_ int, s string) error {
	l.call()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, s)
	return nil
}

// expect checks that all texts were logged, and returns how many lines were.
func (l *callingLog) expect(t *testing.T, texts ...string) int {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	all := strings.Join(l.lines, "\n")
	for _, text := range texts {
		if !strings.Contains(all, text) {
			t.Errorf("no line %q in:\n%s", text, all)
		}
	}
	return len(l.lines)
}

func TestLoggerMayCallConsumer(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, func(c *Config) {
		c.MaxAttempts = 1
		c.BackoffMultiplier = time.Millisecond
	})
	l := &callingLog{call: func() {
		r.Stats()
		r.IsStarved()
		r.ChangeMaxInFlight(1)
		r.SetLoggerLevel(LogLevelDebug)
	}}
	r.SetLogger(l, LogLevelDebug)
	r.AddHandler(HandlerFunc(func(*Message) error { return ErrClosing }))
	go r.ConnectToNSQD(f.Addr)
	c := f.Subscribed(1)
	c.Message(1, 1, "x")
	c.Expect("RDY 0")
	c.Expect("REQ " + nsqtest.ID(1) + " 90000")
	c.Expect("RDY 1")
	c.Message(2, 2, "x")
	c.Expect("FIN " + nsqtest.ID(2))
	c.Fail("E_TOUCH_FAILED TOUCH failed")
	c.Conn.Close()
	c = f.Subscribed(1)
	f.Listener.Close()
	c.Conn.Close()
	nsqtest.Eventually(t, "loss is noticed", func() bool { return r.Stats().Connections == 0 })
	c = nsqtest.ListenFake(t, f.Addr).Subscribed(1)
	nsqtest.Within(t, "Stop", r.Stop)
	c.Expect("CLS")
	c.Respond(wire.CloseWait)
	c.ExpectEnd()
	c.Conn.Close()
	nsqtest.Receive(t, "StopChan", r.StopChan)
	l.expect(t, "connected to nsqd", "Handler returned error", "backing off", "sending RDY 1", "exiting backoff", "giving up", "protocol error", "connection lost",
		"stopping", "connection closed", "stopped")
}

func TestLoggerMayCallProducer(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	var nested sync.Mutex // held while a logger publishes: the lines that causes call nothing
	l := &callingLog{call: func() {
		_ = p.String()
		p.SetLoggerLevel(LogLevelDebug)
		if nested.TryLock() {
			defer nested.Unlock()
			p.Publish("log", []byte("a line"))
			p.PublishAsync("log", []byte("a line"), nil)
			p.Ping()
		}
	}}
	p.SetLogger(l, LogLevelDebug)

	published := make(chan error, 1)
	go func() { published <- p.Publish("t", []byte("x")) }()
	c := f.Accept()
	bodies := c.Publishing()
	if err := nsqtest.Receive(t, "Publish", published); err != nil {
		t.Error(err)
	}
	for range 3 {
		nsqtest.Receive(t, "the log line and the message", bodies)
	}
	f.Listener.Close()
	c.Conn.Close()
	nsqtest.Eventually(t, "connection refused", func() bool {
		return errors.Is(p.Publish("t", []byte("x")), syscall.ECONNREFUSED)
	})
	nsqtest.Within(t, "Stop", p.Stop)
	l.expect(t, "connected to nsqd", "connection lost", "error connecting to nsqd", "stopped")
}
