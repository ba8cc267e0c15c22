package nsq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// spy is a ConnDelegate that tells what it was told, in order.
type spy struct {
	told     chan string
	messages chan *Message
	closed   chan struct{}                      // by OnClose
	within   atomic.Pointer[func(event string)] // if not nil, is called first
}

func newSpy() *spy {
	return &spy{told: make(chan string, 1000), messages: make(chan *Message, 1000), closed: make(chan struct{})}
}

func (s *spy) tell(event string) {
	if f := s.within.Load(); f != nil {
		(*f)(event)
	}
	s.told <- event
}

// do makes f be called from within the delegate's methods.
func (s *spy) do(f func(event string)) { s.within.Store(&f) }

func (s *spy) expect(t *testing.T, events ...string) {
	t.Helper()
	for _, want := range events {
		if got := nsqtest.Receive(t, want, s.told); got != want {
			t.Fatalf("told of %q, want %q", got, want)
		}
	}
}

func (s *spy) OnResponse(_ *Conn, data []byte) { s.tell("response " + string(data)) }
func (s *spy) OnError(_ *Conn, data []byte)    { s.tell("error " + string(data)) }
func (s *spy) OnMessage(_ *Conn, m *Message) {
	s.tell("message " + string(m.Body))
	s.messages <- m
}
func (s *spy) OnMessageFinished(_ *Conn, m *Message) { s.tell("finished " + string(m.Body)) }
func (s *spy) OnMessageRequeued(_ *Conn, m *Message) { s.tell("requeued " + string(m.Body)) }
func (s *spy) OnBackoff(*Conn)                       { s.tell("backoff") }
func (s *spy) OnContinue(*Conn)                      { s.tell("continue") }
func (s *spy) OnResume(*Conn)                        { s.tell("resume") }
func (s *spy) OnIOError(_ *Conn, err error)          { s.tell("io error " + err.Error()) }
func (s *spy) OnHeartbeat(*Conn)                     { s.tell("heartbeat") }
func (s *spy) OnClose(*Conn) {
	s.tell("close")
	close(s.closed)
}

// connectTo returns a Conn that is connected to the fake nsqd.
func connectTo(t *testing.T, f *nsqtest.Fake, s *spy) (*Conn, *nsqtest.FakeConn) {
	t.Helper()
	c := NewConn(f.Addr, NewConfig(), s)
	c.SetLogger(testLog{t}, LogLevelDebug, "")
	connected := make(chan error, 1)
	go func() {
		resp, err := c.Connect()
		if err == nil && *resp != (IdentifyResponse{MaxRdyCount: 2500}) {
			err = fmt.Errorf("IDENTIFY was answered with %+v", resp)
		}
		connected <- err
	}()
	server := f.Accept()
	if err := nsqtest.Receive(t, "Connect", connected); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		server.Conn.Close()
		nsqtest.Receive(t, "the end of the connection", s.closed) // after which nothing is logged
	})
	return c, server
}

// startMessages makes the fake deliver messages with the given bodies and
// identifiers from 1, and returns them.
func startMessages(t *testing.T, server *nsqtest.FakeConn, s *spy, bodies ...string) (messages []*Message) {
	t.Helper()
	for i, body := range bodies {
		server.Message(uint64(i+1), 2, body)
		s.expect(t, "message "+body)
		messages = append(messages, nsqtest.Receive(t, body, s.messages))
	}
	return messages
}

func TestConnAnswers(t *testing.T) {
	f := nsqtest.NewFake(t)
	for name, tt := range map[string]struct {
		answer  func(*Message)
		told    []string
		command string
	}{
		"finish":                     {(*Message).Finish, []string{"finished x", "resume"}, "FIN " + nsqtest.ID(1)},
		"requeue":                    {func(m *Message) { m.Requeue(time.Second) }, []string{"requeued x", "backoff"}, "REQ " + nsqtest.ID(1) + " 1000"},
		"requeue with its own delay": {func(m *Message) { m.Requeue(-1) }, []string{"requeued x", "backoff"}, "REQ " + nsqtest.ID(1) + " 180000"},
		"requeue without back-off":   {func(m *Message) { m.RequeueWithoutBackoff(0) }, []string{"requeued x", "continue"}, "REQ " + nsqtest.ID(1) + " 0"},
		"touch":                      {(*Message).Touch, nil, "TOUCH " + nsqtest.ID(1)},
		"twice":                      {func(m *Message) { m.Finish(); m.Requeue(0); m.Touch() }, []string{"finished x", "resume"}, "FIN " + nsqtest.ID(1)},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSpy()
			c, server := connectTo(t, f, s)
			m := startMessages(t, server, s, "x")[0]
			if m.NSQDAddress != f.Addr || m.Attempts != 2 {
				t.Errorf("message from %s, attempt %d", m.NSQDAddress, m.Attempts)
			}
			tt.answer(m)
			s.expect(t, tt.told...)
			server.Expect(tt.command)
			if err := c.WriteCommand(Nop()); err != nil {
				t.Error(err)
			}
			server.Expect("NOP") // and no other answer before
		})
	}
}

// What a delegate sends when it is told of back-off must arrive before the answer
// that makes room for another message.
func TestConnDelegateWritesBeforeTheAnswer(t *testing.T) {
	f := nsqtest.NewFake(t)
	s := newSpy()
	c, server := connectTo(t, f, s)
	s.do(func(event string) {
		if event == "backoff" {
			if err := c.WriteCommand(Ready(0)); err != nil {
				t.Error(err)
			}
		}
	})
	startMessages(t, server, s, "x")[0].Requeue(0)
	server.Expect("RDY 0")
	server.Expect("REQ " + nsqtest.ID(1) + " 0")
}

// A delegate may answer messages from within, whatever it is called for, and need
// not be ready for many at a time.
func TestConnDelegateAnswersFromWithin(t *testing.T) {
	f := nsqtest.NewFake(t)
	s := newSpy()
	_, server := connectTo(t, f, s)
	messages := startMessages(t, server, s, "a", "b")
	s.do(func(event string) {
		switch event {
		case "heartbeat":
			messages[0].Finish()
		case "finished a":
			messages[1].Finish()
		}
	})
	server.Respond(wire.Heartbeat)
	server.Expect("NOP")
	server.Expect("FIN " + nsqtest.ID(1))
	server.Expect("FIN " + nsqtest.ID(2))
}

func TestConnFrames(t *testing.T) {
	f := nsqtest.NewFake(t)
	s := newSpy()
	c, server := connectTo(t, f, s)
	server.Respond("OK")
	server.Fail("E_FIN_FAILED FIN 1 failed")
	server.Respond(wire.Heartbeat)
	s.expect(t, "response OK", "error E_FIN_FAILED FIN 1 failed", "heartbeat")
	server.Expect("NOP")

	if err := c.WriteCommand(Publish("t", []byte("hello"))); err != nil {
		t.Error(err)
	}
	if body := server.Expect("PUB t"); string(body) != "hello" {
		t.Errorf("published %q", body)
	}
	if n, err := c.Write([]byte("NOP\nRDY 1\n")); n != 10 || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
	if n, err := Subscribe("t", "c").WriteTo(c); n != 8 || err != nil {
		t.Errorf("WriteTo: %d, %v", n, err)
	}
	if err := c.Flush(); err != nil {
		t.Error(err)
	}
	server.Expect("NOP")
	server.Expect("RDY 1")
	server.Expect("SUB t c")
}

// What a delegate is given is its own.
func TestConnDelegateKeepsData(t *testing.T) {
	f := nsqtest.NewFake(t)
	kept := make(chan []byte, 10)
	d := &keeper{spy: newSpy(), kept: kept}
	c := NewConn(f.Addr, NewConfig(), d)
	go c.Connect()
	server := f.Accept()
	want := []string{"first", "secnd", "third"}
	for _, data := range want {
		server.Respond(data)
	}
	var got []string
	var all [][]byte
	for range want {
		all = append(all, nsqtest.Receive(t, "a response", kept))
	}
	for _, b := range all {
		got = append(got, string(b))
	}
	if !slices.Equal(got, want) {
		t.Errorf("kept %q, want %q", got, want)
	}
	c.Close()
	server.Conn.Close()
	d.expect(t, "close")
}

type keeper struct {
	*spy
	kept chan []byte
}

func (k *keeper) OnResponse(_ *Conn, data []byte) { k.kept <- data }

// A delegate may read what is no frame; whoever else reads waits.
func TestConnRead(t *testing.T) {
	f := nsqtest.NewFake(t)
	s := newSpy()
	c, server := connectTo(t, f, s)
	raw := make([]byte, 5)
	s.do(func(event string) {
		if event == "response raw follows" {
			if _, err := io.ReadFull(c, raw); err != nil {
				t.Error(err)
			}
		}
	})
	server.Respond("raw follows")
	server.Write([]byte("bytes"))
	server.Respond("OK")
	s.expect(t, "response raw follows", "response OK")
	if string(raw) != "bytes" {
		t.Errorf("read %q", raw)
	}
}

func TestConnCloseWhenIdle(t *testing.T) {
	f := nsqtest.NewFake(t)
	s := newSpy()
	c, server := connectTo(t, f, s)
	if c.IsClosing() {
		t.Error("closing already")
	}
	must(t, c.WriteCommand(Publish("t", []byte("x"))))
	must(t, c.Close())
	if !c.IsClosing() {
		t.Error("not closing")
	}
	if err := c.WriteCommand(Nop()); err != ErrClosing {
		t.Errorf("WriteCommand: %v", err)
	}
	if _, err := c.Connect(); err != ErrAlreadyConnected {
		t.Errorf("Connect: %v", err)
	}
	server.Expect("PUB t")
	server.ExpectEnd()
	server.Respond("OK") // which is still heard
	server.Conn.Close()
	s.expect(t, "response OK", "close")
	must(t, c.Close())
}

func TestConnCloseWaitsForAnswers(t *testing.T) {
	f := nsqtest.NewFake(t)
	s := newSpy()
	c, server := connectTo(t, f, s)
	messages := startMessages(t, server, s, "a", "b")
	must(t, c.Close())
	server.Expect("RDY 0")
	server.Message(9, 1, "too late")
	server.Expect("REQ " + nsqtest.ID(9) + " 0")
	server.Respond(wire.Heartbeat)
	s.expect(t, "heartbeat")
	server.Expect("NOP")
	messages[0].Finish()
	s.expect(t, "finished a", "resume")
	server.Expect("FIN " + nsqtest.ID(1))
	messages[1].Requeue(0)
	s.expect(t, "requeued b", "backoff")
	server.Expect("REQ " + nsqtest.ID(2) + " 0")
	server.ExpectEnd()
	server.Conn.Close()
	s.expect(t, "close")
}

// connectPipe connects c to the returned end.
func connectPipe(t *testing.T, c *Conn) *nsqtest.FakeConn {
	client, server := net.Pipe()
	nc := newNSQDConn(client, "pipe", &c.config)
	must(t, c.dialled(nc, nil))
	go c.run(nc)
	return nsqtest.NewFakeConn(t, server)
}

func TestConnCloseDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpy()
		c := NewConn("pipe", NewConfig(), s)
		server := connectPipe(t, c)
		startMessages(t, server, s, "never answered")
		start := time.Now()
		must(t, c.Close())
		server.Expect("RDY 0")
		if event := <-s.told; event != "close" || time.Since(start) != stopTimeout {
			t.Errorf("told of %q after %v", event, time.Since(start))
		}
	}) // no goroutine is left
}

// A silent nsqd does not keep a connection open.
func TestConnCloseDoesNotWaitForNSQD(t *testing.T) {
	t.Parallel()
	f := nsqtest.NewFake(t)
	s := newSpy()
	c, server := connectTo(t, f, s)
	start := time.Now()
	must(t, c.Close())
	s.expect(t, "close")
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("closed after %v", took)
	}
	server.ExpectEnd()
}

func TestConnLost(t *testing.T) {
	f := nsqtest.NewFake(t)
	s := newSpy()
	c, server := connectTo(t, f, s)
	m := startMessages(t, server, s, "x")[0]
	if err := m.Context().Err(); err != nil {
		t.Errorf("the message's context: %v", err)
	}
	s.do(func(event string) {
		if !strings.HasPrefix(event, "error") {
			if !c.IsClosing() {
				t.Errorf("not closing when told of %q", event)
			}
			c.Close()
		}
	})
	server.Fail("E_INVALID cannot RDY in current state")
	server.Conn.Close()
	s.expect(t, "error E_INVALID cannot RDY in current state", "io error EOF", "close")
	if ctx := m.Context(); ctx.Err() != context.Canceled || !errors.Is(context.Cause(ctx), ErrNotConnected) {
		t.Errorf("the message's context: %v, %v", ctx.Err(), context.Cause(ctx))
	}
	m.Touch()
	m.Finish()
	if err := c.WriteCommand(Nop()); err != ErrClosing {
		t.Errorf("WriteCommand: %v", err)
	}
	if err := c.Flush(); err != nil && err != io.EOF {
		t.Errorf("Flush: %v", err)
	}
	must(t, c.Close())
	select {
	case event := <-s.told:
		t.Errorf("told of %q after the end", event)
	default:
	}
}

func TestConnWriteFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSpy()
		c := NewConn("pipe", NewConfig(), s)
		server := connectPipe(t, c)
		start := time.Now()
		err := c.WriteCommand(Nop()) // which nobody reads
		if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("WriteCommand: %v", err)
		}
		if took := time.Since(start); took != c.config.WriteTimeout {
			t.Errorf("after %v", took)
		}
		s.expect(t, "io error write pipe: i/o timeout", "close")
		server.Conn.Close()
	})
}

// An nsqd that does not read holds up no call for longer than its context.
func TestConnWriteContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewConn("pipe", NewConfig(), newSpy())
		server := connectPipe(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := c.WriteCommandContext(ctx, Nop()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("WriteCommandContext: %v", err)
		}
		if err := c.FlushContext(ctx); !errors.Is(err, context.DeadlineExceeded) { // of what is still there
			t.Errorf("FlushContext: %v", err)
		}
		if c.IsClosing() {
			t.Error("the connection is closing")
		}
		server.Conn.Close()
	})
}

func TestConnConcurrentUse(t *testing.T) {
	f := nsqtest.NewFake(t)
	s := newSpy()
	c, server := connectTo(t, f, s)
	bodies := server.Publishing()
	const publishers, each = 8, 20
	var all sync.WaitGroup
	for range publishers {
		all.Go(func() {
			for range each {
				must(t, c.WriteCommand(Publish("t", []byte("x"))))
				c.SetRDY(c.RDY() + 1)
			}
		})
	}
	for range publishers * each {
		nsqtest.Receive(t, "a publication", bodies)
		s.expect(t, "response OK")
	}
	all.Wait()
	for range 4 {
		all.Go(func() { c.Close() })
	}
	all.Wait()
	s.expect(t, "close")
}

func TestConnBeforeConnect(t *testing.T) {
	c := NewConn("127.0.0.1:1", NewConfig(), newSpy())
	made := c.LastMessageTime()
	for call, err := range map[string]error{
		"WriteCommand": c.WriteCommand(Nop()),
		"Write":        second(c.Write([]byte("NOP\n"))),
		"Read":         second(c.Read(make([]byte, 1))),
		"Flush":        c.Flush(),
	} {
		if err != ErrNotConnected {
			t.Errorf("%s: %v", call, err)
		}
	}
	if c.RemoteAddr() != nil || c.MaxRDY() != 2500 || c.RDY() != 0 || c.LastRDY() != 0 || c.IsClosing() || c.String() != "127.0.0.1:1" {
		t.Errorf("%v, max RDY %d, RDY %d %d, closing %v, %q", c.RemoteAddr(), c.MaxRDY(), c.RDY(), c.LastRDY(), c.IsClosing(), c)
	}
	if age := time.Since(made); age < 0 || age > time.Minute {
		t.Errorf("last message %v ago", age)
	}
	if !c.LastRdyTime().Equal(time.Unix(0, 0)) {
		t.Errorf("last RDY %v", c.LastRdyTime())
	}
	c.SetRDY(7)
	if age := time.Since(c.LastRdyTime()); c.RDY() != 7 || c.LastRDY() != 7 || age < 0 || age > time.Minute {
		t.Errorf("RDY %d %d, %v ago", c.RDY(), c.LastRDY(), age)
	}
	before := c.LastRdyTime()
	c.SetRDY(0)
	if c.RDY() != 0 || !c.LastRdyTime().Equal(before) {
		t.Errorf("RDY %d since %v, want 0 since %v", c.RDY(), c.LastRdyTime(), before)
	}
	must(t, c.Close())
	if _, err := c.Connect(); err != ErrClosing {
		t.Errorf("Connect after Close: %v", err)
	}
}

func TestConnState(t *testing.T) {
	f := nsqtest.NewFake(t)
	s := newSpy()
	c := NewConn(f.Addr, NewConfig(), s)
	go c.Connect()
	server := f.Raw()
	server.Magic()
	server.Expect("IDENTIFY")
	server.Respond(`{"max_rdy_count":17}`)
	nsqtest.Eventually(t, "MaxRDY 17", func() bool { return c.MaxRDY() == 17 })
	if c.RemoteAddr().String() != f.Addr {
		t.Errorf("connected to %s", c.RemoteAddr())
	}
	before := c.LastMessageTime()
	startMessages(t, server, s, "x")
	if !c.LastMessageTime().After(before) {
		t.Error("LastMessageTime stayed")
	}
	server.Conn.Close()
	s.expect(t, "io error EOF", "close")
}

func TestConnConnectFails(t *testing.T) {
	f := nsqtest.NewFake(t)
	s := newSpy()
	c := NewConn(f.Addr, NewConfig(), s)
	attempt := func(ctx context.Context) <-chan error {
		result := make(chan error, 1)
		go func() { result <- second(c.ConnectContext(ctx)) }()
		return result
	}

	result := attempt(t.Context())
	server := f.Raw()
	server.Magic()
	server.Expect("IDENTIFY")
	if err := second(c.Connect()); err != ErrAlreadyConnected {
		t.Errorf("Connect at the same time: %v", err)
	}
	server.Fail("E_BAD_BODY IDENTIFY no")
	err := nsqtest.Receive(t, "Connect", result)
	if !errors.Is(err, CodeBadBody) || !errors.Is(err, ErrIdentify{Reason: "E_BAD_BODY IDENTIFY no"}) {
		t.Errorf("refused: %v", err)
	}

	reason := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	result = attempt(ctx)
	server = f.Raw()
	server.Magic()
	cancel(reason)
	err = nsqtest.Receive(t, "Connect", result)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, reason) || !strings.Contains(err.Error(), f.Addr) {
		t.Errorf("cancelled: %v", err)
	}

	result = attempt(t.Context())
	server = f.Raw()
	server.Magic()
	must(t, c.Close())
	if err := nsqtest.Receive(t, "Connect", result); err != ErrClosing {
		t.Errorf("closed: %v", err)
	}
	if len(s.told) > 0 {
		t.Errorf("the delegate was told of %q", <-s.told)
	}

	invalid := NewConfig()
	invalid.ReadTimeout = 0
	if _, err := NewConn(f.Addr, invalid, s).Connect(); err == nil || err.Error() != "invalid ReadTimeout ! 0s < 100ms" {
		t.Errorf("invalid config: %v", err)
	}
}

func TestNewConnPanics(t *testing.T) {
	const text = "Config must be created with NewConfig()"
	for name, tt := range map[string]struct {
		config   *Config
		delegate ConnDelegate
		want     string
	}{
		"a literal":   {&Config{}, newSpy(), text},
		"no config":   {nil, newSpy(), text},
		"no delegate": {NewConfig(), nil, "ConnDelegate must not be nil"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if got := recover(); got != tt.want {
					t.Errorf("panic %v, want %s", got, tt.want)
				}
			}()
			NewConn("a:1", tt.config, tt.delegate)
		})
	}
}

func TestConnLogs(t *testing.T) {
	f := nsqtest.NewFake(t)
	s := newSpy()
	c, server := connectTo(t, f, s)
	lines := make(logLines, 10)
	errs := make(logLines, 10)
	c.SetLogger(lines, LogLevelWarning, "client 7 (%s)")
	c.SetLoggerForLevel(errs, LogLevelError, "")
	server.Fail("E_TOUCH_FAILED no")
	startMessages(t, server, s)
	s.expect(t, "error E_TOUCH_FAILED no")
	if got, want := nsqtest.Receive(t, "an error", errs), "ERR  ("+f.Addr+") protocol error - E_TOUCH_FAILED no"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	startMessages(t, server, s, "x")
	server.Conn.Close()
	s.expect(t, "io error EOF", "close")
	if got, want := nsqtest.Receive(t, "a warning", lines), "WRN  client 7 ("+f.Addr+") connection ended with 1 messages unanswered, nsqd sends them again"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
