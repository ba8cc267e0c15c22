package nsq

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

type noise struct {
	name  string
	bytes []byte
	ends  bool // the connection, by our side
}

// What no nsqd sends. Where it cannot be told at once from the beginning of a
// large frame, the end follows it.
var garbage = []noise{
	{"negative size", []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, true},
	{"no size", []byte{0, 0, 0, 0, 0, 0, 0, 0}, true},
	{"size without a type", []byte{0, 0, 0, 3, 0, 0, 0, 0}, true},
	{"more than MaxMsgSize", wire.AppendFrame(nil, wire.FrameResponse, strings.Repeat("x", 1000)), true},
	{"the largest size", []byte{0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0}, true},
	{"unknown frame type", wire.AppendFrame(nil, 3, "OK"), true},
	{"negative frame type", wire.AppendFrame(nil, -1, "OK"), true},
	{"message without a body's header", wire.AppendFrame(nil, wire.FrameMessage, strings.Repeat("x", wire.MessageHeaderLen-1)), true},
	{"message without anything", wire.AppendFrame(nil, wire.FrameMessage, ""), true},
	{"web server", []byte("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n400 Bad Request"), true},
	{"TLS alert", []byte{0x15, 3, 1, 0, 2, 2, 70}, false},
	{"the end", nil, false},
	{"half a size", []byte{0, 0}, false},
	{"half a header", []byte{0, 0, 0, 6, 0}, false},
	{"half a frame", []byte{0, 0, 0, 99, 0, 0, 0, 2, 1}, false},
}

// send sends garbage, and the end if that must follow, and waits for the client
// to leave.
func send(c *nsqtest.FakeConn, bytes []byte, ends bool) {
	c.TB.Helper()
	c.Write(bytes)
	if !ends {
		c.Conn.(*net.TCPConn).CloseWrite()
	}
	c.ExpectEnd()
	c.Conn.Close()
}

// randomBytes returns noise, sometimes with the header of a frame in front.
func randomBytes(rnd *rand.Rand) []byte {
	b := make([]byte, 1+rnd.IntN(200))
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	if len(b) >= wire.FrameHeaderLen && rnd.IntN(2) == 0 {
		binary.BigEndian.PutUint32(b, uint32(rnd.IntN(250)))
		binary.BigEndian.PutUint32(b[4:], uint32(rnd.IntN(4)))
	}
	return b
}

// publishing starts a Publish.
func publishing(p *Producer) <-chan error {
	published := make(chan error, 1)
	go func() { published <- p.Publish("t", []byte("x")) }()
	return published
}

// publishingTo starts a Publish of a new producer that takes only small frames.
func publishingTo(t *testing.T) (f *nsqtest.Fake, p *Producer, published <-chan error) {
	f = nsqtest.NewFake(t)
	p = newTestProducer(t, f.Addr, func(c *Config) { c.MaxMsgSize = 200 })
	p.SetLogger(nil, LogLevelInfo)
	return f, p, publishing(p)
}

// What comes in place of an answer fails the call that waits for it, and the next
// one succeeds on another connection.
func TestGarbageForAProducer(t *testing.T) {
	t.Parallel()
	for _, g := range append(slices.Clip(garbage), []noise{
		{"message for a producer", wire.AppendMessageFrame(nil, 1, 1, 1, []byte("x")), true},
		{"unexpected response", wire.AppendFrame(nil, wire.FrameResponse, "KO"), true},
		{"empty response", wire.AppendFrame(nil, wire.FrameResponse, ""), true},
		{"unasked CLOSE_WAIT", wire.AppendFrame(nil, wire.FrameResponse, wire.CloseWait), true},
	}...) {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			f, p, published := publishingTo(t)
			c := f.Accept()
			c.Expect("PUB t")
			send(c, g.bytes, g.ends)
			if err := nsqtest.Receive(t, "Publish", published); !isLoss(err) {
				t.Errorf("got %v", err)
			}
			published = publishing(p)
			f.Accept().Publishing()
			if err := nsqtest.Receive(t, "Publish", published); err != nil {
				t.Errorf("and on the next connection %v", err)
			}
		})
	}
}

func TestGarbageInPlaceOfNegotiation(t *testing.T) {
	for _, g := range append(slices.Clip(garbage), []noise{
		{"half of JSON", wire.AppendFrame(nil, wire.FrameResponse, nsqtest.Negotiated[:40]), true},
		{"a message", wire.AppendMessageFrame(nil, 1, 1, 1, []byte("x")), true},
	}...) {
		f, p, published := publishingTo(t)
		c := f.Raw()
		c.Magic()
		c.Expect("IDENTIFY")
		send(c, g.bytes, g.ends)
		if err := nsqtest.Receive(t, "Publish", published); !errors.As(err, new(ErrIdentify)) {
			t.Errorf("%s: %v", g.name, err)
		}
		p.Stop()
	}
}

func TestNoiseForAProducer(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 100 {
		f, p, published := publishingTo(t)
		c := f.Accept()
		c.Expect("PUB t")
		c.Write(randomBytes(rnd))
		c.Conn.Close()
		if err := nsqtest.Receive(t, "Publish", published); !isLoss(err) && !errors.As(err, new(ErrProtocol)) {
			t.Errorf("seed %d: %v", seed, err)
		}
		p.Stop()
	}
}

// expectAmongRDY waits for a command, before which there may be RDYs.
func expectAmongRDY(c *nsqtest.FakeConn, want string) {
	c.TB.Helper()
	for {
		if line, _ := c.Next(); line == want {
			return
		} else if !strings.HasPrefix(line, "RDY ") {
			c.TB.Fatalf("got command %q, want %q", line, want)
		}
	}
}

// twoNSQDs returns a consumer with a connection to each of two nsqds; the handler
// sends the bodies to the channel.
func twoNSQDs(t *testing.T, change func(*Config)) (r *Consumer, hostile *nsqtest.Fake, c, other *nsqtest.FakeConn, handled <-chan string) {
	t.Helper()
	hostile, healthy := nsqtest.NewFake(t), nsqtest.NewFake(t)
	r = newTestConsumer(t, func(c *Config) {
		c.MaxInFlight, c.LookupdPollInterval = 2, 10*time.Millisecond
		if change != nil {
			change(c)
		}
	})
	r.SetLogger(nil, LogLevelInfo)
	bodies := make(chan string, 1000)
	r.AddHandler(HandlerFunc(func(m *Message) error { bodies <- string(m.Body); return nil }))
	go r.ConnectToNSQD(hostile.Addr)
	c = hostile.Subscribed(2)
	nsqtest.Eventually(t, "the first connection", func() bool { return r.Stats().Connections == 1 })
	go r.ConnectToNSQD(healthy.Addr)
	other = healthy.Subscribed(1)
	c.Expect("RDY 1")
	t.Cleanup(func() { other.Conn.Close() })
	return r, hostile, c, other, bodies
}

// What one nsqd sends ends the connection to that, which is made again, and
// nothing else.
func TestGarbageForAConsumer(t *testing.T) {
	_, f, c, other, handled := twoNSQDs(t, func(c *Config) { c.MaxMsgSize = 200 })
	id := uint64(0)
	for _, g := range append(slices.Clip(garbage), []noise{
		{"unexpected response", wire.AppendFrame(nil, wire.FrameResponse, "what?"), true},
		{"empty response", wire.AppendFrame(nil, wire.FrameResponse, ""), true},
	}...) {
		id++
		send(c, g.bytes, g.ends)
		other.Message(id, 1, g.name)
		if got := nsqtest.Receive(t, "the other's message", handled); got != g.name {
			t.Errorf("handled was %q", got)
		}
		expectAmongRDY(other, "FIN "+nsqtest.ID(id))
		c = f.Subscribed(1)
	}
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 50 {
		c.Write(randomBytes(rnd))
		c.Conn.Close()
		c = f.Subscribed(1)
	}
	c.Conn.Close()
	id++
	other.Message(id, 1, "last")
	expectAmongRDY(other, "FIN "+nsqtest.ID(id))
}

// Only three errors speak of a message. After the others nsqd closes the
// connection; if it does not, the consumer does, which would never get anything
// again.
func TestErrorsForAConsumer(t *testing.T) {
	_, f, c, other, handled := twoNSQDs(t, nil)
	id := uint64(0)
	expectWorks := func(c *nsqtest.FakeConn) {
		t.Helper()
		id++
		c.Message(id, 1, "x")
		nsqtest.Receive(t, "a message", handled)
		expectAmongRDY(c, "FIN "+nsqtest.ID(id))
	}
	for _, code := range []string{wire.FinFailed, wire.ReqFailed, wire.TouchFailed} {
		c.Fail(code + " failed ID not in flight")
		c.Fail(code)
		expectWorks(c)
	}
	for _, code := range []string{
		wire.Invalid, wire.BadBody, wire.BadTopic, wire.BadChannel, wire.BadMessage, wire.IdentifyFailed, wire.SubFailed, wire.PubFailed,
		wire.MPubFailed, wire.DPubFailed, wire.AuthFirst, wire.AuthFailed, wire.AuthDisabled, wire.AuthError, wire.Unauthorized,
		"E_NEW", "",
	} {
		c.Fail(code + " for no command")
		c.ExpectEnd()
		c.Conn.Close()
		expectWorks(other)
		c = f.Subscribed(1)
	}
	c.Conn.Close()
}

// To a publisher every error is the answer, and the end of the connection.
func TestErrorsForAProducer(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestProducer(t, f.Addr, nil)
	p.SetLogger(nil, LogLevelInfo)
	for _, code := range []string{wire.Invalid, wire.BadTopic, wire.BadMessage, wire.PubFailed, wire.Unauthorized, wire.FinFailed, "E_NEW", ""} {
		published := publishing(p)
		c := f.Accept()
		c.Expect("PUB t")
		c.Fail(code + " why")
		if err := nsqtest.Receive(t, "Publish", published); err != (ErrProtocol{code + " why"}) {
			t.Errorf("%s: %v", code, err)
		}
		c.ExpectEnd()
		c.Conn.Close()
	}
}

// An nsqd may answer IDENTIFY with anything. What makes no sense fails; what is
// merely out of range does not keep messages from coming.
func TestAbsurdNegotiation(t *testing.T) {
	for _, tt := range []struct {
		answer string
		rdy    string // that is sent; "" if IDENTIFY fails
	}{
		{`{}`, "RDY 2500"},
		{`{"max_rdy_count":9223372036854775807}`, "RDY 3000"},
		{`{"max_rdy_count":7,"max_rdy_count":5}`, "RDY 5"},
		{`{"max_rdy_count":null,"msg_timeout":null,"tls_v1":null}`, "RDY 2500"},
		{`{"msg_timeout":9223372036854775807}`, "RDY 2500"},
		{`{"msg_timeout":9223372036855}`, "RDY 2500"},
		{`{"msg_timeout":-9223372036854775808}`, "RDY 2500"},
		{`{"sample_rate":-1,"heartbeat_interval":-5,"output_buffer_size":1e99}`, "RDY 2500"},
		{`{"version":"` + strings.Repeat("9", 100_000) + `"}`, "RDY 2500"},
		{`OK, and more`, "RDY 2500"},
		{`[]`, "RDY 2500"},
		{``, "RDY 2500"},
		{`{"max_rdy_count":1.5}`, ""},
		{`{"max_rdy_count":1e400}`, ""},
		{`{"max_rdy_count":"7"}`, ""},
		{`{"msg_timeout":9223372036854775808}`, ""},
		{`{"tls_v1":1}`, ""},
		{`{"version":"` + strings.Repeat("9", maxHandshake) + `"}`, ""},
		{strings.Repeat(`{"a":`, 20_000), ""},
		{`{"a":1}}`, ""},
	} {
		t.Run(tt.answer[:min(len(tt.answer), 50)], func(t *testing.T) {
			f := nsqtest.NewFake(t)
			r := newTestConsumer(t, func(c *Config) { c.MaxInFlight = 3000 })
			r.SetLogger(nil, LogLevelInfo)
			r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
			connected := make(chan error, 1)
			go func() { connected <- r.ConnectToNSQD(f.Addr) }()
			c := f.Raw()
			c.Magic()
			c.Expect("IDENTIFY")
			c.Conn.Write(wire.AppendFrame(nil, wire.FrameResponse, tt.answer)) // which may not be read to its end
			err := nsqtest.Receive(t, "ConnectToNSQD", connected)
			if tt.rdy == "" {
				if !errors.As(err, new(ErrIdentify)) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c.Expect("SUB t c")
			c.Respond(wire.OK)
			c.Expect(tt.rdy)
			c.Message(1, 1, "x")
			c.Expect("FIN " + nsqtest.ID(1))
			c.Conn.Close()
		})
	}
}

// An nsqd that says CLOSE_WAIT without having been asked is left when everything
// is answered, and connected to again.
func TestUnaskedCloseWait(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, nil)
	release := make(chan struct{})
	r.AddHandler(HandlerFunc(func(*Message) error { <-release; return nil }))
	go r.ConnectToNSQD(f.Addr)
	c := f.Subscribed(1)
	c.Message(1, 1, "x")
	c.Respond(wire.CloseWait)
	c.Respond(wire.CloseWait)
	c.Respond(wire.Heartbeat)
	c.Expect("NOP")
	c.Message(2, 1, "behind it")
	close(release)
	c.Expect("FIN " + nsqtest.ID(1))
	c.Expect("FIN " + nsqtest.ID(2))
	c.ExpectEnd()
	c.Conn.Close()
	f.Subscribed(1).Conn.Close()
}

// What follows CLOSE_WAIT, however often that is said, is handled.
func TestMessagesAfterCloseWait(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, nil)
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	go r.ConnectToNSQD(f.Addr)
	c := f.Subscribed(1)
	nsqtest.Eventually(t, "the connection", func() bool { return r.Stats().Connections == 1 })
	r.Stop()
	c.Expect("CLS")
	c.Respond(wire.CloseWait)
	for i := range uint64(5) {
		c.Message(i, 1, "x")
		c.Respond(wire.CloseWait)
	}
	for i := range uint64(5) {
		c.Expect("FIN " + nsqtest.ID(i))
	}
	c.ExpectEnd()
	c.Conn.Close()
	nsqtest.Receive(t, "StopChan", r.StopChan)
}

// A message that comes more often than it should, more of them than were asked
// for, before the answer to SUB, and OKs for nothing, are no reason to part.
func TestMoreThanWasAskedFor(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, nil)
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	go r.ConnectToNSQD(f.Addr)
	c := f.Accept()
	c.Message(1, 1, "early")
	c.Expect("SUB t c")
	for range 10 {
		c.Message(1, 1, "again")
		c.Respond(wire.OK)
	}
	c.Expect("RDY 1")
	for range 11 {
		c.Expect("FIN " + nsqtest.ID(1))
	}
	c.Conn.Close()
}

// Whoever listens on the port of an nsqd that is gone is tried, and the next
// nsqd's limits are those that hold.
func TestAnotherServerOnThePort(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, func(c *Config) { c.MaxInFlight, c.LookupdPollInterval = 100, 10*time.Millisecond })
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	go r.ConnectToNSQD(f.Addr)
	c := f.Subscribed(100)
	p := newTestProducer(t, f.Addr, nil)
	p.SetLogger(nil, LogLevelInfo)
	f.Listener.Close()
	ln, err := net.Listen("tcp", f.Addr)
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{}
	go web.Serve(ln)
	c.Conn.Close()
	if err := p.Publish("t", []byte("x")); !errors.Is(err, ErrHTTPResponse) && !isLoss(err) {
		t.Errorf("a web server is there: %v", err)
	}
	web.Close()

	back := nsqtest.ListenFake(t, f.Addr)
	c = back.Raw()
	c.Magic()
	c.Expect("IDENTIFY")
	c.Respond(`{"max_rdy_count":7}`)
	c.Expect("SUB t c")
	c.Respond(wire.OK)
	c.Expect("RDY 7")
	c.Message(1, 1, "x")
	c.Expect("FIN " + nsqtest.ID(1))
	c.Conn.Close()
}
