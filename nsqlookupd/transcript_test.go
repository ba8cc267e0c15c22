package nsqlookupd_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// TestTranscripts plays testdata/*.txt, each case against an nsqlookupd of its
// own. A file reads like this:
//
//	# a comment
//	== what the case shows       a new case: a new connection, which sends the magic
//	silent                       first in a case: the magic is not sent
//	> PING\n                     what the client sends
//	< OK                         the next response
//	identified NAME              IDENTIFY as this node, which is answered
//	eof                          the client will send nothing more
//	closed                       the server has closed the connection
//	close                        the client closes it, and the server has seen that
//	conn NAME                    go on with this connection, which is opened if new; the first is "main"
//	get PATH ANSWER              what a GET request is answered, a status in front of it if it is not 200
//	post PATH ANSWER             the same for POST
//	alive                        a fresh connection is served
//
// Text is what nsqtest.Expand knows, with $(addr) for the client's own address,
// $(addr NAME) for that of another connection, $(node NAME) for what a node says
// of itself, $(identify NAME) for the command that says it, $(shown CONN NAME)
// for what /lookup shows of it, without the brace at its end, $(hostname), and
// $(tcpport) and $(httpport) for those of the server.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			transcript := nsqtest.ReadTranscript(t, file)
			for _, l := range transcript.Head {
				t.Fatalf("line %d comes before the first case", l.Number)
			}
			for _, c := range transcript.Cases {
				t.Run(c.Title, func(t *testing.T) { playCase(t, file, c.Lines) })
			}
		})
	}
}

// A player is one case in progress.
type player struct {
	d     *nsqtest.Lookupd
	api   *http.Client
	conns map[string]*rawClient
	c     *rawClient // of conns, in use
}

func playCase(t *testing.T, file string, lines []nsqtest.TranscriptLine) {
	p := &player{d: nsqtest.StartLookupd(t, nil), conns: make(map[string]*rawClient)}
	p.api = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if len(lines) > 0 && lines[0].Verb == "silent" {
		p.c, lines = connect(t, p.d.RealTCPAddr()), lines[1:]
	} else {
		p.c = dial(t, p.d)
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
	text, err := nsqtest.Expand(l.Rest, p.function)
	if err != nil {
		return err
	}
	switch l.Verb {
	case ">":
		if err := p.c.trySend(text); err != nil && !nsqtest.IsClosed(err) { // an early refusal may come before all is sent
			return err
		}
	case "<":
		if got, err := p.c.tryNext(); err != nil || got != string(text) {
			return fmt.Errorf("got %.300q, %v", got, err)
		}
	case "identified":
		p.c.identify(identifyBody(l.Rest))
	case "eof":
		return p.c.conn.(*net.TCPConn).CloseWrite()
	case "closed":
		return p.c.tryClosed()
	case "close":
		if err := p.c.conn.(*net.TCPConn).CloseWrite(); err != nil {
			return err
		}
		return p.c.tryClosed()
	case "conn":
		if p.c = p.conns[l.Rest]; p.c == nil {
			p.c = dial(t, p.d)
			p.conns[l.Rest] = p.c
		}
	case "get", "post":
		return p.request(strings.ToUpper(l.Verb), string(text))
	case "alive":
		c := dial(t, p.d)
		defer c.close()
		c.ping()
	default:
		return fmt.Errorf("no such verb")
	}
	return nil
}

func (p *player) request(method, text string) error {
	path, want, _ := strings.Cut(text, " ")
	req, err := http.NewRequest(method, p.d.HTTPURL()+path, nil)
	if err != nil {
		return err
	}
	resp, err := p.api.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	got := string(body)
	if resp.StatusCode != http.StatusOK {
		got = fmt.Sprint(resp.StatusCode, " ", got)
	}
	if err != nil || got != want {
		return fmt.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	return nil
}

// function knows the functions that only transcripts of nsqlookupd have.
func (p *player) function(name, args string) (b []byte, ok bool, err error) {
	words := strings.Fields(args)
	switch {
	case name == "addr" && args == "":
		return []byte(p.c.addr()), true, nil
	case name == "addr":
		return []byte(p.conns[args].addr()), true, nil
	case name == "node":
		return []byte(identifyBody(args)), true, nil
	case name == "identify":
		return wire.AppendIdentify(nil, []byte(identifyBody(args))), true, nil
	case name == "shown" && len(words) == 2:
		return fmt.Appendf(nil, `{"remote_address":"%s","hostname":"%s","broadcast_address":"%s.example","tcp_port":4150,`+
			`"http_port":4151,"version":"1.3.0","topology_zone":"z1","topology_region":"r1"`, p.conns[words[0]].addr(), words[1], words[1]), true, nil
	case name == "hostname":
		return []byte(config.Hostname()), true, nil
	case name == "tcpport":
		return portOf(p.d.RealTCPAddr()), true, nil
	case name == "httpport":
		return portOf(p.d.RealHTTPAddr()), true, nil
	}
	return nil, false, nil
}

func portOf(addr net.Addr) []byte {
	return strconv.AppendInt(nil, int64(addr.(*net.TCPAddr).Port), 10)
}
