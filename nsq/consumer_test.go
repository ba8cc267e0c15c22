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

	"github.com/seed893f581e/nsq/internal/nsqtest"
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
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, nil)
	if err := r.ConnectToNSQD(f.Addr); err == nil || err.Error() != "no handlers" {
		t.Errorf("without handlers: %v", err)
	}
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	if err := r.DisconnectFromNSQD(f.Addr); !errors.Is(err, ErrNotConnected) {
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
	go func() { first <- r.ConnectToNSQD(f.Addr) }()
	c := f.Raw()
	if err := r.ConnectToNSQD(f.Addr); !errors.Is(err, ErrAlreadyConnected) {
		t.Errorf("while connecting: %v", err)
	}
	c.Magic()
	c.Expect("IDENTIFY")
	c.Fail("E_BAD_BODY IDENTIFY no")
	if err := nsqtest.Receive(t, "ConnectToNSQD", first); !errors.Is(err, ErrIdentify{Reason: "E_BAD_BODY IDENTIFY no"}) {
		t.Errorf("got %v", err)
	}

	go func() { first <- r.ConnectToNSQD(f.Addr) }() // a failed attempt is forgotten
	f.Subscribed(1)
	if err := nsqtest.Receive(t, "ConnectToNSQD", first); err != nil {
		t.Fatal(err)
	}
	if err := r.ConnectToNSQD(f.Addr); !errors.Is(err, ErrAlreadyConnected) {
		t.Errorf("when connected: %v", err)
	}
	if n := r.Stats().Connections; n != 1 {
		t.Errorf("%d connections", n)
	}
	r.Stop()
	if err := r.ConnectToNSQD(f.Addr); err == nil || err.Error() != "consumer stopped" {
		t.Errorf("after Stop: %v", err)
	}
	f.Listener.Close()
	for len(f.Conns) > 0 {
		(<-f.Conns).Close()
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
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, func(c *Config) {
		c.MaxRequeueDelay = 5 * time.Minute
		c.MaxBackoffDuration = 0
	})
	r.AddHandler(HandlerFunc(func(m *Message) error {
		if m.NSQDAddress != f.Addr || m.Timestamp != 1234567890 {
			t.Errorf("message from %s of time %d", m.NSQDAddress, m.Timestamp)
		}
		return results[string(m.Body)].do(m)
	}))
	go r.ConnectToNSQD(f.Addr)
	c := f.Subscribed(1)
	n := uint64(0)
	for name, tt := range results {
		n++
		c.Message(n, tt.attempts, name)
		for _, want := range tt.want {
			line, _ := c.Next()
			if want = strings.ReplaceAll(want, "ID", nsqtest.ID(n)); line != want {
				t.Errorf("%s: got %q, want %q", name, line, want)
			}
		}
	}
	stats := r.Stats()
	if stats.MessagesReceived != n || stats.MessagesFinished+stats.MessagesRequeued != n || stats.MessagesFinished == 0 || stats.MessagesRequeued == 0 {
		t.Errorf("%d messages, %+v", n, stats)
	}
	c.Conn.Close()
}

// givingUp remembers the messages it was not given any more.
type givingUp struct {
	handled, failed chan uint16
}

func (g givingUp) HandleMessage(m *Message) error { g.handled <- m.Attempts; return nil }
func (g givingUp) LogFailedMessage(m *Message)    { g.failed <- m.Attempts }

func TestMaxAttempts(t *testing.T) {
	for _, maxAttempts := range []uint16{3, 0} {
		f := nsqtest.NewFake(t)
		r := newTestConsumer(t, func(c *Config) { c.MaxAttempts = maxAttempts })
		g := givingUp{make(chan uint16, 10), make(chan uint16, 10)}
		r.AddHandler(g)
		go r.ConnectToNSQD(f.Addr)
		c := f.Subscribed(1)
		c.Message(1, 3, "the last attempt")
		c.Expect("FIN " + nsqtest.ID(1))
		c.Message(2, 4, "one too many")
		c.Expect("FIN " + nsqtest.ID(2))
		if maxAttempts == 0 {
			if len(g.handled) != 2 || len(g.failed) != 0 {
				t.Errorf("without a limit: %d handled, %d given up", len(g.handled), len(g.failed))
			}
		} else if len(g.handled) != 1 || len(g.failed) != 1 || <-g.failed != 4 {
			t.Errorf("%d handled, %d given up", len(g.handled), len(g.failed))
		}
		c.Conn.Close()
	}
}

// Nothing the handlers do keeps the consumer from answering nsqd.
func TestHeartbeatsWhileHandlersAreBusy(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, func(c *Config) { c.MaxInFlight = 20 })
	entered, release := make(chan struct{}, 20), make(chan struct{})
	r.AddConcurrentHandlers(HandlerFunc(func(*Message) error {
		entered <- struct{}{}
		<-release
		return nil
	}), 2)
	go r.ConnectToNSQD(f.Addr)
	c := f.Subscribed(20)
	for i := range 20 {
		c.Message(uint64(i), 1, "x")
	}
	nsqtest.Receive(t, "a busy handler", entered)
	nsqtest.Receive(t, "a busy handler", entered)
	for range 3 {
		c.Respond(wire.Heartbeat)
		c.Expect("NOP")
	}
	r.ChangeMaxInFlight(1) // less than is in flight
	c.Expect("RDY 1")
	c.Respond(wire.Heartbeat)
	c.Expect("NOP")
	close(release)
	for range 20 {
		if line, _ := c.Next(); !strings.HasPrefix(line, "FIN ") {
			t.Errorf("got %q", line)
		}
	}
	c.Conn.Close()
}

// What an nsqd sends beyond all measure does not pile up.
func TestFloodEndsTheConnection(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, nil)
	release := make(chan struct{})
	r.AddHandler(HandlerFunc(func(*Message) error { <-release; return nil }))
	go r.ConnectToNSQD(f.Addr)
	c := f.Subscribed(1)
	frame := wire.AppendMessageFrame(nil, 1, 1, 1, []byte("x"))
	for range 100 {
		if _, err := c.Conn.Write(frame); err != nil {
			break
		}
	}
	c.ExpectEnd()
	close(release)
	f.Subscribed(1).Conn.Close() // it gets another chance
}

func TestReconnect(t *testing.T) {
	f := nsqtest.NewFake(t)
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
	go func() { connected <- r.ConnectToNSQD(f.Addr) }()
	c := f.Subscribed(1)
	if err := nsqtest.Receive(t, "ConnectToNSQD", connected); err != nil {
		t.Fatal(err)
	}
	c.Message(1, 1, "hold")
	nsqtest.Receive(t, "message", handled)
	c.Conn.Close()

	c = f.Subscribed(1) // although a handler is busy with a message of the old one
	close(hold)
	c.Message(2, 1, "x")
	nsqtest.Receive(t, "message", handled)
	c.Expect("FIN " + nsqtest.ID(2)) // and not of message 1: that answer is for nobody

	f.Listener.Close()
	c.Conn.Close()
	nsqtest.Eventually(t, "loss is noticed", func() bool { return r.Stats().Connections == 0 })
	back := nsqtest.ListenFake(t, f.Addr)
	c = back.Subscribed(1)
	c.Fail("E_FIN_FAILED FIN failed ID not in flight") // no reason to part
	c.Message(3, 1, "x")
	c.Expect("FIN " + nsqtest.ID(3))

	// Disconnected on purpose, it stays so.
	if err := r.DisconnectFromNSQD(f.Addr); err != nil {
		t.Fatal(err)
	}
	c.Expect("CLS")
	c.Respond(wire.CloseWait)
	c.ExpectEnd()
	c.Conn.Close()
	nsqtest.Eventually(t, "connection is gone", func() bool { return r.Stats().Connections == 0 })
	if err := r.DisconnectFromNSQD(f.Addr); !errors.Is(err, ErrNotConnected) {
		t.Errorf("a second time: %v", err)
	}
	go r.ConnectToNSQD(f.Addr) // the first connection made is one that was asked for
	back.Subscribed(1).Conn.Close()
}

func TestReconnectingEnds(t *testing.T) {
	for name, end := range map[string]func(r *Consumer, addr string){
		"Stop":               func(r *Consumer, _ string) { r.Stop() },
		"DisconnectFromNSQD": func(r *Consumer, addr string) { r.DisconnectFromNSQD(addr) },
	} {
		t.Run(name, func(t *testing.T) {
			f := nsqtest.NewFake(t)
			r := newTestConsumer(t, nil)
			r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
			go r.ConnectToNSQD(f.Addr)
			c := f.Subscribed(1)
			f.Listener.Close()
			c.Conn.Close()
			nsqtest.Eventually(t, "loss is noticed", func() bool { return r.Stats().Connections == 0 })
			end(r, f.Addr)
			nsqtest.Within(t, "the loop to end", func() {
				r.Stop()
				<-r.StopChan
			})
		})
	}
}

func TestStopAnswersWhatIsInFlight(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, func(c *Config) { c.MaxInFlight = 5 })
	release := make(chan struct{})
	entered := make(chan struct{}, 5)
	r.AddHandler(HandlerFunc(func(*Message) error {
		entered <- struct{}{}
		<-release
		return nil
	}))
	go r.ConnectToNSQD(f.Addr)
	c := f.Subscribed(5)
	c.Message(1, 1, "x")
	c.Message(2, 1, "x")
	nsqtest.Receive(t, "message", entered)
	nsqtest.Within(t, "Stop, although a handler is busy,", r.Stop)
	r.Stop()
	c.Expect("CLS")
	c.Message(3, 1, "sent before nsqd read CLS")
	c.Respond(wire.CloseWait)
	select {
	case <-r.StopChan:
		t.Error("stopped with messages in flight")
	default:
	}
	close(release)
	for i := range 3 {
		c.Expect("FIN " + nsqtest.ID(uint64(i+1)))
	}
	c.ExpectEnd()
	c.Conn.Close()
	nsqtest.Receive(t, "StopChan", r.StopChan)
}

func TestStopWithoutConnections(t *testing.T) {
	for name, handlers := range map[string]int{"no handlers": 0, "two handlers": 2} {
		r := newTestConsumer(t, nil)
		r.AddConcurrentHandlers(HandlerFunc(func(*Message) error { return nil }), handlers)
		r.Stop()
		nsqtest.Receive(t, "StopChan with "+name, r.StopChan)
	}
}

func TestStopWhileConnecting(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, nil)
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	connected := make(chan error, 1)
	go func() { connected <- r.ConnectToNSQD(f.Addr) }()
	c := f.Raw()
	c.Magic()
	c.Expect("IDENTIFY") // and no answer
	r.Stop()
	nsqtest.Receive(t, "StopChan", r.StopChan)
	if err := nsqtest.Receive(t, "ConnectToNSQD", connected); err == nil || err.Error() != "consumer stopped" {
		t.Errorf("got %v", err)
	}
}

func TestLargeMessagesArrive(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, func(c *Config) { c.MaxInFlight = 10 })
	got := make(chan *Message, 10)
	r.AddHandler(HandlerFunc(func(m *Message) error { got <- m; return nil }))
	go r.ConnectToNSQD(f.Addr)
	c := f.Subscribed(10)
	var want [][]byte
	var frames []byte
	for i, size := range []int{1, 100, readBufferSize - wire.FrameHeaderLen - wire.MessageHeaderLen, readBufferSize, 1 << 20, 0} {
		want = append(want, bytes.Repeat([]byte{byte(i)}, size))
		frames = wire.AppendMessageFrame(frames, 1, 1, uint64(i), want[i])
	}
	go c.Conn.Write(frames)
	var messages []*Message // kept until all are here: none shares memory with another
	for range want {
		messages = append(messages, nsqtest.Receive(t, "message", got))
	}
	for i, m := range messages {
		if !bytes.Equal(m.Body, want[i]) {
			t.Errorf("message %d of %d bytes arrived changed", i, len(want[i]))
		}
	}
	for i := range want {
		c.Expect("FIN " + nsqtest.ID(uint64(i)))
	}
	c.Conn.Close()
}

func TestMaxMsgSize(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, func(c *Config) { c.MaxMsgSize = 200 })
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	go r.ConnectToNSQD(f.Addr)
	c := f.Subscribed(1)
	most := 200 - wire.SizeLen - wire.MessageHeaderLen
	c.Message(1, 1, strings.Repeat("x", most))
	c.Expect("FIN " + nsqtest.ID(1))
	c.Message(2, 1, strings.Repeat("x", most+1))
	c.ExpectEnd()
	c.Conn.Close()
}

// Connecting, losing connections, changing RDY and Stop may meet in any way.
func TestConsumerRaces(t *testing.T) {
	for range 20 {
		f := nsqtest.NewFake(t)
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
				case nc := <-f.Conns:
					all.Go(func() { pushingServer(nc, stop) })
				case <-stop:
					return
				}
			}
		})
		all.Go(func() { r.ConnectToNSQD(f.Addr) })
		all.Go(func() {
			for i := range 50 {
				r.ChangeMaxInFlight(i % 7 * 10)
				r.IsStarved()
				r.Stats()
			}
		})
		nsqtest.Eventually(t, "some messages", func() bool { return handled.Load() > 30 })
		all.Go(func() { r.DisconnectFromNSQD(f.Addr) })
		r.Stop()
		close(stop)
		nsqtest.Receive(t, "StopChan", r.StopChan)
		nsqtest.Within(t, "server", all.Wait)
	}
}

// pushingServer sends messages without end, but cuts the connection when the
// client sends its twentieth command or stop is closed.
func pushingServer(nc net.Conn, stop <-chan struct{}) {
	defer nc.Close()
	c := &nsqtest.FakeConn{Conn: nc, Reader: bufio.NewReader(nc)}
	c.Reader.Discard(4)
	if _, _, err := c.Read(); err != nil {
		return
	}
	nc.Write(wire.AppendFrame(nil, wire.FrameResponse, nsqtest.Negotiated))
	for i := range 20 {
		select {
		case <-stop:
			return
		default:
		}
		line, _, err := c.Read()
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
	f := nsqtest.NewFake(t)
	go r.ConnectToNSQD(f.Addr)
	c := f.Subscribed(1)
	want := fmt.Sprintf("INF  %3d [t/c] (%s) ", instances.Load(), f.Addr)
	if got := nsqtest.Receive(t, "log line", lines); !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q...", got, want)
	}
	c.Fail("E_TOUCH_FAILED TOUCH failed")
	want = fmt.Sprintf("ERR  %3d [t/c] (%s) ", instances.Load(), f.Addr)
	if got := nsqtest.Receive(t, "log line", lines); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "E_TOUCH_FAILED TOUCH failed") {
		t.Errorf("got %q, want %q...", got, want)
	}
	r.SetLogger(nil, LogLevelInfo)
	c.Conn.Close()
}
