package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, "apps/nsq_to_nsq", "apps/nsqd") }

// forwarding starts the program between brokers.
func forwarding(t *testing.T, from tooltest.Broker, to []tooltest.Broker, args ...string) *tooltest.Process {
	t.Helper()
	args = append(args, "--nsqd-tcp-address="+from.TCPAddr())
	for _, d := range to {
		args = append(args, "--destination-nsqd-tcp-address="+d.TCPAddr())
	}
	return tooltest.Start(t, "nsq_to_nsq", args...)
}

// numbers returns n messages.
func numbers(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("message %05d", i))
	}
	return all
}

func TestForwarding(t *testing.T) {
	for name, c := range map[string]struct {
		args      []string
		published []string
		want      []string
	}{
		"bodies as they are": {nil, []string{"one", "\x00\xff", "{}", strings.Repeat("x", 100_000)}, []string{"one", "\x00\xff", "{}", strings.Repeat("x", 100_000)}},
		"with a field": {[]string{"-require-json-field=f"},
			[]string{`{"f":1}`, `{"g":1}`, `no JSON`, `{ "f" : null }`}, []string{`{"f":1}`, `{ "f" : null }`}},
		"with a value": {[]string{"--require-json-field=f", "--require-json-value=10"},
			[]string{`{"f":10}`, `{"f":10.0}`, `{"f":"10"}`, `{"f":11}`, `{"f":[10]}`, `[]`}, []string{`{"f":10}`, `{"f":10.0}`, `{"f":"10"}`}},
		"some fields": {[]string{"-whitelist-json-field=b", "-whitelist-json-field", "a"},
			[]string{`{"c":1,"b":1e3,"a":"<"}`, `{"a":12345678901234567890}`, `{}`}, []string{`{"a":"\u003c","b":1000}`, `{"a":12345678901234567890}`, `{}`}},
		"some fields of those with a value": {[]string{"-whitelist-json-field=a", "-require-json-field=f", "-require-json-value=x"},
			[]string{`{"a":1,"f":"x"}`, `{"a":2,"f":"y"}`}, []string{`{"a":1}`}},
		"with other options": {[]string{"-consumer-opt=msg_timeout,5s", "-producer-opt=snappy", "-max-in-flight=2", "-channel=c", "-status-every=0"},
			[]string{"one", "two", "three"}, []string{"one", "two", "three"}},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := nsqtest.Start(t, nil), nsqtest.Start(t, nil)
			tooltest.Publish(t, from, "t", c.published...)
			forwarding(t, from, []tooltest.Broker{to}, append(c.args, "-topic=t")...)
			got := tooltest.Receive(t, to, "t", "c", len(c.want))
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if more := tooltest.Drain(t, to, "t", "c"); len(more) > 0 {
				t.Errorf("more than that: %q", more)
			}
		})
	}
}

func TestBodyThatIsNoJSONIsLogged(t *testing.T) {
	from, to := nsqtest.Start(t, nil), nsqtest.Start(t, nil)
	p := forwarding(t, from, []tooltest.Broker{to}, "-topic=t", "-whitelist-json-field=f")
	tooltest.Publish(t, from, "t", "two\nlines", strings.Repeat("x", 1000))
	for _, want := range []string{` ERROR: Unable to decode json: "two\nlines"` + "\n", ` ERROR: Unable to decode json: "` + strings.Repeat("x", 200) + `"... (1000 bytes)` + "\n"} {
		nsqtest.Eventually(t, want, func() bool { return strings.Contains(p.Errors.String(), want) })
	}
	eventuallyEmpty(t, from, "t", "nsq_to_nsq")
}

// A message without the field whose value is asked for comes again.
func TestMissingFieldIsRequeued(t *testing.T) {
	from, to := nsqtest.Start(t, nil), nsqtest.Start(t, nil)
	p := forwarding(t, from, []tooltest.Broker{to}, "-topic=t", "-require-json-field=f", "-require-json-value=1",
		"-consumer-opt=default_requeue_delay,0s", "-consumer-opt=max_attempts,2", "-consumer-opt=max_backoff_duration,0s")
	tooltest.Publish(t, from, "t", `{"g":1}`)
	const want = `the field of --require-json-field is missing: "f"`
	nsqtest.Eventually(t, "two attempts", func() bool { return strings.Count(p.Errors.String(), want) == 2 })
	eventuallyEmpty(t, from, "t", "nsq_to_nsq")
}

func TestTopics(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want map[string][]string // by topic
	}{
		"of their own": {nil, map[string][]string{"a": {"from a"}, "b": {"from b"}}},
		"one for all":  {[]string{"-destination-topic=z"}, map[string][]string{"z": {"from a", "from b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := nsqtest.Start(t, nil), nsqtest.Start(t, nil)
			tooltest.Publish(t, from, "a", "from a")
			tooltest.Publish(t, from, "b", "from b")
			forwarding(t, from, []tooltest.Broker{to}, append(c.args, "-topic=a", "-topic=b", "-topic=a")...)
			for topic, want := range c.want {
				got := tooltest.Receive(t, to, topic, "c", len(want))
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("topic %s has %q, want %q", topic, got, want)
				}
			}
		})
	}
}

func TestModes(t *testing.T) {
	bodies := numbers(30)
	for mode, want := range map[string][]string{
		"round-robin":    {"10", "10", "10"},
		"hostpool":       {"10", "10", "10"},
		"epsilon-greedy": nil, // by chance
		"all":            {"30", "30", "30"},
	} {
		t.Run(mode, func(t *testing.T) {
			from := nsqtest.Start(t, nil)
			var to []tooltest.Broker
			for range 3 {
				to = append(to, nsqtest.Start(t, nil))
			}
			tooltest.Publish(t, from, "t", bodies...)
			p := forwarding(t, from, to, "-topic=t", "-mode="+mode)
			eventuallyEmpty(t, from, "t", "nsq_to_nsq")
			var counts, all []string
			for _, d := range to {
				got := tooltest.Drain(t, d, "t", "c")
				counts = append(counts, fmt.Sprint(len(got)))
				all = append(all, got...)
			}
			slices.Sort(all)
			if want != nil && !slices.Equal(counts, want) {
				t.Errorf("the destinations have %s messages, want %s", counts, want)
			}
			if all = slices.Compact(all); !slices.Equal(all, bodies) {
				t.Errorf("%d messages arrived, want %d, stderr:\n%s", len(all), len(bodies), p.Errors.String())
			}
		})
	}
}

func TestManyMessages(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 100_000
	from := nsqtest.Start(t, opts)
	opts = nsqtest.Options(t)
	opts.MemQueueSize = 100_000
	to := nsqtest.Start(t, opts)
	bodies := numbers(10_000)
	tooltest.Publish(t, from, "t", bodies...)
	p := forwarding(t, from, []tooltest.Broker{to}, "-topic=t", "-max-in-flight=1000", "-status-every=5000")
	eventuallyEmpty(t, from, "t", "nsq_to_nsq")
	if got := tooltest.Drain(t, to, "t", "c"); !slices.Equal(got, bodies) {
		t.Errorf("%d messages arrived, or in another order, want %d", len(got), len(bodies))
	}
	if n := strings.Count(p.Errors.String(), "[aggregate]: finished 5000 - 99th: "); n != 2 {
		t.Errorf("%d status lines, want 2, stderr:\n%s", n, p.Errors.String())
	}
}

func TestStatusOfEachDestination(t *testing.T) {
	from, a, b := nsqtest.Start(t, nil), nsqtest.Start(t, nil), nsqtest.Start(t, nil)
	tooltest.Publish(t, from, "t", numbers(200)...)
	p := forwarding(t, from, []tooltest.Broker{a, b}, "-topic=t", "-mode=all", "-status-every=200")
	for _, d := range []*nsqtest.NSQD{a, b} {
		want := regexp.MustCompile(`(?m) \[` + d.TCPAddr() + `\]: finished 200 - 99th: \d+\.\d\dms - 95th: \d+\.\d\dms - avg: \d+\.\d\dms$`)
		nsqtest.Eventually(t, want.String(), func() bool { return want.MatchString(p.Errors.String()) })
	}
}

func TestLookupd(t *testing.T) {
	lookupd := nsqtest.StartLookupd(t, nil)
	opts := nsqtest.Options(t)
	opts.LookupdTCPAddresses = []string{lookupd.TCPAddr()}
	from, to := nsqtest.Start(t, opts), nsqtest.Start(t, nil)
	tooltest.Publish(t, from, "t", "one")
	tooltest.Start(t, "nsq_to_nsq", "-topic=t", "-lookupd-http-address="+lookupd.HTTPAddr(), "-destination-nsqd-tcp-address="+to.TCPAddr())
	if got := tooltest.Receive(t, to, "t", "c", 1); got[0] != "one" {
		t.Errorf("got %q, want one", got)
	}
}

func TestVersionAndHelp(t *testing.T) {
	tooltest.CheckVersionAndHelp(t, "nsq_to_nsq", "channel", "consumer-opt", "destination-nsqd-tcp-address", "destination-topic", "lookupd-http-address", "max-in-flight", "mode", "nsqd-tcp-address", "producer-opt", "require-json-field", "require-json-value", "status-every", "topic", "whitelist-json-field")
}

func TestWrongFlagsExitWith2(t *testing.T) {
	tooltest.CheckWrongFlags(t, "nsq_to_nsq", map[string]string{
		"flag provided but not defined: -x":                                "-x",
		`invalid value "x" for flag -max-in-flight: parse error`:           "-max-in-flight=x",
		`invalid value "x" for flag -status-every: parse error`:            "-status-every=x",
		`invalid value "x,1" for flag -consumer-opt: invalid option x`:     "-consumer-opt=x,1",
		`invalid value "snappy,maybe" for flag -producer-opt: failed to c`: "-producer-opt=snappy,maybe",
		"flag needs an argument: -topic":                                   "-topic",
	})
}

func TestFailuresExitWith1(t *testing.T) {
	d := nsqtest.Start(t, nil)
	here, nowhere, to := "-nsqd-tcp-address="+d.TCPAddr(), nsqtest.ClosedPort(t), "-destination-nsqd-tcp-address="+d.TCPAddr()
	const topic, lookupd = "-topic=t", "-lookupd-http-address=127.0.0.1:4161"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{here, to}, `--topic and --channel are required`},
		{[]string{topic, "-channel=", here, to}, `--topic and --channel are required`},
		{[]string{topic, "-topic=bad$", here, to}, `--topic is invalid`},
		{[]string{topic, "-channel=bad$", here, to}, `--channel is invalid`},
		{[]string{topic, "-destination-topic=bad$", here, to}, `--destination-topic is invalid`},
		{[]string{topic, to}, `--nsqd-tcp-address or --lookupd-http-address required`},
		{[]string{topic, here, lookupd, to}, `use --nsqd-tcp-address or --lookupd-http-address not both`},
		{[]string{topic, here}, `--destination-nsqd-tcp-address required`},
		{[]string{topic, here, to, "-destination-nsqd-tcp-address=localhost"}, `--destination-nsqd-tcp-address: address localhost: missing port in address`},
		{[]string{topic, here, to, "-mode=some"}, `unknown mode "some": must be one of round-robin, hostpool, epsilon-greedy, all`},
		{[]string{topic, here, to, "-max-in-flight=0"}, `--max-in-flight must be at least 1`},
		{[]string{topic, here, to, "-status-every=-1"}, `--status-every must not be below 0`},
		{[]string{topic, here, to, "-require-json-value=1"}, `--require-json-value needs --require-json-field`},
		{[]string{topic, here, to, "x"}, `unknown arguments: \[x\]`},
		{[]string{topic, here, to, "-consumer-opt=heartbeat_interval,2m"}, `HeartbeatInterval 2m0s must be less than ReadTimeout 1m0s`},
		{[]string{topic, here, to, "-producer-opt=heartbeat_interval,2m"}, `HeartbeatInterval 2m0s must be less than ReadTimeout 1m0s`},
		{[]string{topic, to, here, "-nsqd-tcp-address=" + nowhere}, `dial tcp ` + nowhere + `: .*`},
	} {
		r := tooltest.Run(t, nil, "nsq_to_nsq", c.args...)
		if got := r.LastLine(); r.Code != 1 || r.Stdout != "" || !regexp.MustCompile("^"+c.want+"$").MatchString(got) {
			t.Errorf("%q: exit code %d, stdout %q, error %q, want %q", c.args, r.Code, r.Stdout, got, c.want)
		}
	}
}

// What a topic is taken from should not be where it is published to.
func TestLoopsAreWarnedOf(t *testing.T) {
	d := nsqtest.Start(t, nil)
	tooltest.Publish(t, d, "t", "one")
	p := forwarding(t, d, []tooltest.Broker{d}, "-topic=t", "-destination-topic=u")
	tooltest.Receive(t, d, "u", "c", 1)
	if got := p.Errors.String(); strings.Contains(got, "Warning") {
		t.Errorf("from one topic to another, stderr says:\n%s", got)
	}
	p = forwarding(t, d, []tooltest.Broker{d}, "-topic=v", "-topic=u", "-destination-topic=u")
	want := "Warning: nsqd " + d.TCPAddr() + " is source and destination of topic u: "
	nsqtest.Eventually(t, want, func() bool { return strings.Contains(p.Errors.String(), want) })
	if strings.Contains(p.Errors.String(), "of topic v") {
		t.Errorf("stderr warns of another topic:\n%s", p.Errors.String())
	}
}

func TestIdentity(t *testing.T) {
	said := tooltest.Identify(t, "nsq_to_nsq", "-topic=t", "-destination-nsqd-tcp-address="+nsqtest.ClosedPort(t), "-consumer-opt=client_id,me", "-consumer-opt=user_agent,x")
	if said["user_agent"] != "nsq_to_nsq/1.4.0 go-nsq/1.4.0" || said["client_id"] != "me" {
		t.Errorf("the consumer called itself %v", said)
	}
}

func TestIdentityAtDestinations(t *testing.T) {
	from, fake := nsqtest.Start(t, nil), nsqtest.NewFake(t)
	tooltest.Publish(t, from, "t", "one")
	tooltest.Start(t, "nsq_to_nsq", "-topic=t", "-nsqd-tcp-address="+from.TCPAddr(), "-destination-nsqd-tcp-address="+fake.Addr,
		"-producer-opt=client_id,me", "-producer-opt=user_agent,x")
	c := fake.Raw()
	c.Magic()
	line, body := c.Next()
	var said map[string]any
	if err := json.Unmarshal(body, &said); err != nil || line != "IDENTIFY" {
		t.Fatalf("%s %q, %v", line, body, err)
	}
	if said["user_agent"] != "nsq_to_nsq/1.4.0 go-nsq/1.4.0" || said["client_id"] != "me" {
		t.Errorf("the producer called itself %v", said)
	}
}
