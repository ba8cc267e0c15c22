package nsqd_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/auth/authtest"
	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/version"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

// TestTranscripts plays testdata/*.txt against a broker in every way in which a
// client can reach it. A file reads like this:
//
//	# a comment
//	option max-msg-size=100      of the broker that the whole file talks to
//	authserver SECRET JSON       the answer of the broker's auth server; it refuses other secrets
//	certificate                  the broker has one; it has in any case where the way needs it
//	plain REASON                 before the first case: play the file without layers only; first in a case: that case
//	== what the case shows       a new case: a new connection, which sends the magic and negotiates its layers
//	> PUB t\n$(sized hello)      what the client sends
//	< OK                         the next frame: a response
//	< error E_INVALID ...        an error
//	< message 1 hello            a message by attempts and body
//	granted FIELD=VALUE ...      the next frame: the answer to IDENTIFY, with these fields
//	upgrade LAYER                go on in tls, snappy or deflate
//	quiet                        everything so far is executed and nothing more is answered
//	eof                          the client will send nothing more
//	closed                       the server has closed the connection
//	silent magic                 first in a case: the magic is not sent, and nothing negotiated
//	conn NAME                    go on with this connection, which is opened if new; the first is "main"
//	topic NAME: 3                so many messages wait in the topic itself; "none": there is no such topic
//	alive                        a fresh connection can publish
//
// Text has Go's escapes (\n, \r, \x00, \\) and these: $(repeat TEXT N),
// $(size N) for an int32, $(sized TEXT) for an int32 and the text,
// $(batch A B ...) for a whole MPUB body with its size, $(snappy TEXT) and
// $(deflate TEXT) for the start of such a stream, $(id) for the id of the
// message that came last, $(id N) for that of the Nth of the case counted
// from 1, $(version) for the broker's.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, w := range ways {
		for _, file := range files {
			t.Run(w.name+"/"+strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
				playFile(t, w, file)
			})
		}
	}
}

func playFile(t *testing.T, w way, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	script := parseScript(t, string(data), len(w.layers) > 0)
	if len(script.cases) == 0 {
		return
	}
	opts := nsqtest.Options(t)
	w.configure(t, opts)
	if script.certificate {
		withCertificate(t, opts)
	}
	if len(script.auth) > 0 {
		server := authtest.Start(t)
		for secret, answer := range script.auth {
			server.Answer(secret, http.StatusOK, answer)
		}
		opts.AuthHTTPAddresses = []string{server.URL + "/auth"}
	}
	fs := flag.NewFlagSet("nsqd", flag.ContinueOnError)
	config.Register(fs, opts)
	if err := config.Parse(fs, script.options); err != nil {
		t.Fatal(err)
	}
	if _, _, err := config.Resolve(opts, fs, config.File{}); err != nil {
		t.Fatal(err)
	}
	n := nsqtest.Start(t, opts)
	for _, s := range script.cases {
		t.Run(s.title, func(t *testing.T) { playCase(t, n, w, file, s.lines) })
	}
}

// A script is what a transcript file says.
type script struct {
	options     []string
	certificate bool
	auth        map[string]string // what the auth server says, by secret; without any there is none
	cases       []scriptCase
}

type scriptCase struct {
	title string
	lines []scriptLine
}

type scriptLine struct {
	number int
	verb   string // the first word
	rest   string // what follows the space after it
}

// parseScript reads a script, with layers without what is for none.
func parseScript(t *testing.T, text string, layers bool) (s script) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSuffix(line, "\n")
		verb, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case verb == "option":
			s.options = append(s.options, "--"+rest)
		case verb == "authserver":
			if s.auth == nil {
				s.auth = make(map[string]string)
			}
			secret, answer, _ := strings.Cut(rest, " ")
			s.auth[secret] = answer
		case verb == "certificate":
			s.certificate = true
		case verb == "plain" && len(s.cases) == 0:
			if layers {
				return script{}
			}
		case verb == "==":
			s.cases = append(s.cases, scriptCase{title: rest})
		case len(s.cases) == 0:
			t.Fatalf("line %d comes before the first case", number)
		default:
			c := &s.cases[len(s.cases)-1]
			c.lines = append(c.lines, scriptLine{number, verb, rest})
		}
	}
	if layers {
		s.cases = slices.DeleteFunc(s.cases, scriptCase.plain)
	}
	return s
}

// plain reports whether the case is for connections without layers.
func (c scriptCase) plain() bool {
	return len(c.lines) > 0 && (c.lines[0].verb == "plain" || c.lines[0].verb == "silent")
}

// A player is one case in progress.
type player struct {
	n     *nsqtest.NSQD
	way   way
	conns map[string]*rawClient
	c     *rawClient // of conns, in use
	ids   []string   // of messages, as they came
}

func playCase(t *testing.T, n *nsqtest.NSQD, w way, file string, lines []scriptLine) {
	p := &player{n: n, way: w, conns: make(map[string]*rawClient)}
	if len(lines) > 0 && lines[0].verb == "plain" {
		lines = lines[1:]
	}
	if len(lines) > 0 && lines[0].verb == "silent" {
		p.c, lines = connect(t, n.RealTCPAddr()), lines[1:]
	} else {
		p.c = w.dial(t, n.RealTCPAddr())
	}
	p.conns["main"] = p.c
	defer func() {
		for _, c := range p.conns {
			c.close()
		}
	}()
	for _, l := range lines {
		if err := p.play(t, l); err != nil {
			t.Fatalf("%s:%d: %s %.100s: %v", file, l.number, l.verb, l.rest, err)
		}
	}
}

func (p *player) play(t *testing.T, l scriptLine) error {
	switch l.verb {
	case ">":
		text, err := p.expand(l.rest)
		if err != nil {
			return err
		}
		if err := p.c.trySend(text); err != nil && !isClosed(err) { // an early refusal may come before all is sent
			return err
		}
	case "<":
		return p.wantFrame(l.rest)
	case "granted":
		return p.wantGranted(strings.Fields(l.rest))
	case "upgrade":
		return p.c.upgrade(l.rest)
	case "quiet":
		if err := p.c.trySend(wire.AppendPub(nil, "quiet#ephemeral", []byte("x"))); err != nil {
			return err
		}
		return p.wantFrame("OK")
	case "eof":
		return p.c.conn.(interface{ CloseWrite() error }).CloseWrite()
	case "closed":
		f, err := p.c.tryNext()
		if err == nil {
			return fmt.Errorf("got %v", f)
		}
		if !isClosed(err) {
			return err
		}
	case "conn":
		if p.c = p.conns[l.rest]; p.c == nil {
			p.c = p.way.dial(t, p.n.RealTCPAddr())
			p.conns[l.rest] = p.c
		}
	case "topic":
		name, want, _ := strings.Cut(l.rest, ": ")
		return wantTopic(p.n.NSQD, name, want)
	case "alive":
		c := p.way.dial(t, p.n.RealTCPAddr())
		defer c.close()
		c.sync()
	default:
		return fmt.Errorf("no such verb")
	}
	return nil
}

func (p *player) wantFrame(spec string) error {
	text, err := p.expand(spec)
	if err != nil {
		return err
	}
	want := string(text)
	f, err := p.c.tryNext()
	if err != nil {
		return err
	}
	var got string
	switch f.kind {
	case wire.FrameResponse:
		got = f.data
	case wire.FrameError:
		got = "error " + f.data
	case wire.FrameMessage:
		m, err := wire.ParseMessage([]byte(f.data))
		if err != nil {
			return err
		}
		p.ids = append(p.ids, string(m.ID[:]))
		got = fmt.Sprintf("message %d %s", m.Attempts, m.Body)
	default:
		got = f.String()
	}
	if got != want {
		return fmt.Errorf("got %.300q", got)
	}
	return nil
}

// wantGranted compares fields of the answer to IDENTIFY.
func (p *player) wantGranted(fields []string) error {
	f, err := p.c.tryNext()
	if err != nil {
		return err
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(f.data), &got); err != nil {
		return fmt.Errorf("got %v", f)
	}
	for _, field := range fields {
		name, want, _ := strings.Cut(field, "=")
		if value, ok := got[name]; !ok || fmt.Sprint(value) != want {
			return fmt.Errorf("%s is %v in %v", name, value, f)
		}
	}
	return nil
}

func wantTopic(n *nsqd.NSQD, name, want string) error {
	got := "none"
	if counts, ok := n.TopicCounts(name); ok {
		got = strconv.FormatInt(counts.Depth, 10)
	}
	if got != want {
		return fmt.Errorf("got %s", got)
	}
	return nil
}

// expand replaces escapes and $(...) in text.
func (p *player) expand(text string) ([]byte, error) {
	var out []byte
	for text != "" {
		if strings.HasPrefix(text, "$(") {
			call, rest, err := cutCall(text[2:])
			if err != nil {
				return nil, err
			}
			name, args, _ := strings.Cut(call, " ")
			b, err := p.function(name, args)
			if err != nil {
				return nil, err
			}
			out, text = append(out, b...), rest
			continue
		}
		literal := text
		if i := strings.Index(text, "$("); i >= 0 {
			literal = text[:i]
		}
		b, err := unescape(literal)
		if err != nil {
			return nil, err
		}
		out, text = append(out, b...), text[len(literal):]
	}
	return out, nil
}

// cutCall cuts text behind the closing parenthesis of a call that it begins
// with.
func cutCall(text string) (call, rest string, err error) {
	open := 1
	for i, r := range text {
		switch r {
		case '(':
			open++
		case ')':
			open--
		}
		if open == 0 {
			return text[:i], text[i+1:], nil
		}
	}
	return "", "", fmt.Errorf("no end of $(")
}

func (p *player) function(name, args string) ([]byte, error) {
	words := strings.Fields(args)
	switch {
	case name == "repeat" && len(words) == 2:
		b, err := unescape(words[0])
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(words[1])
		return bytes.Repeat(b, n), err
	case name == "size" && len(words) == 1:
		n, err := strconv.Atoi(words[0])
		return wire.AppendSize(nil, n), err
	case name == "sized":
		b, err := unescape(args)
		return append(wire.AppendSize(nil, len(b)), b...), err
	case name == "snappy" || name == "deflate":
		b, err := p.expand(args)
		if err != nil {
			return nil, err
		}
		return compressed(name, b)
	case name == "batch":
		batch := wire.AppendBatch(nil, byteSlices(words))
		return append(wire.AppendSize(nil, len(batch)), batch...), nil
	case name == "id" && args == "":
		args = strconv.Itoa(len(p.ids))
		fallthrough
	case name == "id":
		i, err := strconv.Atoi(args)
		if err != nil || i < 1 || i > len(p.ids) {
			return nil, fmt.Errorf("no message %s", args)
		}
		return []byte(p.ids[i-1]), nil
	case name == "version":
		return []byte(version.Binary), nil
	}
	return nil, fmt.Errorf("cannot expand $(%s %s)", name, args)
}

// unescape replaces Go's escapes.
func unescape(s string) ([]byte, error) {
	if !strings.Contains(s, `\`) {
		return []byte(s), nil
	}
	var out []byte
	for s != "" {
		r, multibyte, tail, err := strconv.UnquoteChar(s, 0)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", s, err)
		}
		if multibyte {
			out = append(out, string(r)...)
		} else {
			out = append(out, byte(r))
		}
		s = tail
	}
	return out, nil
}
