package nsqd_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

// How long a client waits for a frame that must come. On the real clock it is
// well below the default message time-out of a minute, so that what comes did
// not come by a time-out; on the fake clock of a bubble it costs nothing.
const (
	patience       = 20 * time.Second
	bubblePatience = 24 * time.Hour
)

// A rawClient is a connection that speaks the protocol byte by byte. Its
// methods that return an error may be used in any goroutine, one at a time; the
// others end the test when things are not as they say.
type rawClient struct {
	tb       testing.TB
	conn     net.Conn
	br       *bufio.Reader
	patience time.Duration
}

// A frame is what a server sends.
type frame struct {
	kind wire.FrameType
	data string
}

func (f frame) String() string {
	switch f.kind {
	case wire.FrameResponse:
		return "response " + f.data
	case wire.FrameError:
		return "error " + f.data
	}
	return fmt.Sprintf("frame type %d with %.100q", f.kind, f.data)
}

var (
	ok        = frame{wire.FrameResponse, wire.OK}
	heartbeat = frame{wire.FrameResponse, wire.Heartbeat}
)

// connect opens a connection and says nothing yet. It is closed with the test.
func connect(tb testing.TB, addr net.Addr) *rawClient {
	tb.Helper()
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		tb.Fatal(err)
	}
	return newRawClient(tb, conn, patience)
}

func newRawClient(tb testing.TB, conn net.Conn, patience time.Duration) *rawClient {
	tb.Cleanup(func() { conn.Close() })
	return &rawClient{tb, conn, bufio.NewReader(conn), patience}
}

// dialRaw opens a connection to a broker and sends the magic.
func dialRaw(tb testing.TB, n *nsqtest.NSQD) *rawClient {
	tb.Helper()
	c := connect(tb, n.RealTCPAddr())
	c.send([]byte(wire.MagicV2))
	return c
}

func (c *rawClient) close() { c.conn.Close() }

func (c *rawClient) send(b []byte) {
	c.tb.Helper()
	if err := c.trySend(b); err != nil {
		c.tb.Fatal(err)
	}
}

func (c *rawClient) trySend(b []byte) error {
	_, err := c.conn.Write(b)
	return err
}

func (c *rawClient) sendf(format string, args ...any) {
	c.tb.Helper()
	c.send(fmt.Appendf(nil, format, args...))
}

// tryFrame returns the next frame, whatever it is, if it comes within d.
func (c *rawClient) tryFrame(d time.Duration) (frame, error) {
	c.conn.SetReadDeadline(time.Now().Add(d))
	kind, data, err := wire.ReadFrame(c.br, nil, 0)
	return frame{kind, string(data)}, err
}

// tryNext is tryFrame for a client that is alive: it answers heartbeats and
// returns what else comes.
func (c *rawClient) tryNext() (frame, error) {
	for {
		f, err := c.tryFrame(c.patience)
		if err != nil || f != heartbeat {
			return f, err
		}
		if err := c.trySend(wire.AppendNop(nil)); err != nil {
			return frame{}, err
		}
	}
}

func (c *rawClient) next() frame {
	c.tb.Helper()
	f, err := c.tryNext()
	if err != nil {
		c.tb.Fatalf("no frame: %v", err)
	}
	return f
}

func (c *rawClient) want(want frame) {
	c.tb.Helper()
	if got := c.next(); got != want {
		c.tb.Fatalf("got %v, want %v", got, want)
	}
}

func (c *rawClient) wantError(text string) {
	c.tb.Helper()
	c.want(frame{wire.FrameError, text})
}

// message returns the next frame, which must be a message.
func (c *rawClient) message() wire.Message {
	c.tb.Helper()
	f := c.next()
	if f.kind != wire.FrameMessage {
		c.tb.Fatalf("got %v, want a message", f)
	}
	m, err := wire.ParseMessage([]byte(f.data))
	if err != nil {
		c.tb.Fatal(err)
	}
	return m
}

// wantMessage returns the next frame, which must be a message with that body,
// delivered for that many times.
func (c *rawClient) wantMessage(body string, attempts uint16) wire.Message {
	c.tb.Helper()
	m := c.message()
	if string(m.Body) != body || m.Attempts != attempts {
		c.tb.Fatalf("got message %.100q at attempt %d, want %.100q at attempt %d", m.Body, m.Attempts, body, attempts)
	}
	return m
}

// wantNothing is for the fake clock of a bubble, where d costs nothing.
func (c *rawClient) wantNothing(d time.Duration) {
	c.tb.Helper()
	for end := time.Now().Add(d); ; {
		f, err := c.tryFrame(time.Until(end))
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return
		case err != nil:
			c.tb.Fatalf("want nothing for %v, got %v", d, err)
		case f != heartbeat:
			c.tb.Fatalf("want nothing for %v, got %v", d, f)
		}
		c.nop()
	}
}

// wantClosed checks that the server closes the connection without another
// frame.
func (c *rawClient) wantClosed() {
	c.tb.Helper()
	f, err := c.tryNext()
	if err == nil {
		c.tb.Fatalf("got %v, want the end of the connection", f)
	}
	if !nsqtest.IsClosed(err) {
		c.tb.Fatalf("want the end of the connection, got %v", err)
	}
}

// sync waits until all commands before it are executed and checks that no
// answer to them is left.
func (c *rawClient) sync() {
	c.tb.Helper()
	c.pub("sync#ephemeral", "x")
}

func (c *rawClient) identify(json string) {
	c.tb.Helper()
	c.send(wire.AppendIdentify(nil, []byte(json)))
	c.want(ok)
}

func (c *rawClient) pub(topic, body string) {
	c.tb.Helper()
	c.send(wire.AppendPub(nil, topic, []byte(body)))
	c.want(ok)
}

func (c *rawClient) dpub(topic string, delay time.Duration, body string) {
	c.tb.Helper()
	c.send(wire.AppendDPub(nil, topic, delay, []byte(body)))
	c.want(ok)
}

func (c *rawClient) mpub(topic string, bodies ...string) {
	c.tb.Helper()
	c.send(wire.AppendMPub(nil, topic, byteSlices(bodies)))
	c.want(ok)
}

func byteSlices(list []string) [][]byte {
	b := make([][]byte, len(list))
	for i := range list {
		b[i] = []byte(list[i])
	}
	return b
}

func (c *rawClient) sub(topic, channel string) {
	c.tb.Helper()
	c.send(wire.AppendSub(nil, topic, channel))
	c.want(ok)
}

func (c *rawClient) rdy(n int) {
	c.tb.Helper()
	c.send(wire.AppendRdy(nil, n))
}

// consume is SUB and RDY.
func (c *rawClient) consume(topic, channel string, rdy int) {
	c.tb.Helper()
	c.sub(topic, channel)
	c.rdy(rdy)
}

func (c *rawClient) fin(m wire.Message) {
	c.tb.Helper()
	c.send(wire.AppendFin(nil, m.ID))
}

func (c *rawClient) req(m wire.Message, delay time.Duration) {
	c.tb.Helper()
	c.send(wire.AppendReq(nil, m.ID, delay))
}

func (c *rawClient) touch(m wire.Message) {
	c.tb.Helper()
	c.send(wire.AppendTouch(nil, m.ID))
}

func (c *rawClient) nop() {
	c.tb.Helper()
	c.send(wire.AppendNop(nil))
}

// take receives and finishes n messages and returns their bodies.
func (c *rawClient) take(n int) []string {
	c.tb.Helper()
	bodies := make([]string, 0, n)
	for range n {
		m := c.message()
		bodies = append(bodies, string(m.Body))
		c.fin(m)
	}
	return bodies
}

// bodies returns prefix0, prefix1 and so on.
func bodies(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint(prefix, i)
	}
	return list
}

// A bubble is a broker without a network and on the fake clock of a synctest
// bubble: waiting costs nothing and times are exact.
type bubble struct {
	*nsqd.NSQD
	tb       testing.TB
	opts     *nsqd.Options
	listener *nsqtest.PipeListener
	http     *nsqtest.PipeListener
	main     chan error
}

// startInBubble runs a broker until the end of the bubble, or until stop.
// prepare is done before it serves.
func startInBubble(tb testing.TB, opts *nsqd.Options, prepare ...func(*nsqd.NSQD)) *bubble {
	tb.Helper()
	if opts == nil {
		opts = nsqtest.Options(tb)
	}
	n, err := nsqd.New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	b := &bubble{
		NSQD:     n,
		tb:       tb,
		opts:     opts,
		listener: nsqtest.NewPipeListener(),
		http:     nsqtest.NewPipeListener(),
		main:     make(chan error, 1),
	}
	n.ListenOn(b.listener, b.http)
	for _, f := range prepare {
		f(n)
	}
	go func() { b.main <- n.Main() }()
	tb.Cleanup(b.stop)
	return b
}

// stop stops the broker and waits. Calling it again does nothing.
func (b *bubble) stop() {
	if b.main == nil {
		return
	}
	if err := errors.Join(b.Exit(), <-b.main); err != nil {
		b.tb.Error(err)
	}
	b.main = nil
}

// restart stops the broker and starts another on the same data path after the
// given time.
func (b *bubble) restart(pause time.Duration) *bubble {
	b.tb.Helper()
	b.stop()
	<-time.After(pause)
	return startInBubble(b.tb, b.opts)
}

// connect opens a connection and says nothing yet.
func (b *bubble) connect() *rawClient {
	return newRawClient(b.tb, b.listener.Dial(), bubblePatience)
}

// dial opens a connection and sends the magic.
func (b *bubble) dial() *rawClient {
	b.tb.Helper()
	c := b.connect()
	c.send([]byte(wire.MagicV2))
	return c
}

// post makes a request to the HTTP API, which must succeed.
func (b *bubble) post(path string) {
	b.tb.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://nsqd"+path, nil)
	if err != nil {
		b.tb.Fatal(err)
	}
	if resp, _ := b.do(req); resp.StatusCode != http.StatusOK {
		b.tb.Fatalf("POST %s: %s", path, resp.Status)
	}
}

// do makes a request to the HTTP API and returns the answer and its body.
func (b *bubble) do(req *http.Request) (*http.Response, string) {
	b.tb.Helper()
	resp, err := b.http.HTTPClient().Do(req)
	if err != nil {
		b.tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.tb.Fatal(err)
	}
	return resp, string(body)
}

func (b *bubble) createChannel(topic, channel string) {
	b.tb.Helper()
	b.post("/topic/create?topic=" + topic)
	b.post("/channel/create?topic=" + topic + "&channel=" + channel)
}

// wantCounts compares what waits in a channel.
func (b *bubble) wantCounts(topic, channel string, want nsqd.Counts) {
	b.tb.Helper()
	got, ok := b.ChannelCounts(topic, channel)
	if !ok || got != want {
		b.tb.Errorf("%s:%s has %+v (exists: %v), want %+v", topic, channel, got, ok, want)
	}
}
