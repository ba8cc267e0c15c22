package nsqd_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/auth/authtest"
	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/nsqtest"
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
// Text is what nsqtest.Expand knows, with $(batch A B ...) for a whole MPUB body
// with its size, $(snappy TEXT) and $(deflate TEXT) for the start of such a
// stream, $(id) for the id of the message that came last, and $(id N) for that
// of the Nth of the case counted from 1.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, w := range append(slices.Clip(ways), way{name: "durable", durability: nsqd.Disk}) {
		for _, file := range files {
			t.Run(w.name+"/"+strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
				nsqtest.Parallel(t)
				playFile(t, w, file)
			})
		}
	}
}

func playFile(t *testing.T, w way, file string) {
	script := newScript(t, nsqtest.ReadTranscript(t, file), len(w.layers) > 0)
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
	for _, c := range script.cases {
		t.Run(c.Title, func(t *testing.T) { playCase(t, n, w, file, c.Lines) })
	}
}

// A script is what a transcript file says.
type script struct {
	options     []string
	certificate bool
	auth        map[string]string // what the auth server says, by secret; without any there is none
	cases       []nsqtest.TranscriptCase
}

// newScript returns the script of a transcript, with layers without what is for
// none.
func newScript(t *testing.T, transcript nsqtest.Transcript, layers bool) (s script) {
	s.cases = transcript.Cases
	for _, l := range transcript.Head {
		switch l.Verb {
		case "option":
			s.options = append(s.options, "--"+l.Rest)
		case "authserver":
			if s.auth == nil {
				s.auth = make(map[string]string)
			}
			secret, answer, _ := strings.Cut(l.Rest, " ")
			s.auth[secret] = answer
		case "certificate":
			s.certificate = true
		case "plain":
			if layers {
				return script{}
			}
		default:
			t.Fatalf("line %d comes before the first case", l.Number)
		}
	}
	if layers {
		s.cases = slices.DeleteFunc(s.cases, isPlain)
	}
	return s
}

// isPlain reports whether the case is for connections without layers.
func isPlain(c nsqtest.TranscriptCase) bool {
	return len(c.Lines) > 0 && (c.Lines[0].Verb == "plain" || c.Lines[0].Verb == "silent")
}

// A player is one case in progress.
type player struct {
	n     *nsqtest.NSQD
	way   way
	conns map[string]*rawClient
	c     *rawClient // of conns, in use
	ids   []string   // of messages, as they came
}

func playCase(t *testing.T, n *nsqtest.NSQD, w way, file string, lines []nsqtest.TranscriptLine) {
	p := &player{n: n, way: w, conns: make(map[string]*rawClient)}
	if len(lines) > 0 && lines[0].Verb == "plain" {
		lines = lines[1:]
	}
	if len(lines) > 0 && lines[0].Verb == "silent" {
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
			t.Fatalf("%s:%d: %s %.100s: %v", file, l.Number, l.Verb, l.Rest, err)
		}
	}
}

func (p *player) play(t *testing.T, l nsqtest.TranscriptLine) error {
	switch l.Verb {
	case ">":
		text, err := p.expand(l.Rest)
		if err != nil {
			return err
		}
		if err := p.c.trySend(text); err != nil && !nsqtest.IsClosed(err) { // an early refusal may come before all is sent
			return err
		}
	case "<":
		return p.wantFrame(l.Rest)
	case "granted":
		return p.wantGranted(strings.Fields(l.Rest))
	case "upgrade":
		return p.c.upgrade(l.Rest)
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
		if !nsqtest.IsClosed(err) {
			return err
		}
	case "conn":
		if p.c = p.conns[l.Rest]; p.c == nil {
			p.c = p.way.dial(t, p.n.RealTCPAddr())
			p.conns[l.Rest] = p.c
		}
	case "topic":
		name, want, _ := strings.Cut(l.Rest, ": ")
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

// expand returns what a text stands for.
func (p *player) expand(text string) ([]byte, error) { return nsqtest.Expand(text, p.function) }

// function knows the functions that only transcripts of nsqd have.
func (p *player) function(name, args string) (b []byte, ok bool, err error) {
	switch {
	case name == "snappy" || name == "deflate":
		if b, err = p.expand(args); err == nil {
			b, err = compressed(name, b)
		}
		return b, true, err
	case name == "batch":
		batch := wire.AppendBatch(nil, byteSlices(strings.Fields(args)))
		return append(wire.AppendSize(nil, len(batch)), batch...), true, nil
	case name == "id" && args == "":
		args = strconv.Itoa(len(p.ids))
		fallthrough
	case name == "id":
		i, err := strconv.Atoi(args)
		if err != nil || i < 1 || i > len(p.ids) {
			return nil, true, fmt.Errorf("no message %s", args)
		}
		return []byte(p.ids[i-1]), true, nil
	}
	return nil, false, nil
}
