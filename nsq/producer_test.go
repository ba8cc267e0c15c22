package nsq

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

func TestIdentify(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, func(c *Config) {
		c.ClientID, c.Hostname, c.UserAgent = "me", "me.example", "agent/1"
		c.OutputBufferTimeout = -1
		c.HeartbeatInterval = -time.Millisecond
		c.MsgTimeout = 3 * time.Second
		c.SampleRate = 7
		c.TopologyRegion, c.TopologyZone = "r", "z"
	})
	pinged := make(chan error, 1)
	go func() { pinged <- p.Ping() }()
	c := f.Raw()
	c.Magic()
	body := c.Expect("IDENTIFY")
	want := `{"client_id":"me","deflate":false,"deflate_level":6,"feature_negotiation":true,"heartbeat_interval":-1,` +
		`"hostname":"me.example","long_id":"me.example","msg_timeout":3000,"output_buffer_size":16384,` +
		`"output_buffer_timeout":-1,"sample_rate":7,"short_id":"me","snappy":false,"tls_v1":false,` +
		`"topology_region":"r","topology_zone":"z","user_agent":"agent/1"}`
	if string(body) != want {
		t.Errorf("got  %s\nwant %s", body, want)
	}
	if !json.Valid(body) {
		t.Error("that is not JSON")
	}
	c.Respond(wire.OK) // an nsqd that does not negotiate
	c.Expect("NOP")
	if err := nsqtest.Receive(t, "Ping", pinged); err != nil {
		t.Error(err)
	}
	if p.String() != f.Addr {
		t.Errorf("String() = %q", p)
	}
}

func TestIdentifyFails(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reply []byte
		want  string
	}{
		{"error frame", wire.AppendFrame(nil, wire.FrameError, "E_BAD_BODY IDENTIFY no"), "failed to IDENTIFY - E_BAD_BODY IDENTIFY no"},
		{"message frame", wire.AppendFrame(nil, wire.FrameMessage, "x"), "failed to IDENTIFY - unexpected frame type 2"},
		{"broken JSON", wire.AppendFrame(nil, wire.FrameResponse, `{"max_rdy_count":`), "failed to IDENTIFY - unexpected end of JSON input"},
		{"nothing", nil, "failed to IDENTIFY - EOF"},
		{"a web server", []byte("HTTP/1.1 400 Bad Request\r\n"), "failed to IDENTIFY - unexpected HTTP response, a nsqd TCP endpoint is required"},
		{"authorization", wire.AppendFrame(nil, wire.FrameResponse, `{"auth_required":true}`), "Auth Required"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := nsqtest.NewFake(t)
			p := newTestProducer(t, f.Addr, nil)
			published := make(chan error, 1)
			go func() { published <- p.Publish("t", []byte("x")) }()
			c := f.Raw()
			c.Magic()
			c.Expect("IDENTIFY")
			c.Write(tt.reply)
			c.Conn.(*net.TCPConn).CloseWrite()
			err := nsqtest.Receive(t, "Publish", published)
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if target := (ErrIdentify{}); tt.name != "authorization" && !errors.As(err, &target) {
				t.Errorf("%T is no ErrIdentify", err)
			}
		})
	}
}

func TestPublish(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	var calls sync.WaitGroup
	defer calls.Wait()
	call := func(f func() error) {
		calls.Go(func() {
			if err := f(); err != nil {
				t.Error(err)
			}
		})
	}
	call(func() error { return p.Publish("t", []byte("hi")) })
	c := f.Accept()
	for _, tt := range []struct {
		do         func() error
		line, body string
	}{
		{nil, "PUB t", "hi"},
		{func() error { return p.Publish("t", nil) }, "PUB t", ""},
		{func() error { return p.DeferredPublish("t", 2500*time.Microsecond, []byte("later")) }, "DPUB t 2", "later"},
		{func() error { return p.DeferredPublish("t", time.Second, nil) }, "DPUB t 1000", ""},
		{func() error { return p.MultiPublish("t", [][]byte{[]byte("a"), []byte("b")}) }, "MPUB t", "\x00\x00\x00\x02\x00\x00\x00\x01a\x00\x00\x00\x01b"},
	} {
		if tt.do != nil {
			call(tt.do)
		}
		if body := c.Expect(tt.line); string(body) != tt.body {
			t.Errorf("%s: got body %q, want %q", tt.line, body, tt.body)
		}
		c.Respond(wire.OK)
		calls.Wait()
	}
}

// Replies are matched to calls in the order of the commands, whoever made them.
func TestRepliesAreMatchedInOrder(t *testing.T) {
	const publishers = 50
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	errs := make([]error, publishers)
	var calls sync.WaitGroup
	for i := range publishers {
		calls.Go(func() { errs[i] = p.Publish("t", fmt.Append(nil, i)) })
	}
	c := f.Accept()
	var order []string
	for range publishers {
		order = append(order, string(c.Expect("PUB t"))) // all of them, before any answer
	}
	for range publishers / 2 {
		c.Respond(wire.OK)
	}
	c.Fail("E_PUB_FAILED PUB failed")
	calls.Wait()

	for at, body := range order {
		var i int
		fmt.Sscan(body, &i)
		protocol := ErrProtocol{}
		switch {
		case at < publishers/2 && errs[i] != nil:
			t.Errorf("publication %d was answered with OK: %v", at, errs[i])
		case at == publishers/2 && (!errors.As(errs[i], &protocol) || protocol.Reason != "E_PUB_FAILED PUB failed"):
			t.Errorf("publication %d was refused: %v", at, errs[i])
		case at > publishers/2 && !errors.Is(errs[i], ErrNotConnected):
			t.Errorf("publication %d was not answered: %v", at, errs[i])
		}
	}
}

// load tells of a connection and of what nsqd has yet to answer on it.
func TestLoad(t *testing.T) {
	t.Parallel()
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	expect := func(pending int, connected bool) {
		t.Helper()
		nsqtest.Eventually(t, fmt.Sprint("load ", pending, connected), func() bool {
			n, ok := p.load()
			return n == pending && ok == connected
		})
	}
	expect(0, false)
	go p.Ping()
	c := f.Accept()
	c.Expect("NOP")
	expect(0, true)
	for range 3 {
		if err := p.PublishAsync("t", []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
	}
	expect(3, true)
	c.Respond(wire.OK)
	expect(2, true)
	p.Stop()
	expect(0, false)
}

func TestAsyncResultsComeInOrder(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	for _, room := range []int{0, 1, 1000} {
		done := make(chan *ProducerTransaction, room)
		var calls sync.WaitGroup
		calls.Go(func() {
			for i := range 300 {
				var err error
				switch i % 3 {
				case 0:
					err = p.PublishAsync("t", []byte("x"), done, i, "arg")
				case 1:
					err = p.MultiPublishAsync("t", [][]byte{[]byte("x")}, done, i, "arg")
				case 2:
					err = p.DeferredPublishAsync("t", time.Second, []byte("x"), done, i, "arg")
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
		if room == 0 {
			f.Accept().Publishing()
		}
		for i := range 300 {
			tx := nsqtest.Receive(t, "transaction", done)
			if tx.Error != nil || len(tx.Args) != 2 || tx.Args[0] != i || tx.Args[1] != "arg" {
				t.Fatalf("room for %d: transaction %d has error %v and args %v", room, i, tx.Error, tx.Args)
			}
		}
		calls.Wait()
	}
}

func TestBodyMayBeReused(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	go p.Ping()
	c := f.Accept()
	c.Expect("NOP")
	body := []byte("before")
	if err := p.PublishAsync("t", body, nil); err != nil {
		t.Fatal(err)
	}
	copy(body, "after!")
	if got := c.Expect("PUB t"); string(got) != "before" {
		t.Errorf("got %q", got)
	}
	c.Publishing()
	c.Respond(wire.OK)
}

func TestUndrainedDoneChanBlocksNobody(t *testing.T) {
	t.Parallel()
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	go func() { f.Accept().Publishing() }()

	undrained, drained := make(chan *ProducerTransaction), make(chan *ProducerTransaction)
	for i := range 1000 {
		if err := p.PublishAsync("t", []byte("x"), undrained, i); err != nil {
			t.Fatal(err)
		}
	}
	nsqtest.Within(t, "Publish", func() {
		if err := p.Publish("t", []byte("x")); err != nil {
			t.Error(err)
		}
	})
	if err := p.PublishAsync("t", []byte("x"), drained); err != nil {
		t.Fatal(err)
	}
	nsqtest.Receive(t, "the result for another channel", drained)
	for i := range 500 { // better late than never, and in order
		if tx := nsqtest.Receive(t, "a late result", undrained); tx.Args[0] != i {
			t.Fatalf("result %d is that of %v", i, tx.Args[0])
		}
	}
	nsqtest.Within(t, "Stop", p.Stop)
}

func TestConnectionCutInTheMiddle(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	done := make(chan *ProducerTransaction, 3)
	go func() {
		for i := range 3 {
			if err := p.PublishAsync("t", []byte("x"), done, i); err != nil {
				t.Error(err)
			}
		}
	}()
	c := f.Accept()
	for range 3 {
		c.Expect("PUB t")
	}
	c.Respond(wire.OK)
	c.Write([]byte{0, 0, 0}) // and a piece of the next answer
	c.Conn.Close()
	for i, want := range []error{nil, ErrNotConnected, ErrNotConnected} {
		if tx := nsqtest.Receive(t, "transaction", done); !errors.Is(tx.Error, want) || tx.Args[0] != i {
			t.Errorf("transaction %d: %v of %v, want %v", i, tx.Error, tx.Args, want)
		}
	}

	// The next call connects anew.
	published := make(chan error, 1)
	go func() { published <- p.Publish("t", []byte("again")) }()
	f.Accept().Publishing()
	if err := nsqtest.Receive(t, "Publish", published); err != nil {
		t.Error(err)
	}
}

func TestNSQDGoneAndBack(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	go p.Ping()
	c := f.Accept()
	c.Expect("NOP")
	f.Listener.Close()
	c.Conn.Close()
	nsqtest.Eventually(t, "connection refused", func() bool {
		return errors.Is(p.Publish("t", []byte("x")), syscall.ECONNREFUSED)
	})
	back := nsqtest.ListenFake(t, f.Addr)
	published := make(chan error, 1)
	go func() { published <- p.Publish("t", []byte("x")) }()
	back.Accept().Publishing()
	if err := nsqtest.Receive(t, "Publish", published); err != nil {
		t.Error(err)
	}
}

// An answer that nobody waits for is not taken for that of the next call.
func TestAnswerWithoutQuestion(t *testing.T) {
	for name, frame := range map[string][]byte{
		"response": wire.AppendFrame(nil, wire.FrameResponse, wire.OK),
		"error":    wire.AppendFrame(nil, wire.FrameError, "E_INVALID"),
	} {
		t.Run(name, func(t *testing.T) {
			f := nsqtest.NewFake(t)
			p := newTestProducer(t, f.Addr, nil)
			go p.Ping()
			c := f.Accept()
			c.Expect("NOP")
			c.Write(frame)
			c.ExpectEnd()
		})
	}
}

func TestProducerAnswersHeartbeats(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	go p.PublishAsync("t", []byte("x"), nil)
	c := f.Accept()
	c.Expect("PUB t")
	c.Respond(wire.Heartbeat)
	c.Expect("NOP")
	c.Respond(wire.OK)
}

func TestLargeMessage(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	body := make([]byte, 3*maxQueued)
	for i := range body {
		body[i] = byte(rand.Int())
	}
	published := make(chan error, 2)
	for range cap(published) {
		go func() { published <- p.Publish("t", body) }()
	}
	c := f.Accept()
	for range cap(published) {
		if got := c.Expect("PUB t"); !bytes.Equal(got, body) {
			t.Errorf("%d bytes arrived changed", len(body))
		}
		c.Respond(wire.OK)
	}
	for range cap(published) {
		if err := nsqtest.Receive(t, "Publish", published); err != nil {
			t.Error(err)
		}
	}
}

// nsqd refuses a message that is too big before it reads it. The client learns
// why, although it cannot finish writing.
func TestRefusedWhileWriting(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	published := make(chan error, 1)
	go func() { published <- p.Publish("t", make([]byte, 16<<20)) }()
	c := f.Accept()
	if line, err := c.Reader.ReadString('\n'); err != nil || line != "PUB t\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	c.Fail("E_BAD_MESSAGE PUB message too big 16777216 > 1048576")
	c.Conn.Close()
	if err := nsqtest.Receive(t, "Publish", published); err != (ErrProtocol{"E_BAD_MESSAGE PUB message too big 16777216 > 1048576"}) {
		t.Errorf("got %v", err)
	}
}

func TestFrozenNSQD(t *testing.T) {
	t.Parallel()
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, func(c *Config) {
		c.HeartbeatInterval = 100 * time.Millisecond
		c.ReadTimeout = 200 * time.Millisecond
		c.WriteTimeout = 100 * time.Millisecond
	})
	published := make(chan error, 2)
	go func() { published <- p.Publish("t", []byte("x")) }()
	c := f.Accept()
	c.Expect("PUB t")
	if err := nsqtest.Receive(t, "the read deadline", published); !errors.Is(err, ErrNotConnected) {
		t.Errorf("got %v", err)
	}
	// A connection that cannot be written to ends as well, and with it those
	// who wait for room.
	for range cap(published) {
		go func() { published <- p.Publish("t", make([]byte, 32<<20)) }()
	}
	f.Accept()
	if err := nsqtest.Receive(t, "the write deadline", published); !errors.Is(err, ErrNotConnected) {
		t.Errorf("got %v", err)
	}
}

func TestStopSendsWhatIsQueued(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	go p.Ping()
	c := f.Accept()
	c.Expect("NOP")
	done := make(chan *ProducerTransaction, 1000)
	for range cap(done) {
		if err := p.PublishAsync("t", []byte("x"), done); err != nil {
			t.Fatal(err)
		}
	}
	bodies := c.Publishing()
	nsqtest.Within(t, "Stop", p.Stop)
	if len(done) != cap(done) || len(bodies) != cap(done) {
		t.Errorf("%d messages arrived, %d were answered, of %d", len(bodies), len(done), cap(done))
	}
	for range len(done) {
		if tx := <-done; tx.Error != nil {
			t.Fatal(tx.Error)
		}
	}
}

func TestStopEndsWhatIsPending(t *testing.T) {
	t.Parallel()
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	published := make(chan error, 1)
	go func() { published <- p.Publish("t", []byte("x")) }()
	c := f.Accept()
	c.Expect("PUB t")
	var stops sync.WaitGroup
	for range 3 {
		stops.Go(p.Stop)
	}
	nsqtest.Within(t, "Stop", stops.Wait)
	if err := nsqtest.Receive(t, "Publish", published); !errors.Is(err, ErrNotConnected) {
		t.Errorf("got %v", err)
	}
	for name, call := range map[string]func() error{
		"Ping":         p.Ping,
		"Publish":      func() error { return p.Publish("t", nil) },
		"PublishAsync": func() error { return p.PublishAsync("t", nil, nil) },
	} {
		if err := call(); !errors.Is(err, ErrStopped) {
			t.Errorf("%s after Stop: %v", name, err)
		}
	}
}

func TestStopEndsConnecting(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	published := make(chan error, 2)
	for range cap(published) {
		go func() { published <- p.Publish("t", []byte("x")) }()
	}
	c := f.Raw()
	c.Magic()
	c.Expect("IDENTIFY") // and no answer
	nsqtest.Within(t, "Stop", p.Stop)
	for range cap(published) {
		if err := nsqtest.Receive(t, "Publish", published); !errors.Is(err, ErrStopped) {
			t.Errorf("got %v", err)
		}
	}
}

func TestProducerLog(t *testing.T) {
	p, err := NewProducer("127.0.0.1:1", NewConfig())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	lines := make(logLines, 10)
	p.SetLogger(lines, LogLevelError)
	p.Publish("t", []byte("x"))
	if got := <-lines; !strings.HasPrefix(got, fmt.Sprintf("ERR  %3d (127.0.0.1:1) ", instances.Load())) {
		t.Errorf("got %q", got)
	}
	p.SetLoggerLevel(LogLevelMax + 1)
	p.Publish("t", []byte("x"))
	p.SetLogger(nil, LogLevelDebug)
	p.Publish("t", []byte("x"))
	p.SetLoggerForLevel(lines, LogLevelInfo)
	p.Publish("t", []byte("x"))
	if len(lines) != 0 {
		t.Errorf("logged in spite of level or logger: %q", <-lines)
	}
	for lvl, want := range map[LogLevel]string{LogLevelDebug: "DBG", LogLevelInfo: "INF", LogLevelWarning: "WRN", LogLevelError: "ERR"} {
		if lvl.String() != want {
			t.Errorf("level %d is called %s", lvl, lvl)
		}
	}
}

type logLines chan string

func (l logLines) Output(_ int, s string) error {
	l <- s
	return nil
}
