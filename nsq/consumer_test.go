package nsq

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

func TestNewConsumerChecksNames(t *testing.T) {
	for _, tt := range []struct{ topic, channel, want string }{
		{"bad name", "c", "invalid topic name"},
		{"t", "", "invalid channel name"},
	} {
		if _, err := NewConsumer(tt.topic, tt.channel, NewConfig()); err == nil || err.Error() != tt.want {
			t.Errorf("%q/%q: %v, want %s", tt.topic, tt.channel, err, tt.want)
		}
	}
}

func TestConnectErrors(t *testing.T) {
	f := newFakeNSQD(t)
	r := newTestConsumer(t, nil)
	if err := r.ConnectToNSQD(f.addr); err == nil || err.Error() != "no handlers" {
		t.Errorf("without handlers: %v", err)
	}
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	if err := r.DisconnectFromNSQD(f.addr); !errors.Is(err, ErrNotConnected) {
		t.Errorf("disconnecting from a stranger: %v", err)
	}
	if err := r.ConnectToNSQD("127.0.0.1:1"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("nobody there: %v", err)
	}
	func() {
		defer func() {
			if v := recover(); v != "already connected" {
				t.Errorf("a handler after an attempt to connect: %v", v)
			}
		}()
		r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	}()

	first := make(chan error, 1)
	go func() { first <- r.ConnectToNSQD(f.addr) }()
	c := f.raw()
	if err := r.ConnectToNSQD(f.addr); !errors.Is(err, ErrAlreadyConnected) {
		t.Errorf("while connecting: %v", err)
	}
	c.magic()
	c.expect("IDENTIFY")
	c.fail("E_BAD_BODY IDENTIFY no")
	if err := receive(t, "ConnectToNSQD", first); err != (ErrIdentify{"E_BAD_BODY IDENTIFY no"}) {
		t.Errorf("got %v", err)
	}

	go func() { first <- r.ConnectToNSQD(f.addr) }() // a failed attempt is forgotten
	f.subscribed(1)
	if err := receive(t, "ConnectToNSQD", first); err != nil {
		t.Fatal(err)
	}
	if err := r.ConnectToNSQD(f.addr); !errors.Is(err, ErrAlreadyConnected) {
		t.Errorf("when connected: %v", err)
	}
	if n := r.Stats().Connections; n != 1 {
		t.Errorf("%d connections", n)
	}
	r.Stop()
	if err := r.ConnectToNSQD(f.addr); err == nil || err.Error() != "consumer stopped" {
		t.Errorf("after Stop: %v", err)
	}
	f.ln.Close()
	for len(f.conns) > 0 {
		(<-f.conns).Close()
	}
}

// Every way of answering a message, and the bytes nsqd gets to see.
func TestAnswers(t *testing.T) {
	type result struct {
		do       func(m *Message) error
		attempts uint16
		want     []string // with ID for the message's id
	}
	results := map[string]result{
		"nil finishes":                 {func(*Message) error { return nil }, 1, []string{"FIN ID"}},
		"an error requeues":            {func(*Message) error { return errors.New("no") }, 1, []string{"REQ ID 90000"}},
		"the delay grows":              {func(*Message) error { return errors.New("no") }, 2, []string{"REQ ID 180000"}},
		"up to its limit":              {func(m *Message) error { m.Requeue(-1); return nil }, 5, []string{"REQ ID 300000"}},
		"no attempts, no delay":        {func(m *Message) error { m.Requeue(-1); return nil }, 0, []string{"REQ ID 0"}},
		"an explicit delay is sent":    {func(m *Message) error { m.Requeue(time.Hour + 1); return nil }, 1, []string{"REQ ID 3600000"}},
		"requeue without back-off":     {func(m *Message) error { m.RequeueWithoutBackoff(0); return nil }, 1, []string{"REQ ID 0"}},
		"the handler was first":        {func(m *Message) error { m.Finish(); return errors.New("too late") }, 1, []string{"FIN ID"}},
		"touch":                        {func(m *Message) error { m.Touch(); m.Touch(); return nil }, 1, []string{"TOUCH ID", "TOUCH ID", "FIN ID"}},
		"an answer after the handler":  {func(m *Message) error { m.DisableAutoResponse(); go m.Finish(); return nil }, 1, []string{"FIN ID"}},
		"an error is no answer either": {func(m *Message) error { m.DisableAutoResponse(); go m.Requeue(0); return errors.New("no") }, 1, []string{"REQ ID 0"}},
	}
	f := newFakeNSQD(t)
	r := newTestConsumer(t, func(c *Config) {
		c.MaxRequeueDelay = 5 * time.Minute
		c.MaxBackoffDuration = 0
	})
	r.AddHandler(HandlerFunc(func(m *Message) error {
		if m.NSQDAddress != f.addr || m.Timestamp != 1234567890 {
			t.Errorf("message from %s of time %d", m.NSQDAddress, m.Timestamp)
		}
		return results[string(m.Body)].do(m)
	}))
	go r.ConnectToNSQD(f.addr)
	c := f.subscribed(1)
	n := uint64(0)
	for name, tt := range results {
		n++
		c.message(n, tt.attempts, name)
		for _, want := range tt.want {
			line, _ := c.next()
			if want = strings.ReplaceAll(want, "ID", id(n)); line != want {
				t.Errorf("%s: got %q, want %q", name, line, want)
			}
		}
	}
	stats := r.Stats()
	if stats.MessagesReceived != n || stats.MessagesFinished+stats.MessagesRequeued != n || stats.MessagesFinished == 0 || stats.MessagesRequeued == 0 {
		t.Errorf("%d messages, %+v", n, stats)
	}
	c.nc.Close()
}

// givingUp remembers the messages it was not given any more.
type givingUp struct {
	handled, failed chan uint16
}

func (g givingUp) HandleMessage(m *Message) error { g.handled <- m.Attempts; return nil }
func (g givingUp) LogFailedMessage(m *Message)    { g.failed <- m.Attempts }

func TestMaxAttempts(t *testing.T) {
	for _, maxAttempts := range []uint16{3, 0} {
		f := newFakeNSQD(t)
		r := newTestConsumer(t, func(c *Config) { c.MaxAttempts = maxAttempts })
		g := givingUp{make(chan uint16, 10), make(chan uint16, 10)}
		r.AddHandler(g)
		go r.ConnectToNSQD(f.addr)
		c := f.subscribed(1)
		c.message(1, 3, "the last attempt")
		c.expect("FIN " + id(1))
		c.message(2, 4, "one too many")
		c.expect("FIN " + id(2))
		if maxAttempts == 0 {
			if len(g.handled) != 2 || len(g.failed) != 0 {
				t.Errorf("without a limit: %d handled, %d given up", len(g.handled), len(g.failed))
			}
		} else if len(g.handled) != 1 || len(g.failed) != 1 || <-g.failed != 4 {
			t.Errorf("%d handled, %d given up", len(g.handled), len(g.failed))
		}
		c.nc.Close()
	}
}

// Nothing the handlers do keeps the consumer from answering nsqd.
func TestHeartbeatsWhileHandlersAreBusy(t *testing.T) {
	f := newFakeNSQD(t)
	r := newTestConsumer(t, func(c *Config) { c.MaxInFlight = 20 })
	entered, release := make(chan struct{}, 20), make(chan struct{})
	r.AddConcurrentHandlers(HandlerFunc(func(*Message) error {
		entered <- struct{}{}
		<-release
		return nil
	}), 2)
	go r.ConnectToNSQD(f.addr)
	c := f.subscribed(20)
	for i := range 20 {
		c.message(uint64(i), 1, "x")
	}
	receive(t, "a busy handler", entered)
	receive(t, "a busy handler", entered)
	for range 3 {
		c.respond(wire.Heartbeat)
		c.expect("NOP")
	}
	r.ChangeMaxInFlight(1) // less than is in flight
	c.expect("RDY 1")
	c.respond(wire.Heartbeat)
	c.expect("NOP")
	close(release)
	for range 20 {
		if line, _ := c.next(); !strings.HasPrefix(line, "FIN ") {
			t.Errorf("got %q", line)
		}
	}
	c.nc.Close()
}

// What an nsqd sends beyond all measure does not pile up.
func TestFloodEndsTheConnection(t *testing.T) {
	f := newFakeNSQD(t)
	r := newTestConsumer(t, nil)
	release := make(chan struct{})
	r.AddHandler(HandlerFunc(func(*Message) error { <-release; return nil }))
	go r.ConnectToNSQD(f.addr)
	c := f.subscribed(1)
	frame := wire.AppendMessageFrame(nil, 1, 1, 1, []byte("x"))
	for range 100 {
		if _, err := c.nc.Write(frame); err != nil {
			break
		}
	}
	c.expectEnd()
	close(release)
	f.subscribed(1).nc.Close() // it gets another chance
}

func TestReconnect(t *testing.T) {
	f := newFakeNSQD(t)
	r := newTestConsumer(t, func(c *Config) { c.LookupdPollInterval = 20 * time.Millisecond })
	hold := make(chan struct{})
	handled := make(chan string, 10)
	r.AddConcurrentHandlers(HandlerFunc(func(m *Message) error {
		handled <- string(m.Body)
		if string(m.Body) == "hold" {
			<-hold
		}
		return nil
	}), 2)
	connected := make(chan error, 1)
	go func() { connected <- r.ConnectToNSQD(f.addr) }()
	c := f.subscribed(1)
	if err := receive(t, "ConnectToNSQD", connected); err != nil {
		t.Fatal(err)
	}
	c.message(1, 1, "hold")
	receive(t, "message", handled)
	c.nc.Close()

	c = f.subscribed(1) // although a handler is busy with a message of the old one
	close(hold)
	c.message(2, 1, "x")
	receive(t, "message", handled)
	c.expect("FIN " + id(2)) // and not of message 1: that answer is for nobody

	f.ln.Close()
	c.nc.Close()
	eventually(t, "loss is noticed", func() bool { return r.Stats().Connections == 0 })
	back := listenFake(t, f.addr)
	c = back.subscribed(1)
	c.fail("E_FIN_FAILED FIN failed ID not in flight") // no reason to part
	c.message(3, 1, "x")
	c.expect("FIN " + id(3))

	// Disconnected on purpose, it stays so.
	if err := r.DisconnectFromNSQD(f.addr); err != nil {
		t.Fatal(err)
	}
	c.expect("CLS")
	c.respond(wire.CloseWait)
	c.expectEnd()
	c.nc.Close()
	eventually(t, "connection is gone", func() bool { return r.Stats().Connections == 0 })
	if err := r.DisconnectFromNSQD(f.addr); !errors.Is(err, ErrNotConnected) {
		t.Errorf("a second time: %v", err)
	}
	go r.ConnectToNSQD(f.addr) // the first connection made is one that was asked for
	back.subscribed(1).nc.Close()
}

func TestReconnectingEnds(t *testing.T) {
	for name, end := range map[string]func(r *Consumer, addr string){
		"Stop":               func(r *Consumer, _ string) { r.Stop() },
		"DisconnectFromNSQD": func(r *Consumer, addr string) { r.DisconnectFromNSQD(addr) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeNSQD(t)
			r := newTestConsumer(t, nil)
			r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
			go r.ConnectToNSQD(f.addr)
			c := f.subscribed(1)
			f.ln.Close()
			c.nc.Close()
			eventually(t, "loss is noticed", func() bool { return r.Stats().Connections == 0 })
			end(r, f.addr)
			within(t, "the loop to end", func() {
				r.Stop()
				<-r.StopChan
			})
		})
	}
}

func TestStopAnswersWhatIsInFlight(t *testing.T) {
	f := newFakeNSQD(t)
	r := newTestConsumer(t, func(c *Config) { c.MaxInFlight = 5 })
	release := make(chan struct{})
	entered := make(chan struct{}, 5)
	r.AddHandler(HandlerFunc(func(*Message) error {
		entered <- struct{}{}
		<-release
		return nil
	}))
	go r.ConnectToNSQD(f.addr)
	c := f.subscribed(5)
	c.message(1, 1, "x")
	c.message(2, 1, "x")
	receive(t, "message", entered)
	within(t, "Stop, although a handler is busy,", r.Stop)
	r.Stop()
	c.expect("CLS")
	c.message(3, 1, "sent before nsqd read CLS")
	c.respond(wire.CloseWait)
	select {
	case <-r.StopChan:
		t.Error("stopped with messages in flight")
	default:
	}
	close(release)
	for i := range 3 {
		c.expect("FIN " + id(uint64(i+1)))
	}
	c.expectEnd()
	c.nc.Close()
	receive(t, "StopChan", r.StopChan)
}

func TestStopWithoutConnections(t *testing.T) {
	for name, handlers := range map[string]int{"no handlers": 0, "two handlers": 2} {
		r := newTestConsumer(t, nil)
		r.AddConcurrentHandlers(HandlerFunc(func(*Message) error { return nil }), handlers)
		r.Stop()
		receive(t, "StopChan with "+name, r.StopChan)
	}
}

func TestStopWhileConnecting(t *testing.T) {
	f := newFakeNSQD(t)
	r := newTestConsumer(t, nil)
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	connected := make(chan error, 1)
	go func() { connected <- r.ConnectToNSQD(f.addr) }()
	c := f.raw()
	c.magic()
	c.expect("IDENTIFY") // and no answer
	r.Stop()
	receive(t, "StopChan", r.StopChan)
	if err := receive(t, "ConnectToNSQD", connected); err == nil || err.Error() != "consumer stopped" {
		t.Errorf("got %v", err)
	}
}

func TestLargeMessagesArrive(t *testing.T) {
	f := newFakeNSQD(t)
	r := newTestConsumer(t, func(c *Config) { c.MaxInFlight = 10 })
	got := make(chan *Message, 10)
	r.AddHandler(HandlerFunc(func(m *Message) error { got <- m; return nil }))
	go r.ConnectToNSQD(f.addr)
	c := f.subscribed(10)
	var want [][]byte
	var frames []byte
	for i, size := range []int{1, 100, readBufferSize - wire.FrameHeaderLen - wire.MessageHeaderLen, readBufferSize, 1 << 20, 0} {
		want = append(want, bytes.Repeat([]byte{byte(i)}, size))
		frames = wire.AppendMessageFrame(frames, 1, 1, uint64(i), want[i])
	}
	go c.nc.Write(frames)
	var messages []*Message // kept until all are here: none shares memory with another
	for range want {
		messages = append(messages, receive(t, "message", got))
	}
	for i, m := range messages {
		if !bytes.Equal(m.Body, want[i]) {
			t.Errorf("message %d of %d bytes arrived changed", i, len(want[i]))
		}
	}
	for i := range want {
		c.expect("FIN " + id(uint64(i)))
	}
	c.nc.Close()
}

func TestMaxMsgSize(t *testing.T) {
	f := newFakeNSQD(t)
	r := newTestConsumer(t, func(c *Config) { c.MaxMsgSize = 200 })
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	go r.ConnectToNSQD(f.addr)
	c := f.subscribed(1)
	most := 200 - wire.SizeLen - wire.MessageHeaderLen
	c.message(1, 1, strings.Repeat("x", most))
	c.expect("FIN " + id(1))
	c.message(2, 1, strings.Repeat("x", most+1))
	c.expectEnd()
	c.nc.Close()
}

func TestGarbageForAConsumer(t *testing.T) {
	for name, garbage := range map[string][]byte{
		"unknown frame type":  wire.AppendFrame(nil, 9, "x"),
		"short message":       wire.AppendFrame(nil, wire.FrameMessage, "x"),
		"unexpected response": wire.AppendFrame(nil, wire.FrameResponse, "what?"),
		"half a frame":        {0, 0, 0, 99, 0, 0, 0, 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeNSQD(t)
			r := newTestConsumer(t, nil)
			r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
			go r.ConnectToNSQD(f.addr)
			c := f.subscribed(1)
			c.write(garbage)
			if name == "half a frame" {
				c.nc.Close()
			} else {
				c.expectEnd()
			}
			f.subscribed(1).nc.Close()
		})
	}
}

// Connecting, losing connections, changing RDY and Stop may meet in any way.
func TestConsumerRaces(t *testing.T) {
	for range 20 {
		f := newFakeNSQD(t)
		r := newTestConsumer(t, func(c *Config) {
			c.MaxInFlight = 50
			c.LookupdPollInterval = 10 * time.Millisecond
			c.RDYRedistributeInterval = time.Millisecond
		})
		r.SetLogger(nil, LogLevelInfo)
		var handled atomic.Int64
		r.AddConcurrentHandlers(HandlerFunc(func(m *Message) error {
			if handled.Add(1)%3 == 0 {
				return errors.New("no")
			}
			return nil
		}), 3)
		var all sync.WaitGroup
		stop := make(chan struct{})
		all.Go(func() {
			for {
				select {
				case nc := <-f.conns:
					all.Go(func() { pushingServer(nc, stop) })
				case <-stop:
					return
				}
			}
		})
		all.Go(func() { r.ConnectToNSQD(f.addr) })
		all.Go(func() {
			for i := range 50 {
				r.ChangeMaxInFlight(i % 7 * 10)
				r.IsStarved()
				r.Stats()
			}
		})
		eventually(t, "some messages", func() bool { return handled.Load() > 30 })
		all.Go(func() { r.DisconnectFromNSQD(f.addr) })
		r.Stop()
		close(stop)
		receive(t, "StopChan", r.StopChan)
		within(t, "server", all.Wait)
	}
}

// pushingServer sends messages without end, but cuts the connection when the
// client sends its twentieth command or stop is closed.
func pushingServer(nc net.Conn, stop <-chan struct{}) {
	defer nc.Close()
	c := &fakeConn{nc: nc, br: bufio.NewReader(nc)}
	c.br.Discard(4)
	if _, _, err := c.read(); err != nil {
		return
	}
	nc.Write(wire.AppendFrame(nil, wire.FrameResponse, negotiated))
	for i := range 20 {
		select {
		case <-stop:
			return
		default:
		}
		line, _, err := c.read()
		switch {
		case err != nil:
			return
		case strings.HasPrefix(line, "SUB"):
			nc.Write(wire.AppendFrame(nil, wire.FrameResponse, wire.OK))
		case line == "CLS":
			nc.Write(wire.AppendFrame(nil, wire.FrameResponse, wire.CloseWait))
		}
		nc.Write(wire.AppendMessageFrame(nil, 1, 1, uint64(i), []byte("x")))
	}
}

func TestConsumerLog(t *testing.T) {
	r := newTestConsumer(t, nil)
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	lines := make(logLines, 10)
	r.SetLogger(lines, LogLevelInfo)
	f := newFakeNSQD(t)
	go r.ConnectToNSQD(f.addr)
	c := f.subscribed(1)
	want := fmt.Sprintf("INF  %3d [t/c] (%s) ", instances.Load(), f.addr)
	if got := receive(t, "log line", lines); !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q...", got, want)
	}
	c.fail("E_TOUCH_FAILED TOUCH failed")
	want = fmt.Sprintf("ERR  %3d [t/c] (%s) ", instances.Load(), f.addr)
	if got := receive(t, "log line", lines); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "E_TOUCH_FAILED TOUCH failed") {
		t.Errorf("got %q, want %q...", got, want)
	}
	r.SetLogger(nil, LogLevelInfo)
	c.nc.Close()
}
