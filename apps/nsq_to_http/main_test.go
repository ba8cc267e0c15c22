//go:build unix

package main

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, "apps/nsq_to_http") }

func TestMessagesArriveAsTheyAre(t *testing.T) {
	bodies := []string{"one", "two words & more?=%s", "\x00\xff\n", "ü", strings.Repeat("x", 100_000), `{"a":1}`}
	for name, c := range map[string]struct {
		flag, path string
		body       func(r request) string
	}{
		"POST":                        {"-post", "/path?q=1", func(r request) string { return r.body }},
		"GET":                         {"-get", "/path?q=%s", func(r request) string { return r.query.Get("q") }},
		"GET with an escaped percent": {"-get", "/path?%%71=%s&r=%20", func(r request) string { return r.query.Get("q") }},
	} {
		t.Run(name, func(t *testing.T) {
			d, s := nsqtest.Start(t, nil), newServer(t)
			sent := bodies
			if c.flag == "-get" {
				sent = slices.Concat(bodies[:4], bodies[5:]) // servers do not take a URL that long
			}
			tooltest.Publish(t, d, "t", sent...)
			p := start(t, d, c.flag+"="+s.URL+c.path)
			got := s.wait(len(sent))
			stop(t, p)
			arrived := map[string]bool{}
			for _, r := range got {
				arrived[c.body(r)] = true
				if r.method != strings.ToUpper(c.flag[1:]) || r.path != "/path" {
					t.Errorf("%s %s", r.method, r.path)
				}
			}
			for _, body := range sent {
				if !arrived[body] {
					t.Errorf("%.20q did not arrive", body)
				}
			}
			if left := drain(t, d); len(left) > 0 {
				t.Errorf("%d messages were not finished", len(left))
			}
		})
	}
}

func TestSpaceInGETIsPlus(t *testing.T) {
	d, s := nsqtest.Start(t, nil), newServer(t)
	tooltest.Publish(t, d, "t", "a b/c&d")
	start(t, d, "-get="+s.URL+"/x?m=%s")
	if got := s.wait(1)[0].rawQuery; got != "m=a+b%2Fc%26d" {
		t.Errorf("query %s", got)
	}
}

func TestHeaders(t *testing.T) {
	const post, get = "-post=URL/", "-get=URL/%s"
	for name, c := range map[string]struct {
		args []string
		want map[string][]string // nil for a header that must not be there
		host string              // "" for that of the URL
	}{
		"POST":           {[]string{post}, map[string][]string{"User-Agent": {"nsq_to_http v1.4.0"}, "Content-Type": {"application/octet-stream"}, "X-Idempotency-Key": nil}, ""},
		"GET":            {[]string{get}, map[string][]string{"User-Agent": {"nsq_to_http v1.4.0"}, "Content-Type": nil}, ""},
		"a content type": {[]string{post, "-content-type=application/json"}, map[string][]string{"Content-Type": {"application/json"}}, ""},
		"others": {[]string{post, "-header", "X-One: a:b ", "--header=x-two:c", "-header=X-Two: d", "-header=X-Empty:"},
			map[string][]string{"X-One": {"a:b"}, "X-Two": {"c", "d"}, "X-Empty": {""}}, ""},
		"ours replaced": {[]string{post, "-header=user-agent: me", "-header=Content-Type: text/plain", "-content-type=x/y"},
			map[string][]string{"User-Agent": {"me"}, "Content-Type": {"text/plain"}}, ""},
		"a host": {[]string{get, "-header=Host: www.example"}, nil, "www.example"},
	} {
		t.Run(name, func(t *testing.T) {
			d, s := nsqtest.Start(t, nil), newServer(t)
			tooltest.Publish(t, d, "t", "x")
			for i := range c.args {
				c.args[i] = strings.Replace(c.args[i], "URL", s.URL, 1)
			}
			start(t, d, c.args...)
			got := s.wait(1)[0]
			for h, want := range c.want {
				if !slices.Equal(got.header[h], want) {
					t.Errorf("%s: %q, want %q", h, got.header[h], want)
				}
			}
			want := c.host
			if want == "" {
				want = strings.TrimPrefix(s.URL, "http://")
			}
			if got.host != want {
				t.Errorf("host %s, want %s", got.host, want)
			}
		})
	}
}

// Messages that are not in the sample are finished.
func TestSample(t *testing.T) {
	const n = 500
	for sample, want := range map[float64]float64{0: 0, 0.3: 150, 1: n} {
		t.Run(fmt.Sprint(sample), func(t *testing.T) {
			d, s := nsqtest.Start(t, nil), newServer(t)
			tooltest.Publish(t, d, "t", numbers(n)...)
			p := start(t, d, "-post="+s.URL, fmt.Sprint("-sample=", sample))
			finished(t, d, n)
			stop(t, p)
			// Five times the standard deviation.
			if got := float64(len(s.all())); math.Abs(got-want) > 5*math.Sqrt(n*sample*(1-sample)) {
				t.Errorf("%v of %d messages were sent", got, n)
			}
		})
	}
}

func TestConcurrency(t *testing.T) {
	for _, n := range []int{1, 5} {
		d, s := nsqtest.Start(t, nil), newServer(t)
		release := make(chan struct{})
		s.handle(until(release))
		tooltest.Publish(t, d, "t", numbers(20)...)
		p := start(t, d, "-post="+s.URL, fmt.Sprint("-n=", n), "-max-in-flight=20")
		s.wait(n)
		nsqtest.Eventually(t, "all are in flight", func() bool { return channel(t, d).InFlight == 20 })
		if got := len(s.all()); got != n {
			t.Errorf("%d requests at a time, want %d", got, n)
		}
		close(release)
		finished(t, d, 20)
		stop(t, p)
		// One may be made just before another is free.
		if conns := s.connections(); conns > n+5 {
			t.Errorf("%d connections were made for 20 requests, want about %d", conns, n)
		}
		d.Stop()
	}
}

func TestMaxInFlight(t *testing.T) {
	d, s := nsqtest.Start(t, nil), newServer(t)
	s.handle(hang)
	tooltest.Publish(t, d, "t", numbers(20)...)
	start(t, d, "-post="+s.URL, "-max-in-flight=7", "-consumer-opt=max_in_flight,3")
	nsqtest.Eventually(t, "as many are in flight as may be", func() bool { return channel(t, d).InFlight == 7 })
	s.wait(7)
}

func TestOtherChannel(t *testing.T) {
	d, s := nsqtest.Start(t, nil), newServer(t)
	tooltest.Publish(t, d, "t", "x")
	p := start(t, d, "-post="+s.URL, "-channel=other")
	s.wait(1)
	stop(t, p)
	if left := tooltest.Drain(t, d, "t", "other"); len(left) > 0 {
		t.Errorf("these come again: %q", left)
	}
}

func TestStatusLines(t *testing.T) {
	line := func(name string, n int) *regexp.Regexp {
		return regexp.MustCompile(fmt.Sprintf(`(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[%s\]: finished %d - 99th: \d+\.\d\dms - 95th: \d+\.\d\dms - avg: \d+\.\d\dms$`, regexp.QuoteMeta(name), n))
	}
	const warning = "Warning: use more than 100 status values for accurate percentiles (configured with 10)\n"
	for name, c := range map[string]struct {
		every     int // -1: not given
		addresses int
		messages  int
		lines     map[string]int // by what is in brackets; A is the first address
		warning   bool
	}{
		"one address":       {10, 1, 25, map[string]int{"aggregate": 2, "A": 0}, true},
		"several addresses": {10, 2, 40, map[string]int{"aggregate": 4, "A": 2}, true},
		"the default":       {-1, 1, 500, map[string]int{"aggregate": 2}, false},
		"off":               {0, 2, 300, map[string]int{"aggregate": 0, "A": 0}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d, s := nsqtest.Start(t, nil), newServer(t)
			args := []string{"-mode=round-robin"}
			for i := range c.addresses {
				args = append(args, fmt.Sprintf("-post=http://u:secret@%s/%d", strings.TrimPrefix(s.URL, "http://"), i))
			}
			every := 250
			if c.every >= 0 {
				every = c.every
				args = append(args, fmt.Sprint("-status-every=", c.every))
			}
			tooltest.Publish(t, d, "t", numbers(c.messages)...)
			p := start(t, d, args...)
			finished(t, d, uint64(c.messages))
			said := stop(t, p).Stderr
			for name, want := range c.lines {
				if name == "A" {
					name = "http://u:xxxxx@" + strings.TrimPrefix(s.URL, "http://") + "/0"
				}
				if got := len(line(name, every).FindAllString(said, -1)); got != want {
					t.Errorf("%d lines of %s, want %d, stderr:\n%s", got, name, want, said)
				}
			}
			if got := strings.Count(said, warning); got != map[bool]int{true: 1}[c.warning] {
				t.Errorf("%d warnings, stderr:\n%s", got, said)
			}
		})
	}
}

func TestVersionAndHelp(t *testing.T) {
	help := tooltest.CheckVersionAndHelp(t, "nsq_to_http", "channel", "consumer-opt", "content-type", "get", "header", "http-client-connect-timeout", "http-client-request-timeout", "lookupd-http-address", "max-in-flight", "mode", "n", "nsqd-tcp-address", "post", "sample", "status-every", "topic")
	defaults := `"nsq_to_http" "application/octet-stream" 2s 20s 200 "hostpool" 100 1 250`
	for _, value := range strings.Fields(defaults) {
		if !strings.Contains(help, "(default "+value+")") {
			t.Errorf("-h does not show the default %s", value)
		}
	}
}

func TestWrongFlagsExitWith2(t *testing.T) {
	tooltest.CheckWrongFlags(t, "nsq_to_http", map[string]string{
		"flag provided but not defined: -x":                                    "-x",
		`invalid value "x" for flag -n: parse error`:                           "-n=x",
		`invalid value "x" for flag -max-in-flight: parse error`:               "-max-in-flight=x",
		`invalid value "x" for flag -sample: parse error`:                      "-sample=x",
		`invalid value "x" for flag -status-every: parse error`:                "-status-every=x",
		`invalid value "5" for flag -http-client-request-timeout: parse error`: "-http-client-request-timeout=5",
		`invalid value "x,1" for flag -consumer-opt: invalid option x`:         "-consumer-opt=x,1",
		"flag needs an argument: -topic":                                       "-topic",
	})
}

func TestFailuresExitWith1(t *testing.T) {
	d := nsqtest.Start(t, nil)
	here, nowhere := "-nsqd-tcp-address="+d.TCPAddr(), nsqtest.ClosedPort(t)
	const lookupd, topic, post, get = "-lookupd-http-address=127.0.0.1:4161", "-topic=t", "-post=http://127.0.0.1:1", "-get=http://127.0.0.1:1/%s"
	const format, header, printf = `--header value format should be 'key=value'`, "-header", `invalid GET address - must be a printf string`
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{here, post}, `--topic and --channel are required`},
		{[]string{topic, "-channel=", here, post}, `--topic and --channel are required`},
		{[]string{topic, post}, `--nsqd-tcp-address or --lookupd-http-address required`},
		{[]string{topic, post, here, lookupd}, `use --nsqd-tcp-address or --lookupd-http-address not both`},
		{[]string{topic, here}, `--get or --post required`},
		{[]string{topic, here, get, post}, `use --get or --post not both`},
		{[]string{topic, here, get, "-content-type=a/b"}, `--content-type only used with --post`},
		{[]string{topic, here, get, "-content-type=application/octet-stream"}, `--content-type only used with --post`},
		{[]string{topic, here, post, "-content-type="}, `--content-type requires a value when used`},
		{[]string{topic, here, "-get=http://127.0.0.1:1"}, printf},
		{[]string{topic, here, "-get=http://127.0.0.1:1/%s/%s"}, printf},
		{[]string{topic, here, "-get=http://127.0.0.1:1/%%s"}, printf},
		{[]string{topic, here, get, "-get=http://127.0.0.1:1/%d"}, printf},
		{[]string{topic, here, "-get=127.0.0.1/%s"}, `--get "127.0.0.1/%s": must begin with http:// or https:// and a host`},
		{[]string{topic, here, "-post=ftp://u:p@127.0.0.1/"}, `--post "ftp://u:xxxxx@127.0.0.1/": must begin with http:// or https:// and a host`},
		{[]string{topic, here, "-post=http://127.0.0.1:x"}, `--post "http://127.0.0.1:x": invalid port ":x" after host`},
		{[]string{topic, here, post, header, "X"}, format},
		{[]string{topic, here, post, header, ": x"}, format},
		{[]string{topic, here, post, header, "X Y: x"}, format},
		{[]string{topic, here, post, header, "X: a\nY: b"}, format},
		{[]string{topic, here, post, "-sample=1.01"}, `ERROR: --sample must be between 0.0 and 1.0`},
		{[]string{topic, here, post, "-sample=-0.1"}, `ERROR: --sample must be between 0.0 and 1.0`},
		{[]string{topic, here, post, "-sample=NaN"}, `ERROR: --sample must be between 0.0 and 1.0`},
		{[]string{topic, here, post, "-mode=fastest"}, `unknown mode "fastest": must be one of round-robin, hostpool, epsilon-greedy, all`},
		{[]string{topic, here, post, "-n=0"}, `--n must be at least 1`},
		{[]string{topic, here, post, "-max-in-flight=0"}, `--max-in-flight must be at least 1`},
		{[]string{topic, here, post, "-status-every=-1"}, `--status-every must not be below 0`},
		{[]string{topic, here, post, "-http-client-connect-timeout=0"}, `--http-client-connect-timeout should be positive`},
		{[]string{topic, here, post, "-http-client-request-timeout=0"}, `--http-client-request-timeout should be positive`},
		{[]string{topic, here, post, "x"}, `unknown arguments: [x]`},
		{[]string{"-topic=bad$", here, post}, `invalid topic name`},
		{[]string{topic, "-channel=bad$", here, post}, `invalid channel name`},
		{[]string{topic, post, here, "-nsqd-tcp-address=" + nowhere}, `dial tcp ` + nowhere},
	} {
		r := tooltest.Run(t, nil, "nsq_to_http", c.args...)
		if got := r.LastLine(); r.Code != 1 || r.Stdout != "" || got != c.want && !strings.HasPrefix(got, c.want+": ") {
			t.Errorf("%q: exit code %d, stdout %q, error %q, want %q", c.args, r.Code, r.Stdout, got, c.want)
		}
	}
}

func TestIdentity(t *testing.T) {
	said := tooltest.Identify(t, "nsq_to_http", "-topic=t", "-post=http://127.0.0.1:1", "-consumer-opt=client_id,me", "-consumer-opt=user_agent,x")
	if said["user_agent"] != "nsq_to_http/1.4.0 go-nsq/1.4.0" || said["client_id"] != "me" {
		t.Errorf("nsq_to_http called itself %v", said)
	}
}

func TestLookupd(t *testing.T) {
	l := nsqtest.StartLookupd(t, nil)
	opts := nsqtest.Options(t)
	opts.LookupdTCPAddresses = []string{l.TCPAddr()}
	d, s := nsqtest.Start(t, opts), newServer(t)
	tooltest.Publish(t, d, "t", "one")
	p := tooltest.Start(t, "nsq_to_http", "-topic=t", "-post="+s.URL, "-lookupd-http-address="+l.HTTPAddr(), "-lookupd-http-address="+nsqtest.ClosedPort(t))
	if got := s.wait(1)[0].body; got != "one" {
		t.Errorf("got %q", got)
	}
	stop(t, p)
}

// Which of several servers gets a message.
func TestModes(t *testing.T) {
	const n = 150
	for name, c := range map[string]struct {
		args []string
		ok   func(counts []int) bool
	}{
		"round-robin":    {[]string{"-mode=round-robin"}, func(c []int) bool { return slices.Equal(c, []int{n / 3, n / 3, n / 3}) }},
		"hostpool":       {nil, func(c []int) bool { return slices.Equal(c, []int{n / 3, n / 3, n / 3}) }},
		"epsilon-greedy": {[]string{"-mode=epsilon-greedy", "-n=1"}, func(c []int) bool { return c[0] > 2*c[2] && c[1] > 2*c[2] && c[0]+c[1]+c[2] == n }},
		"all":            {[]string{"-mode=all"}, func(c []int) bool { return slices.Equal(c, []int{n, n, n}) }},
	} {
		t.Run(name, func(t *testing.T) {
			d := nsqtest.Start(t, nil)
			var servers []*server
			args := c.args
			for range 3 {
				servers = append(servers, newServer(t))
				args = append(args, "-post="+servers[len(servers)-1].URL)
			}
			if name == "epsilon-greedy" {
				servers[2].handle(slow)
			}
			tooltest.Publish(t, d, "t", numbers(n)...)
			p := start(t, d, args...)
			finished(t, d, n)
			stop(t, p)
			var counts []int
			for _, s := range servers {
				counts = append(counts, len(s.all()))
			}
			if !c.ok(counts) {
				t.Errorf("the servers got %v of %d messages", counts, n)
			}
		})
	}
}

// The first message goes to the second server.
func TestRoundRobinStartsWithTheSecond(t *testing.T) {
	d, first, second := nsqtest.Start(t, nil), newServer(t), newServer(t)
	start(t, d, "-mode=round-robin", "-get="+first.URL+"/%s", "-get="+second.URL+"/%s")
	tooltest.Publish(t, d, "t", "1")
	second.wait(1)
	tooltest.Publish(t, d, "t", "2")
	first.wait(1)
}

// A server that fails is left alone while others work, and no message is lost.
func TestHostpoolLeavesOutWhatFails(t *testing.T) {
	for _, mode := range []string{"hostpool", "epsilon-greedy"} {
		d, good, bad := nsqtest.Start(t, nil), newServer(t), newServer(t)
		bad.handle(answer(http.StatusInternalServerError))
		bodies := numbers(50)
		tooltest.Publish(t, d, "t", bodies...)
		p := start(t, d, append(slices.Clone(retrySoon), "-mode="+mode, "-n=1", "-post="+good.URL, "-post="+bad.URL)...)
		finished(t, d, uint64(len(bodies)))
		stop(t, p)
		if got := len(bad.all()); got != 1 {
			t.Errorf("%s: the server that fails got %d requests, want one in 30 seconds", mode, got)
		}
		if got := good.bodies(); !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(slices.Values(bodies))) {
			t.Errorf("%s: the other got %d of %d messages", mode, len(got), len(bodies))
		}
		d.Stop()
	}
}

// In the mode all, a message comes again as a whole if one server did not take it.
func TestAllRepeatsForEverybody(t *testing.T) {
	d, good, bad := nsqtest.Start(t, nil), newServer(t), newServer(t)
	bad.handle(failFirst(1, http.StatusServiceUnavailable))
	tooltest.Publish(t, d, "t", "x")
	p := start(t, d, append(slices.Clone(retrySoon), "-mode=all", "-post="+good.URL, "-post="+bad.URL)...)
	finished(t, d, 1)
	stop(t, p)
	if g, b := len(good.all()), len(bad.all()); g != 2 || b != 2 {
		t.Errorf("%d and %d requests, want 2 each", g, b)
	}
}
