package main

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsq"
)

func TestMain(m *testing.M) { tooltest.Main(m, "apps/to_nsq") }

// toNSQ runs the program against brokers.
func toNSQ(t *testing.T, stdin string, brokers []*nsqtest.NSQD, args ...string) tooltest.Result {
	t.Helper()
	for _, d := range brokers {
		args = append(args, "--nsqd-tcp-address="+d.TCPAddr())
	}
	return tooltest.Run(t, strings.NewReader(stdin), "to_nsq", args...)
}

// messages returns all messages of a topic whose only channel is "test".
func messages(t *testing.T, d *nsqtest.NSQD, topic string) []string {
	t.Helper()
	return tooltest.Drain(t, d, topic, "test")
}

func TestEveryDestinationGetsEveryRecord(t *testing.T) {
	for name, c := range map[string]struct {
		input string
		args  []string
		want  []string
	}{
		"lines":                        {"one\ntwo\nthree\n", nil, []string{"one", "two", "three"}},
		"no newline at the end":        {"xyz", nil, []string{"xyz"}},
		"one byte at the end":          {"one\n2", nil, []string{"one", "2"}},
		"empty lines are left out":     {"\n\none\n\ntwo\n\n", nil, []string{"one", "two"}},
		"a delimiter and a newline":    {"one,two,three\n", []string{"--delimiter=,"}, []string{"one", "two", "three"}},
		"lines separated by something": {"one\n,two\n", []string{"-delimiter", ","}, []string{"one\n", "two"}},
		"nothing":                      {"", nil, nil},
		"a rate":                       {"one\ntwo\n", []string{"--rate=1000"}, []string{"one", "two"}},
		"no rate":                      {"one\ntwo\n", []string{"--rate=0"}, []string{"one", "two"}},
		"a rate below 0":               {"one\ntwo\n", []string{"--rate=-1"}, []string{"one", "two"}},
		"an option of the library":     {"one\n", []string{"--producer-opt=client_id,me", "--producer-opt", "dial-timeout,5s"}, []string{"one"}},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := nsqtest.Start(t, nil), nsqtest.Start(t, nil)
			defer first.Stop() // both, before one of them is checked for what it leaves behind
			defer second.Stop()
			brokers := []*nsqtest.NSQD{first, second, first} // who is given twice gets everything once
			r := toNSQ(t, c.input, brokers, append(c.args, "--topic=orders")...)
			if r.Code != 0 || r.Stdout != "" {
				t.Errorf("exit code %d, stdout %q, stderr:\n%s", r.Code, r.Stdout, r.Stderr)
			}
			for _, d := range brokers[:2] {
				if got := messages(t, d, "orders"); !slices.Equal(got, c.want) {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}
		})
	}
}

func TestManyRecordsStayInOrder(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 100_000
	d := nsqtest.Start(t, opts)
	var input strings.Builder
	var want []string
	for i := range 50_000 {
		record := fmt.Sprintf("%d %s", i, strings.Repeat("x", i%300))
		want = append(want, record)
		fmt.Fprintln(&input, record)
	}
	if r := toNSQ(t, input.String(), []*nsqtest.NSQD{d}, "--topic=many"); r.Code != 0 {
		t.Fatalf("exit code %d, stderr:\n%s", r.Code, r.Stderr)
	}
	if got := messages(t, d, "many"); !slices.Equal(got, want) {
		t.Errorf("%d records arrived as %d messages, or in another order", len(want), len(got))
	}
}

func TestRate(t *testing.T) {
	d := nsqtest.Start(t, nil)
	start := time.Now()
	r := toNSQ(t, strings.Repeat("x\n", 21), []*nsqtest.NSQD{d}, "--topic=slow", "--rate=20")
	if took := time.Since(start); took < time.Second {
		t.Errorf("21 messages at 20 a second took %v", took)
	}
	if r.Code != 0 || !strings.Contains(r.Stderr, "Throttling messages rate to max:20/second\n") {
		t.Errorf("exit code %d, stderr:\n%s", r.Code, r.Stderr)
	}
	if got := len(messages(t, d, "slow")); got != 21 {
		t.Errorf("%d messages, want 21", got)
	}
}

func TestVersionAndHelp(t *testing.T) {
	help := tooltest.CheckVersionAndHelp(t, "to_nsq", "delimiter", "nsqd-tcp-address", "producer-opt", "progress", "rate", "topic")
	if want := `as in --delimiter=, or --delimiter=$'\t'; empty messages are skipped`; !strings.Contains(help, want) {
		t.Errorf("-h does not say %q:\n%s", want, help)
	}
}

func TestWrongFlagsExitWith2(t *testing.T) {
	tooltest.CheckWrongFlags(t, "to_nsq", map[string]string{
		"flag provided but not defined: -x":                                    "-x",
		`invalid value "x" for flag -rate: parse error`:                        "-rate=x",
		`invalid value "x,1" for flag -producer-opt: invalid option x`:         "-producer-opt=x,1",
		`invalid value "dial_timeout,5" for flag -producer-opt: failed to coe`: "-producer-opt=dial_timeout,5",
		"flag needs an argument: -topic":                                       "-topic",
	})
}

func TestFailuresExitWith1(t *testing.T) {
	d := nsqtest.Start(t, nil)
	here, nowhere := "-nsqd-tcp-address="+d.TCPAddr(), nsqtest.ClosedPort(t)
	for _, c := range []struct {
		args  []string
		input string
		want  string
	}{
		{[]string{here}, "", `--topic required`},
		{[]string{"-topic=t"}, "", `--nsqd-tcp-address required`},
		{[]string{"-topic=t", here, `-delimiter=\n`}, "", `--delimiter must be a single byte`},
		{[]string{"-topic=t", here, `-delimiter=`}, "", `--delimiter must be a single byte`},
		{[]string{"-topic=t", here, `-delimiter=é`}, "", `--delimiter must be a single byte`},
		{[]string{"-topic=t", here, "-producer-opt=heartbeat_interval,2m"}, "", `HeartbeatInterval 2m0s must be less than ReadTimeout 1m0s`},
		{[]string{"-topic=t", here, "-nsqd-tcp-address=" + nowhere}, "a\n", `failed to connect to nsqd ` + nowhere + ` - dial tcp ` + nowhere + `: .*`},
		{[]string{"-topic=bad$", here}, "a\nb\n", `failed to publish record 1 to nsqd ` + d.TCPAddr() + ` - E_BAD_TOPIC PUB topic name "bad\$" is not valid; 1 record was not confirmed: nsqd has everything before record 1 and nothing after record 1`},
		{[]string{"-topic=big", here}, "a\n\n" + strings.Repeat("x", 5<<20) + "\nb\n", `failed to publish record 3 to nsqd ` + d.TCPAddr() + ` - E_BAD_MESSAGE PUB message too big 5242880 > 1048576; 1 record was not confirmed: nsqd has everything before record 3 and nothing after record 3`},
	} {
		r := tooltest.Run(t, strings.NewReader(c.input), "to_nsq", c.args...)
		if got := r.LastLine(); r.Code != 1 || r.Stdout != "" || !regexp.MustCompile("^"+c.want+"$").MatchString(got) {
			t.Errorf("%q: exit code %d, stdout %q, error %q, want %q", c.args, r.Code, r.Stdout, got, c.want)
		}
	}
	if got := messages(t, d, "t"); len(got) != 0 {
		t.Errorf("a message was published before all nsqds were reached: %q", got)
	}
	if got := messages(t, d, "big"); !slices.Equal(got, []string{"a"}) {
		t.Errorf("the messages before the large one: %.100q, want a", got)
	}
}

// Records travel together, but it is one of them that nsqd does not like.
func TestRecordsBeforeTheRefusedOneArePublished(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MaxMsgSize = 30
	d := nsqtest.Start(t, opts)
	r := toNSQ(t, "one\ntwo\n"+strings.Repeat("x", 31)+"\nfour\n", []*nsqtest.NSQD{d}, "--topic=t")
	want := "failed to publish record 3 to nsqd " + d.TCPAddr() + " - E_BAD_MESSAGE PUB message too big 31 > 30; 1 record was not confirmed: nsqd has everything before record 3 and nothing after record 3"
	if r.Code != 1 || r.LastLine() != want {
		t.Errorf("exit code %d, error %q, want %q", r.Code, r.LastLine(), want)
	}
	if got := messages(t, d, "t"); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("got %q, want one and two", got)
	}
}

func TestRecordsAreFineThoughTogetherTheyAreTooMany(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MaxBodySize = 1000
	d := nsqtest.Start(t, opts)
	var want []string
	for i := range 1000 {
		want = append(want, fmt.Sprintf("record %d", i))
	}
	r := toNSQ(t, strings.Join(want, "\n"), []*nsqtest.NSQD{d}, "--topic=t")
	if r.Code != 0 || strings.Count(r.Stderr, "E_BAD_BODY") != 1 {
		t.Errorf("exit code %d, stderr:\n%s", r.Code, r.Stderr)
	}
	if got := messages(t, d, "t"); !slices.Equal(got, want) {
		t.Errorf("%d records arrived as %d messages, or in another order", len(want), len(got))
	}
}

// What comes after records that were not confirmed stays unpublished, though
// nsqd can be reached again at once.
func TestNothingIsPublishedBehindAFailure(t *testing.T) {
	for name, c := range map[string]struct {
		answer answer
		want   string
	}{
		"nsqd hangs up":     {hangUp, "not connected"},
		"nsqd has no space": {answer(wire.MPubFailed + " MPUB failed no space"), "E_MPUB_FAILED MPUB failed no space"},
	} {
		t.Run(name, func(t *testing.T) {
			f := startFake(t)
			p := tooltest.Start(t, "to_nsq", "-topic=t", "-nsqd-tcp-address="+f.addr)
			p.Type("one\n")
			f.expect("one")
			f.answers <- wire.OK
			p.Type("two\nthree\n")
			f.expect("two", "three")
			p.Type("four\nfive\n")
			f.answers <- c.answer
			r := p.End()
			want := "failed to publish records 2 to 3 to nsqd " + f.addr + " - " + c.want + "; 2 records were not confirmed: nsqd has everything before record 2 and nothing after record 3"
			if r.Code != 1 || r.LastLine() != want {
				t.Errorf("exit code %d, error %q, want %q", r.Code, r.LastLine(), want)
			}
			f.stop()
			for bodies := range f.published {
				t.Errorf("%q was published", bodies)
			}
		})
	}
}

func TestLostConnectionExitsWith1(t *testing.T) {
	d := nsqtest.Start(t, nil)
	p := tooltest.Start(t, "to_nsq", "-topic=t", "-nsqd-tcp-address="+d.TCPAddr())
	p.Type("one\n")
	tooltest.Receive(t, d, "t", "test", 1)
	d.Stop()
	go func() {
		_, _ = io.Copy(p.Input, endless{}) // until the program has noticed
	}()
	r := p.End()
	want := `^failed to publish records? .* to nsqd ` + d.TCPAddr() + ` - (not connected|dial tcp .*); \d+ records? w.* not confirmed: nsqd has everything before record \d+ and nothing after record \d+$`
	if got := r.LastLine(); r.Code != 1 || !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("exit code %d, error %q, want %q", r.Code, got, want)
	}
}

// What to_nsq says when nsqd goes away is enough to publish all of the input.
func TestGoesOnWhereItSaidAfterARestart(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 100_000
	d := nsqtest.Start(t, opts)
	p := tooltest.Start(t, "to_nsq", "-topic=t", "-rate=10000", "-nsqd-tcp-address="+d.TCPAddr())
	go func() {
		for i := 1; ; i++ {
			if _, err := fmt.Fprintln(p.Input, i); err != nil {
				return
			}
		}
	}()
	arrived := map[string]int{}
	for _, body := range tooltest.Receive(t, d, "t", "c", 100) {
		arrived[body]++
	}
	d = d.Restart()
	r := p.End()
	said := regexp.MustCompile(`; (\d+) records? w.* not confirmed: nsqd has everything before record (\d+) and nothing after record (\d+)$`).FindStringSubmatch(r.LastLine())
	if r.Code != 1 || said == nil {
		t.Fatalf("exit code %d, stderr:\n%s", r.Code, r.Stderr)
	}
	var unconfirmed, from, to int
	if _, err := fmt.Sscan(strings.Join(said[1:], " "), &unconfirmed, &from, &to); err != nil {
		t.Fatal(err)
	}

	var rest strings.Builder
	last := to + 1000
	for i := from; i <= last; i++ {
		fmt.Fprintln(&rest, i)
	}
	if r := toNSQ(t, rest.String(), []*nsqtest.NSQD{d}, "-topic=t"); r.Code != 0 {
		t.Fatalf("exit code %d, stderr:\n%s", r.Code, r.Stderr)
	}
	for body, n := range consume(t, d, last-len(arrived)) {
		arrived[body] += n
	}
	twice := 0
	for i := 1; i <= last; i++ {
		switch n := arrived[fmt.Sprint(i)]; n {
		case 0:
			t.Errorf("record %d is missing", i)
		default:
			twice += n - 1
		}
	}
	if twice > unconfirmed {
		t.Errorf("%d records came twice, want only some of the %d that were not confirmed", twice, unconfirmed)
	}
}

// consume takes messages of channel t/c until there are so many different ones,
// and returns how often each came.
func consume(t *testing.T, d *nsqtest.NSQD, want int) map[string]int {
	t.Helper()
	config := nsq.NewConfig()
	config.MaxInFlight = 1000
	c, err := nsq.NewConsumer("t", "c", config)
	if err != nil {
		t.Fatal(err)
	}
	c.SetLogger(nil, nsq.LogLevelError)
	count := map[string]int{}
	done := make(chan struct{})
	c.AddHandler(nsq.HandlerFunc(func(m *nsq.Message) error {
		count[string(m.Body)]++
		if len(count) == want {
			select {
			case <-done:
			default:
				close(done)
			}
		}
		return nil
	}))
	if err := c.ConnectToNSQD(d.TCPAddr()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(patience):
	}
	c.Stop()
	<-c.StopChan
	return count
}

// endless is a reader of lines without end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	return copy(p, bytes.Repeat([]byte("again\n"), len(p)/6+1)), nil
}

func TestIdentity(t *testing.T) {
	said := tooltest.Identify(t, "to_nsq", "-topic=t", "-producer-opt=client_id,me", "-producer-opt=user_agent,x")
	if said["user_agent"] != "to_nsq/1.4.0 go-nsq/1.4.0" || said["client_id"] != "me" {
		t.Errorf("to_nsq called itself %v", said)
	}
}
