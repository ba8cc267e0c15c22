package nsqlookupd_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqlookupd"
)

// A bubble is an nsqlookupd without a network, which can be on the fake clock of
// a synctest bubble: waiting costs nothing and times are exact.
type bubble struct {
	*nsqlookupd.NSQLookupd
	tb        testing.TB
	tcp, http *nsqtest.PipeListener
	main      chan error
}

// startInBubble runs an nsqlookupd until the end of the bubble, or until stop.
// prepare is done before it serves.
func startInBubble(tb testing.TB, opts *nsqlookupd.Options, prepare ...func(*nsqlookupd.NSQLookupd)) *bubble {
	tb.Helper()
	l, err := nsqlookupd.New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	b := &bubble{l, tb, nsqtest.NewPipeListener(), nsqtest.NewPipeListener(), make(chan error, 1)}
	l.ListenOn(b.tcp, b.http)
	for _, f := range prepare {
		f(l)
	}
	go func() { b.main <- l.Main() }()
	tb.Cleanup(b.stop)
	return b
}

// stop stops it and waits. Calling it again does nothing.
func (b *bubble) stop() {
	if b.main == nil {
		return
	}
	if err := errors.Join(b.Exit(), <-b.main); err != nil {
		b.tb.Error(err)
	}
	b.main = nil
}

// connect opens a connection and says nothing yet.
func (b *bubble) connect() *rawClient { return newRawClient(b.tb, b.tcp.Dial()) }

// dial opens a connection and sends the magic.
func (b *bubble) dial() *rawClient {
	b.tb.Helper()
	c := b.connect()
	c.send(wire.MagicV1)
	return c
}

// An answer is what a request was answered.
type answer struct {
	status int
	tag    string
	body   string
}

// do makes a request, with If-None-Match unless that is empty.
func (b *bubble) do(ctx context.Context, method, path, tag string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://nsqlookupd"+path, nil)
	if err != nil {
		return answer{}, err
	}
	if tag != "" {
		req.Header.Set("If-None-Match", tag)
	}
	resp, err := b.http.HTTPClient().Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header.Get("ETag"), string(body)}, err
}

func (b *bubble) get(path string) answer {
	b.tb.Helper()
	a, err := b.do(b.tb.Context(), http.MethodGet, path, "")
	if err != nil {
		b.tb.Fatal(err)
	}
	return a
}

// How long a connection that says so much and no more is kept, exactly.
func TestSilence(t *testing.T) {
	for name, tt := range map[string]struct {
		sent string
		want time.Duration
	}{
		"nothing":                       {"", 10 * time.Second},
		"half of the magic":             {"  V", 10 * time.Second},
		"the magic":                     {"  V1", time.Minute},
		"half a line":                   {"  V1PIN", 30 * time.Second},
		"a PING":                        {"  V1PING\n", time.Minute},
		"a PING and a half":             {"  V1PING\nP", 30 * time.Second},
		"IDENTIFY without a size":       {"  V1IDENTIFY\n", 30 * time.Second},
		"IDENTIFY with half a body":     {"  V1IDENTIFY\n\x00\x00\x00\xff{", 30 * time.Second},
		"half a line after IDENTIFY":    {"  V1" + identifyCommand + "REGISTER t", 30 * time.Second},
		"IDENTIFY and then for an hour": {"  V1" + identifyCommand, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := startInBubble(t, nsqtest.LookupdOptions(t))
				c := b.connect()
				read := make(chan struct{})
				go func() { // all answers, so that nothing waits for them
					defer close(read)
					io.Copy(io.Discard, c.conn)
				}()
				start := time.Now()
				c.send(tt.sent)
				select {
				case <-read:
				case <-time.After(time.Hour):
				}
				if took := time.Since(start); took != tt.want {
					t.Errorf("it was kept for %v, want %v", took, tt.want)
				}
				c.close()
				<-read
			})
		})
	}
}

var identifyCommand = string(wire.AppendIdentify(nil, []byte(identifyBody("n1"))))

// What comes byte by byte, each in time, is cut when the whole takes too long.
func TestTrickle(t *testing.T) {
	for name, text := range map[string]string{
		"a line": "  V1" + strings.Repeat("x", 1000),
		"a body": "  V1IDENTIFY\n\x00\x00\x0f\xff" + strings.Repeat("x", 1000),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := startInBubble(t, nsqtest.LookupdOptions(t))
				c := b.connect()
				start := time.Now()
				closed := make(chan time.Duration, 1)
				go func() {
					io.Copy(io.Discard, c.conn)
					closed <- time.Since(start)
				}()
				c.send(text[:22]) // the magic and more, at once
				for i := 22; i < len(text) && c.trySend([]byte{text[i]}) == nil; i++ {
					<-time.After(time.Second)
				}
				if took := <-closed; took != 30*time.Second {
					t.Errorf("it was kept for %v, want 30s", took)
				}
			})
		})
	}
}

// Who does not read what it is answered is cut, and holds up nobody meanwhile.
func TestDeafClientIsCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nsqtest.LookupdOptions(t))
		deaf := b.dial()
		deaf.identify(identifyBody("deaf"))
		deaf.send("REGISTER t\n") // whose answer it does not read
		synctest.Wait()
		other := b.dial()
		other.identify(identifyBody("other"))
		other.register("t", "c")
		if a := b.get("/lookup?topic=t"); !strings.Contains(a.body, "deaf.example") || !strings.Contains(a.body, "other.example") {
			t.Errorf("got %v", a)
		}
		<-time.After(10 * time.Second)
		synctest.Wait()
		if a := b.get("/lookup?topic=t"); strings.Contains(a.body, "deaf.example") || !strings.Contains(a.body, "other.example") {
			t.Errorf("after 10 s: %v", a)
		}
	})
}

// An nsqd that does not ping is not listed any more, keeps its connection, and
// is listed again with its next ping.
func TestInactiveProducer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := nsqtest.LookupdOptions(t)
		opts.InactiveProducerTimeout = time.Minute
		b := startInBubble(t, opts)
		c := b.dial()
		c.identify(identifyBody("n1"))
		c.register("t", "c")
		listed := func(want bool) {
			t.Helper()
			for _, path := range []string{"/lookup?topic=t", "/nodes"} {
				if a := b.get(path); a.status != 200 || strings.Contains(a.body, "n1.example") != want {
					t.Errorf("%s: %v, want it listed: %v", path, a, want)
				}
			}
		}
		listed(true)
		<-time.After(time.Minute)
		listed(true)
		c.register("u", "") // does not count
		<-time.After(time.Nanosecond)
		listed(false)
		c.ping()
		listed(true)
	})
}

// A panic ends one connection, and takes its nsqd out of the registry.
func TestPanicEndsOneConnectionOnly(t *testing.T) {
	b := startInBubble(t, nsqtest.LookupdOptions(t), func(l *nsqlookupd.NSQLookupd) { l.PanicOn("PANIC") })
	other := b.dial()
	other.identify(identifyBody("other"))
	c := b.dial()
	c.identify(identifyBody("n1"))
	c.register("t", "")
	c.send("PANIC\n")
	c.wantClosed()
	if n := b.Panics(); n != 1 {
		t.Errorf("%d panics counted", n)
	}
	other.register("t", "")
	if a := b.get("/lookup?topic=t"); strings.Contains(a.body, "n1.example") || !strings.Contains(a.body, "other.example") {
		t.Errorf("got %v", a)
	}
}

// Answers to what came together are written together, in one write.
func TestPipelinedAnswersAreOneWrite(t *testing.T) {
	b := startInBubble(t, nsqtest.LookupdOptions(t))
	client, server := net.Pipe()
	defer client.Close()
	counted := &countingConn{Conn: server}
	go b.tcp.Offer(counted)
	go io.WriteString(client, wire.MagicV1+strings.Repeat("PING\n", 500)) // net.Pipe gives what fits the reader's buffer
	br := bufio.NewReader(client)
	for range 500 {
		if data, err := wire.ReadResponse(br, nil, 100); err != nil || string(data) != wire.OK {
			t.Fatalf("got %q, %v", data, err)
		}
	}
	if counted.writes != 1 {
		t.Errorf("%d writes for 500 answers", counted.writes)
	}
}

// A countingConn counts writes. Who has read what was written may read writes.
type countingConn struct {
	net.Conn
	writes int
}

func (c *countingConn) Write(b []byte) (int, error) {
	c.writes++
	return c.Conn.Write(b)
}
