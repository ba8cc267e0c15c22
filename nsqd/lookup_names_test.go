package nsqd_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// A headless service: the broker registers with all that the name leads to,
// with those that join, and with what stands in for one that has gone.
func TestNameWithSeveralAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := new(lookupNet)
		pods := make(map[string]*fakeLookupd)
		add := func(ip string) *fakeLookupd {
			pods[ip] = (&fakeLookupd{name: "pod-" + strings.ReplaceAll(ip, ":", "-")}).listen()
			if strings.Contains(ip, ":") {
				ln.put("["+ip+"]:4160", pods[ip])
			} else {
				ln.put(ip+":4160", pods[ip])
			}
			return pods[ip]
		}
		add("10.0.0.1")
		add("10.0.0.2")
		ln.name("lookup", "10.0.0.1", "::ffff:10.0.0.2")
		b, _ := startWithLookupds(t, ln, nil, "lookup:4160")
		b.post("/topic/create?topic=t")
		want := []string{"t"}
		for ip, l := range pods {
			wantLines(t, ip, l.last(t).registered(), want)
		}

		ln.name("lookup", "10.0.0.1", "10.0.0.2", "fd00::3")
		third := add("fd00::3")
		pass(31 * time.Second)
		wantLines(t, "one that joined", third.last(t).registered(), want)

		// One is replaced by another: the name follows after a second.
		pods["10.0.0.2"].kill()
		pass(time.Second)
		fourth := add("10.0.0.4")
		ln.name("lookup", "10.0.0.1", "fd00::3", "10.0.0.4")
		pass(5 * time.Second)
		wantLines(t, "one that replaces another", fourth.last(t).registered(), want)

		// Who is not in the name any more, or while it cannot be resolved, stays
		// connected as long as it is there, and not longer.
		ln.name("lookup", "10.0.0.1", "10.0.0.4")
		pass(31 * time.Second)
		ln.name("lookup")
		pass(time.Hour)
		b.post("/topic/create?topic=u")
		for ip, l := range pods {
			if ip != "10.0.0.2" {
				wantLines(t, ip, l.last(t).registered(), []string{"t", "u"})
				if l.connections() != 1 {
					t.Errorf("%s had %d connections", ip, l.connections())
				}
			}
		}
		third.cut()
		pods["10.0.0.1"].cut()
		pass(time.Hour)
		if third.connections() != 1 || pods["10.0.0.1"].connections() != 2 {
			t.Errorf("connected %d times to who is not in the name, %d times to who is", third.connections(), pods["10.0.0.1"].connections())
		}
		b.configure(`[]`)
		for ip, l := range pods {
			if !l.last(t).isDone() {
				t.Errorf("%s is still connected", ip)
			}
		}
	})
}

// Whoever runs everything on one machine says localhost. The node must not be
// registered twice where that is one nsqlookupd, nor warned of half of it.
func TestNameOfOneLookupdWithTwoAddresses(t *testing.T) {
	for name, families := range map[string][]string{
		"both families": {"127.0.0.1:4160", "[::1]:4160"}, "IPv4 only": {"127.0.0.1:4160"}, "IPv6 only": {"[::1]:4160"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ln := new(lookupNet)
				start := func() *fakeLookupd {
					l := (&fakeLookupd{name: "l"}).listen()
					for _, address := range families {
						ln.put(address, l)
					}
					return l
				}
				l := start()
				ln.name("localhost", "::1", "127.0.0.1")
				b, log := startWithLookupds(t, ln, nil, "localhost:4160")
				b.post("/topic/create?topic=t")
				pass(time.Hour)
				if n := registeredSessions(l); n != 1 {
					t.Errorf("%d connections have registered", n)
				}
				if text := log.String(); strings.Contains(text, "level=WARN") || strings.Count(text, "\n") > 100 {
					t.Errorf("the log is %s", text)
				}
				if n := ln.asked["localhost"]; n > 130 { // every 30 s, and some at the start
					t.Errorf("the name was resolved %d times in an hour", n)
				}
				if got := b.ReachableLookupds(t.Context()); len(got) != 1 {
					t.Errorf("reachable are %q", got)
				}

				// The connection that is used ends: there is another at once.
				l.cut()
				pass(time.Second)
				if n := registeredSessions(l); n != 1 {
					t.Errorf("after a cut %d connections have registered", n)
				}
				l.kill()
				pass(time.Minute)
				l = start()
				pass(5 * time.Second)
				if n := registeredSessions(l); n != 1 {
					t.Errorf("after a restart %d connections have registered", n)
				}
			})
		})
	}
}

// registeredSessions returns how many connections are open that have registered
// something.
func registeredSessions(l *fakeLookupd) (n int) {
	synctest.Wait()
	l.mu.Lock()
	sessions := l.sessions
	l.mu.Unlock()
	for _, s := range sessions {
		if len(s.registered()) > 0 {
			n++
		}
	}
	return n
}

// A container is often started before the one it is told of has a name.
func TestNameThatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, l := new(lookupNet), (&fakeLookupd{name: "l"}).listen()
		ln.put("10.0.0.1:4160", l)
		b, log := startWithLookupds(t, ln, nil, "lookup:4160")
		b.post("/topic/create?topic=t")
		pass(time.Hour)
		if text := log.String(); strings.Count(text, "cannot be resolved") != 1 || !strings.Contains(text, "LOOKUPD(lookup:4160): ") {
			t.Errorf("the log is %s", text)
		}
		ln.name("lookup", "10.0.0.1")
		pass(5 * time.Second)
		wantLines(t, "when it is there", l.last(t).registered(), []string{"t"})
	})
}

// A resolver that never answers is no reason to wait, for nobody.
func TestHungResolver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := nsqtest.Options(t)
		opts.BroadcastAddress = ""
		ln, l := new(lookupNet), (&fakeLookupd{name: "l"}).listen()
		ln.put("10.0.0.1:4160", l)
		ln.hung = true
		b, _ := startWithLookupds(t, ln, opts, "lookup:4160", "10.0.0.1:4160")
		start := time.Now()
		b.post("/topic/create?topic=t")
		if d := time.Since(start); d != 0 {
			t.Errorf("creating a topic took %s", d)
		}
		b.ReachableLookupds(t.Context())
		if d := time.Since(start); d != time.Second {
			t.Errorf("who is reachable was known after %s", d)
		}
		pass(time.Second)
		wantLines(t, "the other one", l.last(t).registered(), []string{"t"})
	})
}

// Whoever reads only the last hours of the log sees what is missing, without
// being flooded; and that an address of a name is of no use while another one
// is connected is not worth a word.
func TestLogRemindsOfWhoIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := new(lookupNet)
		ln.put("10.0.0.2:4160", (&fakeLookupd{name: "half"}).listen())
		ln.name("half", "10.0.0.1", "10.0.0.2")
		_, log := startWithLookupds(t, ln, nil, "10.0.0.3:4160", "nowhere:4160", "half:4160")
		pass(6*time.Hour + time.Minute)
		for line, want := range map[string]int{
			`level=WARN msg="LOOKUPD(10.0.0.3:4160): cannot connect, trying on"`:                   1,
			`level=WARN msg="LOOKUPD(10.0.0.3:4160): still cannot connect, trying on" for=1h0m`:    1,
			`level=WARN msg="LOOKUPD(10.0.0.3:4160): still cannot connect, trying on" for=6h0m`:    1,
			`level=WARN msg="LOOKUPD(10.0.0.3:4160): still cannot connect`:                         6,
			`level=WARN msg="LOOKUPD(nowhere:4160): the name cannot be resolved, trying on"`:       1,
			`level=WARN msg="LOOKUPD(nowhere:4160): the name still cannot be resolved, trying on"`: 6,
			`level=WARN msg="LOOKUPD(half:4160)`:                                                   0,
		} {
			if n := strings.Count(log.String(), line); n != want {
				t.Errorf("%q is there %d times, want %d", line, n, want)
			}
		}

		ln.put("10.0.0.3:4160", (&fakeLookupd{name: "late"}).listen())
		pass(3 * time.Second)
		before := strings.Count(log.String(), "still cannot connect")
		pass(3 * time.Hour)
		if n := strings.Count(log.String(), "still cannot connect") - before; n != 0 {
			t.Errorf("%d more lines of one that is connected", n)
		}
	})
}
