package nsq

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// logWriter passes on what is written, less the end of the line.
type logWriter chan string

func (w logWriter) Write(b []byte) (int, error) {
	w <- strings.TrimSuffix(string(b), "\n")
	return len(b), nil
}

func (w logWriter) expect(t *testing.T, want ...string) {
	t.Helper()
	for _, line := range want {
		if got := nsqtest.Receive(t, line, w); got != line {
			t.Errorf("got  %s\nwant %s", got, line)
		}
	}
}

// records returns a logger that writes records from level upwards, without their
// times.
func (w logWriter) records(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// talkToConsumer makes r log about everything that happens on the way of messages.
// After each step it waits for the line that belongs to it.
func talkToConsumer(t *testing.T, f *nsqtest.Fake, r *Consumer, expect func(event string)) {
	r.AddHandler(HandlerFunc(func(m *Message) error {
		if string(m.Body) == "bad" {
			return errors.New("first line\nsecond line")
		}
		return nil
	}))
	go r.ConnectToNSQD(f.Addr)
	c := f.Raw()
	c.Magic()
	c.Expect("IDENTIFY")
	c.Respond(`{"max_rdy_count":5,"auth_required":true}`)
	c.Expect("AUTH")
	c.Respond(`{"identity":"bob","identity_url":"http://bob","permissions":1,"permission_count":3}`)
	c.Expect("SUB t c")
	c.Respond(wire.OK)
	c.Expect("RDY 5")
	expect("connected")
	expect("auth accepted")
	expect("truncation")
	c.Message(1, 1, "bad")
	expect("handler error")
	expect("backing off")
	c.Expect("RDY 0")
	c.Expect("REQ " + nsqtest.ID(1) + " 90000")
	c.Expect("RDY 1")
	expect("resumed")
	c.Message(2, 6, "bad")
	expect("giving up")
	expect("exiting backoff")
	c.Expect("RDY 5")
	c.Expect("FIN " + nsqtest.ID(2))
	c.Fail("E_TOUCH_FAILED TOUCH\x1b[2J\n" + strings.Repeat("x", 10_000))
	expect("protocol error")
	r.Stop()
	expect("stopping")
	c.Expect("CLS")
	c.Respond(wire.CloseWait)
	c.ExpectEnd()
	c.Conn.Close()
	expect("connection closed")
	expect("stopped")
}

// chatty changes the configuration of a consumer for talkToConsumer.
func chatty(c *Config) {
	c.MaxInFlight, c.AuthSecret, c.BackoffMultiplier = 10, "secret", time.Millisecond
}

func TestLinesOfConsumer(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, chatty)
	w := make(logWriter, 10)
	r.SetLogger(log.New(w, "", 0), LogLevelDebug)
	subject := fmt.Sprintf("%3d [t/c] ", instances.Load())
	conn := subject + "(" + f.Addr + ") "
	lines := map[string]string{
		"connected":         "INF  " + conn + "connected to nsqd",
		"auth accepted":     "INF  " + conn + `auth accepted, identity: "bob" http://bob permissions: 3`,
		"truncation":        "WRN  " + conn + "max RDY count 5 < consumer max in flight 10, truncation possible",
		"handler error":     "ERR  " + subject + "Handler returned error (first line\nsecond line) for msg " + nsqtest.ID(1),
		"backing off":       "WRN  " + subject + "backing off for 2ms (backoff level 1), setting all to RDY 0",
		"resumed":           "WRN  " + conn + "backoff timeout expired, sending RDY 1",
		"giving up":         "WRN  " + subject + "msg " + nsqtest.ID(2) + " attempted 6 times, giving up",
		"exiting backoff":   "WRN  " + subject + "exiting backoff, returning all to RDY 10",
		"protocol error":    "ERR  " + conn + `protocol error - E_TOUCH_FAILED TOUCH\u001b[2J\u000a` + strings.Repeat("x", 231) + "...",
		"stopping":          "INF  " + subject + "stopping",
		"connection closed": "INF  " + conn + "connection closed",
		"stopped":           "INF  " + subject + "stopped",
	}
	talkToConsumer(t, f, r, func(event string) { t.Helper(); w.expect(t, lines[event]) })
}

func TestRecordsOfConsumer(t *testing.T) {
	f := nsqtest.NewFake(t)
	r := newTestConsumer(t, chatty)
	w := make(logWriter, 10)
	r.SetSlogger(w.records(slog.LevelDebug))
	subject := fmt.Sprintf(" id=%d topic=t channel=c", instances.Load())
	conn := subject + " nsqd=" + f.Addr
	records := map[string]string{
		"connected":         `level=INFO msg="connected to nsqd"` + conn,
		"auth accepted":     `level=INFO msg="auth accepted"` + conn + " identity=bob identity_url=http://bob permissions=3",
		"truncation":        `level=WARN msg="max RDY count is less than consumer max in flight"` + conn + " max_rdy=5 max_in_flight=10",
		"handler error":     `level=ERROR msg="handler returned error"` + subject + ` error="first line\nsecond line" message_id=` + nsqtest.ID(1),
		"backing off":       `level=WARN msg="backing off"` + subject + " pause=2ms backoff_level=1",
		"resumed":           `level=WARN msg="backoff timeout expired, sending RDY 1"` + conn,
		"giving up":         `level=WARN msg="giving up message"` + subject + " message_id=" + nsqtest.ID(2) + " attempts=6",
		"exiting backoff":   `level=WARN msg="exiting backoff"` + subject + " rdy=10",
		"protocol error":    `level=ERROR msg="protocol error"` + conn + ` error="E_TOUCH_FAILED TOUCH\\u001b[2J\\u000a` + strings.Repeat("x", 231) + `..."`,
		"stopping":          `level=INFO msg=stopping` + subject,
		"connection closed": `level=INFO msg="connection closed"` + conn,
		"stopped":           `level=INFO msg=stopped` + subject,
	}
	talkToConsumer(t, f, r, func(event string) { t.Helper(); w.expect(t, records[event]) })
}

func TestLogOfProducer(t *testing.T) {
	for name, set := range map[string]func(p *Producer, w logWriter){
		"lines":   func(p *Producer, w logWriter) { p.SetLogger(log.New(w, "", 0), LogLevelInfo) },
		"records": func(p *Producer, w logWriter) { p.SetSlogger(w.records(slog.LevelInfo)) },
	} {
		t.Run(name, func(t *testing.T) {
			f := nsqtest.NewFake(t)
			p := newTestProducer(t, f.Addr, nil)
			w := make(logWriter, 10)
			set(p, w)
			line := func(level, text string) string {
				return fmt.Sprintf("%-4s %3d (%s) %s", level, instances.Load(), f.Addr, text)
			}
			record := func(level, message, attrs string) string {
				return fmt.Sprintf("level=%s msg=%s id=%d nsqd=%s%s", level, message, instances.Load(), f.Addr, attrs)
			}
			expect := func(line, record string) {
				t.Helper()
				w.expect(t, map[string]string{"lines": line, "records": record}[name])
			}

			published := make(chan error, 1)
			go func() { published <- p.Publish("t$", []byte("x")) }()
			c := f.Accept()
			c.Expect("PUB t$")
			expect(line("INF", "connected to nsqd"), record("INFO", `"connected to nsqd"`, ""))
			c.Fail("E_BAD_TOPIC PUB topic name\n\"t$\" is not valid")
			if err := nsqtest.Receive(t, "Publish", published); err == nil || !strings.Contains(err.Error(), "\n") {
				t.Errorf("Publish returned %v: the error is to be as nsqd sent it", err)
			}
			expect(line("ERR", `connection lost - E_BAD_TOPIC PUB topic name\u000a"t$" is not valid`),
				record("ERROR", `"connection lost"`, ` error="E_BAD_TOPIC PUB topic name\\u000a\"t$\" is not valid"`))
			p.Stop()
			expect(line("INF", "stopped"), record("INFO", "stopped", ""))
		})
	}
}

// Who runs well says little, and nothing above Info: not that a topic is not known
// yet, and nothing for each message.
func TestNothingWrongIsNothingLoud(t *testing.T) {
	lookupd := nsqtest.StartLookupd(t, nil)
	opts := nsqtest.Options(t)
	opts.LookupdTCPAddresses = []string{lookupd.TCPAddr()}
	d := nsqtest.Start(t, opts)
	w := make(logWriter, 1000)

	const messages = 100
	handled := make(chan struct{}, messages)
	r := newTestConsumer(t, func(c *Config) { c.LookupdPollInterval, c.MaxInFlight = 10*time.Millisecond, 10 })
	r.SetSlogger(w.records(slog.LevelInfo))
	r.AddHandler(HandlerFunc(func(*Message) error {
		handled <- struct{}{}
		return nil
	}))
	if err := r.ConnectToNSQLookupd(lookupd.HTTPAddr()); err != nil {
		t.Fatal(err)
	}
	p := newTestProducer(t, d.TCPAddr(), nil)
	p.SetSlogger(w.records(slog.LevelInfo))
	for range messages {
		if err := p.Publish("t", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for range messages {
		nsqtest.Receive(t, "message", handled)
	}
	p.Stop()
	r.Stop()
	nsqtest.Receive(t, "StopChan", r.StopChan)

	close(w)
	n := 0
	for line := range w {
		n++
		if !strings.HasPrefix(line, "level=INFO ") {
			t.Errorf("unexpected: %s", line)
		}
	}
	if n != 7 {
		t.Errorf("%d records, want connected and stopped of the producer; topic not known, connected, stopping, connection closed and stopped of the consumer", n)
	}
}

// A broker that is down is one error in the log, however long it is, and however
// many calls are made meanwhile.
func TestFailingAgainIsNoNews(t *testing.T) {
	f := nsqtest.NewFake(t)
	f.Listener.Close()
	w := make(logWriter, 100)
	expect := func(want ...string) {
		t.Helper()
		for _, start := range want {
			if got := nsqtest.Receive(t, start, w); !strings.HasPrefix(got, start) || !strings.Contains(got, f.Addr) {
				t.Errorf("got %s, want %s...", got, start)
			}
		}
	}
	const (
		connected = `level=INFO msg="connected to nsqd"`
		lost      = `level=ERROR msg="connection lost"`
		failed    = `level=ERROR msg="error connecting to nsqd"`
		again     = `level=DEBUG msg="error connecting to nsqd"`
	)

	p := newTestProducer(t, f.Addr, nil)
	p.SetSlogger(w.records(slog.LevelDebug))
	p.Ping()
	p.Ping()
	expect(failed, again)
	up := nsqtest.ListenFake(t, f.Addr)
	published := make(chan error, 1)
	go func() { published <- p.Publish("t", []byte("x")) }()
	c := up.Accept()
	c.Expect("PUB t")
	c.Respond(wire.OK)
	if err := nsqtest.Receive(t, "Publish", published); err != nil {
		t.Fatal(err)
	}
	expect(connected)
	up.Listener.Close()
	c.Conn.Close()
	expect(lost, failed, again, again)
	p.Stop()

	w = make(logWriter, 100)
	r := newTestConsumer(t, nil)
	r.AddHandler(HandlerFunc(func(*Message) error { return nil }))
	r.SetSlogger(w.records(slog.LevelDebug))
	up = nsqtest.ListenFake(t, f.Addr)
	go r.ConnectToNSQD(f.Addr)
	c = up.Subscribed(1)
	expect(connected)
	up.Listener.Close()
	c.Conn.Close()
	expect(lost, strings.Replace(failed, "connecting", "reconnecting", 1), strings.Replace(again, "connecting", "reconnecting", 1))
}

// depths remembers the call depths it was given.
type depths []int

func (d *depths) Output(depth int, _ string) error {
	*d = append(*d, depth)
	return nil
}

func TestCallDepth(t *testing.T) {
	g := newLogging("(x)")
	var d depths
	g.SetLogger(&d, LogLevelInfo)
	g.log(eventStopped)
	g.about("a:1").log(eventStopped)
	if fmt.Sprint(d) != "[2 2]" {
		t.Errorf("call depths %v, want 2 for both", d)
	}
}

// Which logger gets what depends on the calls since the last that replaced all.
func TestLoggersReplaceEachOther(t *testing.T) {
	lines := make(logWriter, 10)
	records := make(logWriter, 10)
	classic := log.New(lines, "", 0)
	for _, tt := range []struct {
		name string
		set  func(g *logging)
		want string // where events go, by level: line, record, or neither
	}{
		{"classic from Info", func(g *logging) { g.SetLogger(classic, LogLevelInfo) }, "-lll"},
		{"slog decides itself", func(g *logging) { g.SetSlogger(records.records(slog.LevelDebug)) }, "rrrr"},
		{"slog above Info", func(g *logging) { g.SetSlogger(records.records(slog.LevelWarn)) }, "--rr"},
		{"slog for one level less", func(g *logging) {
			g.SetSlogger(records.records(slog.LevelDebug))
			g.SetLoggerForLevel(classic, LogLevelError)
			g.SetLoggerForLevel(nil, LogLevelInfo)
		}, "r-rl"},
		{"slog with a lowest level", func(g *logging) {
			g.SetSlogger(records.records(slog.LevelDebug))
			g.SetLoggerLevel(LogLevelWarning)
		}, "--rr"},
		{"nil slog", func(g *logging) { g.SetSlogger(nil) }, "----"},
		{"classic after slog", func(g *logging) {
			g.SetSlogger(records.records(slog.LevelDebug))
			g.SetLogger(classic, LogLevelError)
		}, "---l"},
		{"nil classic after slog", func(g *logging) {
			g.SetSlogger(records.records(slog.LevelDebug))
			g.SetLogger(nil, LogLevelDebug)
		}, "----"},
		{"no such level", func(g *logging) { g.SetLoggerForLevel(nil, LogLevelMax+1); g.SetLogger(classic, LogLevelMax+1) }, "----"},
	} {
		g := newLogging("[t/c]")
		g.SetLogger(nil, LogLevelInfo)
		part := g.about("a:1") // made before loggers are set
		tt.set(g)
		got := ""
		for level := LogLevelDebug; level <= LogLevelMax; level++ {
			part.log(eventStopped.at(level))
			switch {
			case len(lines) == 1:
				got += "l"
				<-lines
			case len(records) == 1:
				got += "r"
				<-records
			default:
				got += "-"
			}
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// sourceHandler remembers where the last record came from, and its error.
type sourceHandler struct {
	slog.Handler
	file string
	err  error
}

func (h *sourceHandler) Handle(_ context.Context, r slog.Record) error {
	h.file = r.Source().File
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" {
			h.err, _ = a.Value.Any().(error)
		}
		return true
	})
	return nil
}

func TestRecordHasSourceAndError(t *testing.T) {
	g := newLogging("(x)")
	h := &sourceHandler{Handler: slog.NewTextHandler(io.Discard, nil)}
	g.SetSlogger(slog.New(h))
	for _, err := range []error{ErrProtocol{"E_INVALID"}, ErrProtocol{"E_INVALID\n"}} {
		g.log(eventConnectionLost, err)
		if !errors.Is(h.err, err) || strings.Contains(h.err.Error(), "\n") {
			t.Errorf("the record of %q has error %v", err, h.err)
		}
	}
	if !strings.HasSuffix(h.file, "log_events_test.go") {
		t.Errorf("source %s, want the caller of log", h.file)
	}
}

// What is not logged costs nothing.
func TestSilenceAllocatesNothing(t *testing.T) {
	m := NewMessage(MessageID{}, nil)
	for name, set := range map[string]func(g *logging){
		"nil":       func(g *logging) { g.SetLogger(nil, LogLevelDebug) },
		"the level": func(g *logging) { g.SetLogger(testLog{t}, LogLevelError) },
		"slog":      func(g *logging) { g.SetSlogger(slog.New(slog.DiscardHandler)) },
	} {
		g := newLogging("(x)")
		set(g)
		if n := testing.AllocsPerRun(100, func() { g.log(eventGivenUp, &m.ID, m.Attempts) }); n > 0 {
			t.Errorf("silenced by %s: %v allocations", name, n)
		}
	}
}

// TestEvents reads log_events.go: no event may have values without names, names
// without values, or a message that is not constant.
func TestEvents(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "log_events.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	messages := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		literal := spec.Values[0].(*ast.CompositeLit)
		if literal.Type.(*ast.Ident).Name != "event" {
			t.Errorf("%s is no event", spec.Names[0])
			return false
		}
		var texts, keys []string
		for _, elt := range literal.Elts {
			ast.Inspect(elt, func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok {
					text, _ := strconv.Unquote(l.Value)
					texts = append(texts, text)
				}
				return true
			})
		}
		text, message := texts[0], texts[0]
		if len(texts) > 1 {
			message, keys = texts[1], texts[2:]
		}
		if verbs := strings.Count(text, "%"); verbs != len(keys) {
			t.Errorf("%s has %d verbs and %d keys", text, verbs, len(keys))
		}
		if strings.Contains(message, "%") || messages[message] {
			t.Errorf("%q is not constant, or the message of another event too", message)
		}
		messages[message] = true
		for _, key := range keys {
			switch key {
			case slog.TimeKey, slog.LevelKey, slog.MessageKey, slog.SourceKey, "id", "topic", "channel", "nsqd":
				t.Errorf("%s has key %s, which has a meaning in every record", text, key)
			}
		}
		return false
	})
	if len(messages) == 0 {
		t.Error("no events found")
	}
}
