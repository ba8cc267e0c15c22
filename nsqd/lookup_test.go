package nsqd_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/version"
)

// All bytes that a broker sends, from the first on.
func TestRegistrationOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := nsqtest.Options(t)
		opts.BroadcastAddress, opts.BroadcastTCPPort, opts.BroadcastHTTPPort = "bcast.example", 4150, 4151
		opts.TopologyRegion, opts.TopologyZone = "r1", "z1"
		ln := new(lookupNet)
		b, _ := startWithLookupds(t, ln, opts, "10.0.0.1:4160")
		b.post("/topic/create?topic=alone")
		b.createChannel("both", "c2")
		b.createChannel("both", "c1")
		b.createChannel("passing%23ephemeral", "c%23ephemeral")
		l := (&fakeLookupd{name: "l"}).listen()
		ln.put("10.0.0.1:4160", l)
		pass(2 * time.Second)
		s := l.last(t)

		body := fmt.Sprintf(`{"broadcast_address":"bcast.example","hostname":%q,"http_port":4151,"tcp_port":4150,"topology_region":"r1","topology_zone":"z1","version":%q}`,
			thisHost(t), version.Binary)
		want := "  V1IDENTIFY\n" + string(binary.BigEndian.AppendUint32(nil, uint32(len(body)))) + body +
			"REGISTER alone\nREGISTER both c1\nREGISTER both c2\nREGISTER passing#ephemeral c#ephemeral\n"
		if got := s.takeRaw(); got != want {
			t.Errorf("at first it sent\n%q, want\n%q", got, want)
		}
		for _, step := range []struct{ do, want string }{
			{"/topic/create?topic=new", "REGISTER new\n"},
			{"/topic/create?topic=new", ""},
			{"/channel/create?topic=new&channel=c", "REGISTER new c\n"},
			{"/channel/create?topic=new&channel=e%23ephemeral", "REGISTER new e#ephemeral\n"},
			{"/topic/pause?topic=new", ""},
			{"/channel/delete?topic=new&channel=c", "UNREGISTER new c\n"},
			{"/channel/create?topic=new&channel=c", "REGISTER new c\n"},
			{"/topic/delete?topic=alone", "UNREGISTER alone\n"},
			// An ephemeral topic goes with its last channel.
			{"/channel/delete?topic=passing%23ephemeral&channel=c%23ephemeral", "UNREGISTER passing#ephemeral c#ephemeral\nUNREGISTER passing#ephemeral\n"},
		} {
			b.post(step.do)
			if got := s.takeRaw(); got != step.want {
				t.Errorf("%s: it sent %q, want %q", step.do, got, step.want)
			}
		}
		b.post("/topic/delete?topic=both")
		got := s.takeRaw()
		if lines := strings.SplitAfter(got, "\n"); len(lines) != 4 || lines[2] != "UNREGISTER both\n" || !strings.Contains(got, "UNREGISTER both c1\n") || !strings.Contains(got, "UNREGISTER both c2\n") {
			t.Errorf("the channels of a topic go first, then the topic; it sent %q", got)
		}
		b.stop()
		if got := s.takeRaw(); got != "" || !s.isDone() {
			t.Errorf("a stop sent %q (closed: %v)", got, s.isDone())
		}
	})
}

func TestPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, l := new(lookupNet), (&fakeLookupd{name: "l"}).listen()
		ln.put("10.0.0.1:4160", l)
		startWithLookupds(t, ln, nil, "10.0.0.1:4160")
		s := l.last(t)
		s.takeRaw()
		for range 5 {
			pass(15*time.Second - time.Millisecond)
			if got := s.takeRaw(); got != "" {
				t.Errorf("before 15 s it sent %q", got)
			}
			pass(time.Millisecond)
			if got := s.takeRaw(); got != "PING\n" {
				t.Errorf("after 15 s it sent %q", got)
			}
		}
		if n := l.connections(); n != 1 {
			t.Errorf("there were %d connections", n)
		}
	})
}

// What happens while an nsqlookupd takes its time is told in one piece, as it
// is then. A topic that was deleted and made again is unregistered first.
func TestChangesCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan struct{})
		l := (&fakeLookupd{name: "l", script: func(s *lookupSession, command string) error {
			if command == "REGISTER slow" {
				<-slow
			}
			return s.answerWell(command)
		}}).listen()
		ln := new(lookupNet)
		ln.put("10.0.0.1:4160", l)
		b, _ := startWithLookupds(t, ln, nil, "10.0.0.1:4160")
		b.createChannel("again", "c")
		b.createChannel("again", "gone")
		b.createChannel("part", "c")
		s := l.last(t)
		s.takeRaw()
		b.post("/topic/create?topic=slow")
		b.post("/topic/delete?topic=again")
		b.createChannel("again", "c")
		b.createChannel("again", "new")
		b.post("/channel/delete?topic=part&channel=c")
		b.post("/channel/create?topic=part&channel=c")
		for range 50 {
			b.createChannel("brief", "c")
			b.post("/topic/delete?topic=brief")
		}
		b.post("/topic/create?topic=young")
		b.post("/channel/create?topic=young&channel=c")
		if got := s.takeRaw(); got != "REGISTER slow\n" {
			t.Errorf("it sent %q", got)
		}
		close(slow)
		want := "UNREGISTER again c\nUNREGISTER again gone\nUNREGISTER again\nREGISTER again c\nREGISTER again new\n" +
			"UNREGISTER brief c\nUNREGISTER brief\nUNREGISTER part c\nREGISTER part c\nREGISTER young c\n"
		if got := s.takeRaw(); got != want {
			t.Errorf("it sent\n%q, want\n%q", got, want)
		}
	})
}

// Whatever one nsqlookupd does, another learns everything at once, nobody who
// creates topics waits, and neither does a stop (see startWithLookupds).
func TestOddLookupdsDelayNobody(t *testing.T) {
	identifyWith := func(b []byte) func(*lookupSession, string) error {
		return func(s *lookupSession, command string) error {
			if !strings.HasPrefix(command, "IDENTIFY ") {
				return s.answerWell(command)
			}
			_, err := s.conn.Write(b)
			return err
		}
	}
	large := fmt.Sprintf(`{"hostname":"%s"}`, strings.Repeat("x", 1<<20))
	for name, c := range map[string]struct {
		lookupd *fakeLookupd
		served  bool   // it is registered with nevertheless
		log     string // that tells of it
	}{
		"byte by byte": {&fakeLookupd{script: func(s *lookupSession, command string) error {
			for _, b := range response(answerTo(s, command)) {
				if _, err := s.conn.Write([]byte{b}); err != nil {
					return err
				}
			}
			return nil
		}}, true, "connected"},
		"slow": {&fakeLookupd{script: func(s *lookupSession, command string) error {
			<-time.After(4 * time.Second)
			return s.answerWell(command)
		}}, true, "connected"},
		"other words than OK":                       {&fakeLookupd{script: identifyOr("Fine")}, true, "connected"},
		"a large IDENTIFY answer":                   {&fakeLookupd{identity: large}, true, "connected"},
		"an IDENTIFY answer over max-body-size":     {&fakeLookupd{identity: large + strings.Repeat(" ", 1<<20)}, false, "exceeds the limit of 2000000"},
		"no JSON for IDENTIFY":                      {&fakeLookupd{identity: "hello\x07"}, false, `unusable answer to IDENTIFY: hello`},
		"E_INVALID for IDENTIFY":                    {&fakeLookupd{identity: "E_INVALID"}, false, "unusable answer to IDENTIFY: E_INVALID"},
		"OK for IDENTIFY":                           {&fakeLookupd{identity: "OK"}, false, "unusable answer to IDENTIFY: OK"},
		"an empty IDENTIFY answer":                  {&fakeLookupd{script: identifyWith(response(""))}, false, "unusable answer to IDENTIFY"},
		"a negative size":                           {&fakeLookupd{script: identifyWith([]byte{0xff, 0xff, 0xff, 0xff})}, false, "size -1 is negative"},
		"a huge size":                               {&fakeLookupd{script: identifyWith([]byte{0x7f, 0xff, 0xff, 0xff})}, false, "exceeds the limit"},
		"a size and no more":                        {&fakeLookupd{script: identifyWith([]byte{0, 0, 1, 0, '{'})}, false, "no answer to IDENTIFY"},
		"an HTTP server":                            {&fakeLookupd{script: identifyWith([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))}, false, "it speaks HTTP"},
		"never an answer":                           {&fakeLookupd{script: func(*lookupSession, string) error { return nil }}, false, "no answer to IDENTIFY"},
		"never reads":                               {&fakeLookupd{mute: true}, false, "cannot connect"},
		"a host that is gone":                       {&fakeLookupd{lost: true}, false, "cannot connect"},
		"an end instead of an answer":               {&fakeLookupd{script: func(*lookupSession, string) error { return errors.New("no") }}, false, "closed by the nsqlookupd"},
		"no answer to REGISTER":                     {&fakeLookupd{script: identifyOr("")}, false, "connection lost"},
		"E_INVALID to REGISTER":                     {&fakeLookupd{script: identifyOr("E_INVALID client must IDENTIFY")}, false, "REGISTER t0 is refused: E_INVALID client must IDENTIFY"},
		"answers to nothing":                        {&fakeLookupd{script: func(s *lookupSession, c string) error { s.answerWell(c); return s.reply("OK") }}, false, "a reply to nothing: OK"},
		"an error to one name":                      {&fakeLookupd{script: refuse("t1", false)}, false, "REGISTER t1 is refused: E_BAD_TOPIC t1"},
		"an end of the connection after each error": {&fakeLookupd{script: refuse("t1", true)}, false, "REGISTER t1 is refused: E_BAD_TOPIC t1"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := nsqtest.Options(t)
				opts.MaxBodySize = 2_000_000
				odd, good := c.lookupd.listen(), (&fakeLookupd{name: "good"}).listen()
				ln := new(lookupNet)
				ln.put("10.0.0.1:4160", odd)
				ln.put("[fd00::1]:4160", good)
				b, log := startWithLookupds(t, ln, opts, "10.0.0.1:4160", "[fd00::1]:4160")
				var want []string
				for i := range 5 {
					start := time.Now()
					name := fmt.Sprint("t", i)
					b.post("/topic/create?topic=" + name)
					want = append(want, name)
					wantLines(t, "the good one", good.last(t).registered(), want)
					if d := time.Since(start); d != 0 {
						t.Errorf("that took %s", d)
					}
					pass(time.Second)
				}
				pass(time.Minute)
				if good.connections() != 1 {
					t.Errorf("the good one had %d connections", good.connections())
				}
				if text := log.String(); !strings.Contains(text, c.log) || strings.Count(text, "cannot connect") > 1 {
					t.Errorf("the log is %s", text)
				}
				if c.served {
					wantLines(t, "the odd one", odd.last(t).registered(), want)
				} else if strings.Contains(name, "error") { // by name
					wantLines(t, "the odd one", odd.last(t).registered(), []string{"t0", "t2", "t3", "t4"})
				}
			})
		})
	}
}

func answerTo(s *lookupSession, command string) string {
	if strings.HasPrefix(command, "IDENTIFY ") {
		return s.lookupd.identity
	}
	return "OK"
}

// identifyOr answers IDENTIFY well and all else with the given text, or not at
// all.
func identifyOr(text string) func(*lookupSession, string) error {
	return func(s *lookupSession, command string) error {
		if strings.HasPrefix(command, "IDENTIFY ") {
			return s.answerWell(command)
		}
		if text == "" {
			return nil
		}
		return s.reply(text)
	}
}

// refuse answers well, but for the registration of one topic.
func refuse(topic string, end bool) func(*lookupSession, string) error {
	return func(s *lookupSession, command string) error {
		if command != "REGISTER "+topic {
			return s.answerWell(command)
		}
		s.mu.Lock()
		s.commands = slices.DeleteFunc(s.commands, func(c string) bool { return c == command })
		s.mu.Unlock()
		if err := s.reply("E_BAD_TOPIC " + topic); err != nil || !end {
			return err
		}
		return errors.New("after an error")
	}
}

// An nsqlookupd that closes the connection, is restarted, or stops to answer for
// a while, knows everything 5 s after it is there again.
func TestEverythingIsRegisteredAgain(t *testing.T) {
	for name, c := range map[string]func(ln *lookupNet, l *fakeLookupd) *fakeLookupd{
		"connection closed": func(_ *lookupNet, l *fakeLookupd) *fakeLookupd { l.cut(); return l },
		"restarted after a day": func(ln *lookupNet, l *fakeLookupd) *fakeLookupd {
			ln.put("10.0.0.1:4160", nil)
			l.kill()
			pass(24 * time.Hour)
			l = (&fakeLookupd{name: "l"}).listen()
			ln.put("10.0.0.1:4160", l)
			return l
		},
		"host gone for an hour": func(ln *lookupNet, l *fakeLookupd) *fakeLookupd {
			gone := (&fakeLookupd{lost: true}).listen()
			ln.put("10.0.0.1:4160", gone)
			l.kill()
			pass(time.Hour)
			l = (&fakeLookupd{name: "l"}).listen()
			ln.put("10.0.0.1:4160", l)
			gone.kill()
			return l
		},
		"hung for an hour": func(ln *lookupNet, l *fakeLookupd) *fakeLookupd {
			hung := (&fakeLookupd{script: func(*lookupSession, string) error { return nil }}).listen()
			ln.put("10.0.0.1:4160", hung)
			l.kill()
			pass(time.Hour)
			hung.kill() // with the connection that waits for an answer
			l = (&fakeLookupd{name: "l"}).listen()
			ln.put("10.0.0.1:4160", l)
			return l
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := nsqtest.Options(t)
				ln := new(lookupNet)
				l := (&fakeLookupd{name: "l"}).listen()
				ln.put("10.0.0.1:4160", l)
				b, log := startWithLookupds(t, ln, opts, "10.0.0.1:4160")
				var want []string
				p := b.dial()
				topics := 50
				if strings.HasPrefix(name, "restarted") {
					topics = 1000
				}
				for i := range topics {
					name := fmt.Sprintf("t%04d", i)
					p.pub(name, "x")
					want = append(want, name)
				}
				l.last(t)
				first := l.connections()
				l = c(ln, l)
				pass(5 * time.Second)
				wantLines(t, "after 5 s", l.last(t).registered(), want)
				if n := l.connections(); n > first+1 {
					t.Errorf("there were %d connections", n)
				}
				if text := log.String(); strings.Count(text, "connection lost") != 1 || strings.Count(text, ": cannot connect") > 1 || strings.Count(text, "still cannot connect") > 24 || strings.Count(text, "connected") != 2 {
					t.Errorf("the log is %s", text)
				}
			})
		})
	}
}

func TestLookupdsChangeAtRunTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := new(lookupNet)
		one, two := (&fakeLookupd{name: "one"}).listen(), (&fakeLookupd{name: "two"}).listen()
		ln.put("10.0.0.1:4160", one)
		ln.put("10.0.0.2:4160", two)
		b, _ := startWithLookupds(t, ln, nil)
		b.post("/topic/create?topic=t")
		want := []string{"t"}
		start := time.Now()
		b.configure(`["10.0.0.1:4160","10.0.0.1:4160"]`)
		wantLines(t, "the first", one.last(t).registered(), want)
		b.configure(`["10.0.0.2:4160","10.0.0.1:4160"]`)
		wantLines(t, "the second", two.last(t).registered(), want)
		if one.connections() != 1 || one.last(t).isDone() {
			t.Error("the first was disturbed")
		}
		b.configure(`["10.0.0.2:4160"]`)
		if !one.last(t).isDone() || two.last(t).isDone() {
			t.Error("the first is still connected, or the second is not")
		}
		b.configure(`[]`)
		if !two.last(t).isDone() {
			t.Error("the second is still connected")
		}
		b.configure(`["10.0.0.1:4160"]`)
		wantLines(t, "the first again", one.last(t).registered(), want)
		if d := time.Since(start); d != 0 {
			t.Errorf("that took %s", d)
		}
		pass(time.Hour)
		if one.connections() != 2 || two.connections() != 1 {
			t.Errorf("there were %d and %d connections", one.connections(), two.connections())
		}
	})
}

func TestReachableLookupds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := new(lookupNet)
		slow := func(s *lookupSession, command string) error {
			<-time.After(500 * time.Millisecond)
			return s.answerWell(command)
		}
		hung := func(*lookupSession, string) error { return nil }
		for address, l := range map[string]*fakeLookupd{
			"10.0.0.1:4160": {name: "good"},
			"10.0.0.2:4160": {name: "slow", script: slow},
			"10.0.0.3:4160": {name: "hung", script: hung},
			"10.0.0.4:4160": {identity: `{}`},
			"10.0.0.5:4160": {identity: `{"broadcast_address":"::1","http_port":1}`},
			"10.0.0.6:4160": {identity: `{"broadcast_address":"h","http_port":65536}`},
			"10.0.0.7:4160": {lost: true},
		} {
			ln.put(address, l.listen())
		}
		ln.name("one", "10.0.0.1")
		b, _ := startWithLookupds(t, ln, nil)
		for _, c := range []struct {
			addresses string
			took      time.Duration
			want      []string
		}{
			{`[]`, 0, nil},
			{`["one:4160"]`, 0, []string{"good.example:4161"}},
			{`["10.0.0.2:4160","10.0.0.9:4160","no:4160"]`, 500 * time.Millisecond, []string{"slow.example:4161"}},
			{`["10.0.0.4:4160","10.0.0.5:4160","10.0.0.6:4160"]`, 0, []string{"[::1]:1"}},
			{`["10.0.0.1:4160","10.0.0.3:4160","10.0.0.7:4160"]`, time.Second, []string{"good.example:4161"}},
		} {
			start := time.Now()
			b.configure(c.addresses)
			got := b.ReachableLookupds(t.Context())
			if d := time.Since(start); d != c.took || !slices.Equal(got, c.want) {
				t.Errorf("%s: %q after %s, want %q after %s", c.addresses, got, d, c.want, c.took)
			}
		}
		pass(10 * time.Second)
		start := time.Now()
		got := b.ReachableLookupds(t.Context())
		if d := time.Since(start); d != 0 || !slices.Equal(got, []string{"good.example:4161"}) {
			t.Errorf("later: %q after %s", got, d)
		}
	})
}

// configure changes the nsqlookupds.
func (b *bubble) configure(addresses string) {
	b.tb.Helper()
	if resp, body := b.do(b.request("PUT", "/config/nsqlookupd_tcp_addresses", addresses)); resp.StatusCode != 200 {
		b.tb.Fatalf("%s: %s %s", addresses, resp.Status, body)
	}
	synctest.Wait()
}

// A broker without a name that clients can resolve is announced with the
// address from which an nsqlookupd is reached.
func TestAnnouncedAddress(t *testing.T) {
	local := &net.TCPAddr{IP: net.ParseIP("10.1.2.3"), Port: 5}
	host := thisHost(t)
	for name, c := range map[string]struct {
		given string
		leads []string // where the host name leads
		local net.Addr
		want  string
		log   string
	}{
		"given":                      {"b.example", nil, local, "b.example", ""},
		"an address is given":        {"::1", nil, local, "::1", ""},
		"a good host name":           {"", []string{"10.9.9.9"}, local, host, ""},
		"one of several is good":     {"", []string{"127.0.1.1", "fd00::7"}, local, host, ""},
		"no such host name":          {"", nil, local, "10.1.2.3", "cannot be resolved"},
		"only loopback":              {"", []string{"127.0.1.1", "::1"}, local, "10.1.2.3", "leads to this machine only"},
		"only loopback, mapped":      {"", []string{"::ffff:127.0.0.1"}, local, "10.1.2.3", "leads to this machine only"},
		"IPv6":                       {"", nil, &net.TCPAddr{IP: net.ParseIP("fd00::5"), Zone: ""}, "fd00::5", "cannot be resolved"},
		"no address of an interface": {"", nil, nil, host, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opts := nsqtest.Options(t)
				opts.BroadcastAddress = c.given
				ln := &lookupNet{local: c.local}
				if c.leads != nil {
					ln.name(host, c.leads...)
				}
				l := (&fakeLookupd{name: "l"}).listen()
				ln.put("10.0.0.1:4160", l)
				b, log := startWithLookupds(t, ln, opts, "10.0.0.1:4160")
				for range 3 { // the log tells it once
					if raw := l.last(t).takeRaw(); !strings.Contains(raw, fmt.Sprintf(`{"broadcast_address":%q,`, c.want)) {
						t.Errorf("it sent %q, want %q", raw, c.want)
					}
					l.cut()
					pass(time.Minute)
				}
				if _, info := b.do(b.request("GET", "/info", "")); !strings.Contains(info, fmt.Sprintf(`"broadcast_address":%q`, c.want)) {
					t.Errorf("/info is %s", info)
				}
				if _, value := b.do(b.request("GET", "/config/broadcast_address", "")); value != c.want {
					t.Errorf("/config shows %s", value)
				}
				lines := strings.Count(log.String(), "clients are told to connect to "+c.want)
				if c.log == "" && lines != 0 || c.log != "" && (lines != 1 || !strings.Contains(log.String(), c.log)) {
					t.Errorf("the log is %s", log)
				}
				if c.log == "" {
					return
				}
				ln.name(host, "10.1.2.3") // somebody mends it
				l.cut()
				pass(time.Minute)
				if raw := l.last(t).takeRaw(); !strings.Contains(raw, fmt.Sprintf(`{"broadcast_address":%q,`, host)) || !strings.Contains(log.String(), "which resolves now") {
					t.Errorf("when the name resolves it sent %q, and logged %s", raw, log)
				}
			})
		})
	}
}

// An nsqlookupd on the same machine is told what clients on others can use, if
// that is known from one elsewhere: at once where it is, and once it is there.
func TestAnnouncedAddressIsNoLoopbackOneIfThereIsAnother(t *testing.T) {
	at := func(ip string) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: 5} }
	synctest.Test(t, func(t *testing.T) {
		opts := nsqtest.Options(t)
		opts.BroadcastAddress = ""
		ln := new(lookupNet)
		here := (&fakeLookupd{name: "here", local: at("127.0.0.1")}).listen()
		ln.put("127.0.0.1:4160", here)
		b, _ := startWithLookupds(t, ln, opts, "127.0.0.1:4160", "10.0.0.2:4160")
		b.post("/topic/create?topic=t")
		wants := func(when string, l *fakeLookupd, address string, connections int) {
			t.Helper()
			s := l.last(t)
			if raw := s.takeRaw(); !strings.Contains(raw, fmt.Sprintf(`{"broadcast_address":%q,`, address)) {
				t.Errorf("%s: it sent %q, want %q", when, raw, address)
			}
			wantLines(t, when, s.registered(), []string{"t"})
			if n := l.connections(); n != connections {
				t.Errorf("%s: %d connections, want %d", when, n, connections)
			}
		}
		wants("alone", here, "127.0.0.1", 1)

		there := (&fakeLookupd{name: "there", local: at("10.1.2.3")}).listen()
		ln.put("10.0.0.2:4160", there)
		pass(5 * time.Second)
		wants("there is another", there, "10.1.2.3", 1)
		wants("there is another", here, "10.1.2.3", 2)

		there.kill()
		here.cut()
		pass(5 * time.Second)
		wants("the other has gone", here, "10.1.2.3", 3)

		there = (&fakeLookupd{name: "there", local: at("10.1.2.4")}).listen()
		ln.put("10.0.0.2:4160", there)
		pass(5 * time.Second)
		wants("it is reached by another interface", there, "10.1.2.4", 1)
		wants("it is reached by another interface", here, "10.1.2.4", 4)

		ln.name(thisHost(t), "10.1.2.4") // somebody mends it
		here.cut()
		pass(5 * time.Second)
		wants("the name resolves", here, thisHost(t), 5)
		there.cut()
		pass(time.Hour)
		wants("the name resolves", there, thisHost(t), 2)
		if n := here.connections(); n != 5 {
			t.Errorf("%d connections in the end", n)
		}
	})
}

func thisHost(tb testing.TB) string {
	tb.Helper()
	name, err := os.Hostname()
	if err != nil {
		tb.Fatal(err)
	}
	return name
}

// request makes a request for do.
func (b *bubble) request(method, path, body string) *http.Request {
	b.tb.Helper()
	r, err := http.NewRequest(method, "http://nsqd"+path, strings.NewReader(body))
	if err != nil {
		b.tb.Fatal(err)
	}
	return r
}
