package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
	"github.com/seed893f581e/nsq/nsq"
)

func TestMain(m *testing.M) { tooltest.Main(m, "apps/nsq_tail") }

// tail starts the program against a broker.
func tail(t *testing.T, d *nsqtest.NSQD, args ...string) *tooltest.Process {
	t.Helper()
	return tooltest.Start(t, "nsq_tail", append(args, "--nsqd-tcp-address="+d.TCPAddr())...)
}

// numbers returns n messages.
func numbers(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("message %d", i))
	}
	return all
}

func lines(bodies []string) string { return strings.Join(bodies, "\n") + "\n" }

func printed(p *tooltest.Process, want string) func() bool {
	return func() bool { return p.Output.String() == want }
}

func TestPrintsMessagesAsTheyCome(t *testing.T) {
	d := nsqtest.Start(t, nil)
	p := tail(t, d, "-topic=t", "-channel=c")
	want := ""
	for _, body := range []string{"one", "two\nlines", "\x00\xff", strings.Repeat("x", 100_000)} {
		tooltest.Publish(t, d, "t", body)
		want += body + "\n"
		nsqtest.Eventually(t, "the message is printed", printed(p, want))
	}
	if !strings.Contains(p.Errors.String(), "Adding consumer for topic: t\n") {
		t.Errorf("stderr:\n%s", p.Errors.String())
	}
}

func TestTopics(t *testing.T) {
	d := nsqtest.Start(t, nil)
	tooltest.Publish(t, d, "a", "one", "two")
	tooltest.Publish(t, d, "b", "three")
	p := tail(t, d, "-topic=a", "-topic=b", "-topic=a", "-print-topic")
	want := []string{"", "a | one", "a | two", "b | three"}
	nsqtest.Eventually(t, "three lines", func() bool {
		got := strings.Split(p.Output.String(), "\n")
		slices.Sort(got)
		return slices.Equal(got, want)
	})
}

func TestManyMessages(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 100_000
	d := nsqtest.Start(t, opts)
	bodies := numbers(20_000)
	tooltest.Publish(t, d, "t", bodies...)
	p := tail(t, d, "-topic=t", "-channel=c", "-n=20000", "-max-in-flight=1000")
	if r := p.End(); r.Code != 0 || r.Stdout != lines(bodies) {
		t.Errorf("exit code %d, %d lines, stderr:\n%s", r.Code, strings.Count(r.Stdout, "\n"), r.Stderr)
	}
	if left := tooltest.Drain(t, d, "t", "c"); len(left) != 0 {
		t.Errorf("%d messages come again", len(left))
	}
}

// What was printed does not come again, and what was not comes at once.
func TestStopsAfterNMessages(t *testing.T) {
	for _, c := range []struct{ n, maxInFlight int }{{1, 200}, {3, 200}, {10, 200}, {7, 2}, {10, 10}} {
		t.Run(fmt.Sprintf("%d of 10, %d in flight", c.n, c.maxInFlight), func(t *testing.T) {
			d := nsqtest.Start(t, nil)
			bodies := numbers(10)
			tooltest.Publish(t, d, "t", bodies...)
			p := tail(t, d, "-topic=t", "-channel=c", fmt.Sprint("-n=", c.n), fmt.Sprint("-max-in-flight=", c.maxInFlight))
			if r := p.End(); r.Code != 0 || r.Stdout != lines(bodies[:c.n]) {
				t.Errorf("exit code %d, stdout %q, stderr:\n%s", r.Code, r.Stdout, r.Stderr)
			}
			if left := 10 - c.n; left > 0 {
				got := tooltest.Receive(t, d, "t", "c", left)
				slices.Sort(got)
				if !slices.Equal(got, bodies[c.n:]) {
					t.Errorf("left in the channel: %q, want %q", got, bodies[c.n:])
				}
			}
			if left := tooltest.Drain(t, d, "t", "c"); len(left) != 0 {
				t.Errorf("these come again: %q", left)
			}
		})
	}
}

// A message that was given back often, as what was in flight when enough was printed
// is, is not lost.
func TestPrintsWhatWasRequeuedOften(t *testing.T) {
	d := nsqtest.Start(t, nil)
	tooltest.Publish(t, d, "t", "one")
	cfg := nsq.NewConfig()
	cfg.MaxAttempts = 0
	c, err := nsq.NewConsumer("t", "c", cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.SetLogger(nil, nsq.LogLevelMax)
	often := make(chan struct{}, 1)
	c.AddHandler(nsq.HandlerFunc(func(m *nsq.Message) error {
		m.RequeueWithoutBackoff(0)
		if m.Attempts == nsq.NewConfig().MaxAttempts {
			often <- struct{}{}
		}
		return nil
	}))
	if err := c.ConnectToNSQD(d.TCPAddr()); err != nil {
		t.Fatal(err)
	}
	nsqtest.Receive(t, "many attempts", often)
	c.Stop()
	<-c.StopChan
	r := tooltest.Run(t, nil, "nsq_tail", "-topic=t", "-channel=c", "-n=1", "-nsqd-tcp-address="+d.TCPAddr())
	if r.Code != 0 || r.Stdout != "one\n" {
		t.Errorf("exit code %d, stdout %q, stderr:\n%s", r.Code, r.Stdout, r.Stderr)
	}
}

func TestOneTopicThatReachesNIsEnough(t *testing.T) {
	d := nsqtest.Start(t, nil)
	tooltest.Publish(t, d, "a", "one", "two")
	p := tail(t, d, "-topic=a", "-topic=b", "-n=3", "-channel=c")
	nsqtest.Eventually(t, "two lines", printed(p, "one\ntwo\n"))
	tooltest.Publish(t, d, "b", "B")
	nsqtest.Eventually(t, "three lines", printed(p, "one\ntwo\nB\n"))
	tooltest.Publish(t, d, "a", "three")
	if r := p.End(); r.Code != 0 || r.Stdout != "one\ntwo\nB\nthree\n" {
		t.Errorf("exit code %d, stdout %q, stderr:\n%s", r.Code, r.Stdout, r.Stderr)
	}
}

func TestVersionAndHelp(t *testing.T) {
	tooltest.CheckVersionAndHelp(t, "nsq_tail", "channel", "consumer-opt", "lookupd-http-address", "max-in-flight", "n", "nsqd-tcp-address", "print-topic", "topic")
}

func TestWrongFlagsExitWith2(t *testing.T) {
	tooltest.CheckWrongFlags(t, "nsq_tail", map[string]string{
		"flag provided but not defined: -x":                                 "-x",
		`invalid value "x" for flag -n: parse error`:                        "-n=x",
		`invalid value "x" for flag -max-in-flight: parse error`:            "-max-in-flight=x",
		`invalid boolean value "x" for -print-topic: parse error`:           "-print-topic=x",
		`invalid value "x,1" for flag -consumer-opt: invalid option x`:      "-consumer-opt=x,1",
		`invalid value "msg_timeout,5" for flag -consumer-opt: failed to c`: "-consumer-opt=msg_timeout,5",
		"flag needs an argument: -topic":                                    "-topic",
	})
}

func TestFailuresExitWith1(t *testing.T) {
	d := nsqtest.Start(t, nil)
	here, nowhere := "-nsqd-tcp-address="+d.TCPAddr(), nsqtest.ClosedPort(t)
	const lookupd = "-lookupd-http-address=127.0.0.1:4161"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{here}, `--topic required`},
		{[]string{"-topic=t"}, `--nsqd-tcp-address or --lookupd-http-address required`},
		{[]string{"-topic=t", here, lookupd}, `use --nsqd-tcp-address or --lookupd-http-address not both`},
		{[]string{lookupd}, `--topic required`},
		{[]string{"-topic=t", "-lookupd-http-address=lookup"}, `--lookupd-http-address lookup: missing port`},
		{[]string{"-topic=bad$", here}, `invalid topic name`},
		{[]string{"-topic=t", "-channel=bad$", here}, `invalid channel name`},
		{[]string{"-topic=t", "-n=-1", here}, `--n must not be below 0`},
		{[]string{"-topic=t", "-max-in-flight=0", here}, `--max-in-flight must be at least 1`},
		{[]string{"-topic=t", "-consumer-opt=heartbeat_interval,2m", here}, `HeartbeatInterval 2m0s must be less than ReadTimeout 1m0s`},
		{[]string{"-topic=t", here, "-nsqd-tcp-address=" + nowhere}, `dial tcp ` + nowhere + `: .*`},
	} {
		r := tooltest.Run(t, nil, "nsq_tail", c.args...)
		if got := r.LastLine(); r.Code != 1 || r.Stdout != "" || !regexp.MustCompile("^"+c.want+"$").MatchString(got) {
			t.Errorf("%q: exit code %d, stdout %q, error %q, want %q", c.args, r.Code, r.Stdout, got, c.want)
		}
	}
}

// startWithLookupd runs a broker that registers with an nsqlookupd of its own.
func startWithLookupd(t *testing.T) (*nsqtest.NSQD, *nsqtest.Lookupd) {
	t.Helper()
	l := nsqtest.StartLookupd(t, nil)
	opts := nsqtest.Options(t)
	opts.LookupdTCPAddresses = []string{l.TCPAddr()}
	return nsqtest.Start(t, opts), l
}

// The nsqds are found wherever they are listed, also those of a topic that did not
// exist; that one nsqlookupd is not there, and another says nothing at all, does
// not matter.
func TestLookupd(t *testing.T) {
	one, lookupd1 := startWithLookupd(t)
	two, lookupd2 := startWithLookupd(t)
	tooltest.Publish(t, one, "a", "from one")
	hung, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	args := []string{"-topic=a", "-topic=b", "-channel=c"}
	for _, addr := range []string{hung.Addr().String(), nsqtest.ClosedPort(t), lookupd1.HTTPAddr(), lookupd2.HTTPURL() + "/"} {
		args = append(args, "-lookupd-http-address="+addr)
	}
	p := tooltest.Start(t, "nsq_tail", args...)
	nsqtest.Eventually(t, "a line", printed(p, "from one\n"))
	tooltest.Publish(t, two, "b", "from two")
	nsqtest.Eventually(t, "two lines", printed(p, "from one\nfrom two\n"))
}

// A message that could not be printed is left to others.
func TestFailedWriteExitsWith1(t *testing.T) {
	closed, readOnly := brokenPipe(t), open(t, os.DevNull)
	for name, c := range map[string]struct {
		stdout *os.File
		want   string // how the last line of stderr begins
	}{
		"nobody reads any more": {closed, ""},
		"another failure":       {readOnly, "ERROR: failed to write to os.Stdout - write /dev/stdout: "},
	} {
		t.Run(name, func(t *testing.T) {
			d := nsqtest.Start(t, nil)
			tooltest.Publish(t, d, "t", "one", "two")
			cmd := tooltest.Command(t, "nsq_tail", "-topic=t", "-channel=c", "--nsqd-tcp-address="+d.TCPAddr())
			var stderr strings.Builder
			cmd.Stdout, cmd.Stderr = c.stdout, &stderr
			err := cmd.Run()
			said := tooltest.Result{Stderr: stderr.String()}.LastLine()
			if cmd.ProcessState.ExitCode() != 1 || strings.Contains(stderr.String(), "ERR") != (c.want != "") || !strings.HasPrefix(said, c.want) {
				t.Errorf("%v, stderr:\n%s", err, stderr.String())
			}
			got := tooltest.Receive(t, d, "t", "c", 2) // once nsqd has noticed
			slices.Sort(got)
			if !slices.Equal(got, []string{"one", "two"}) {
				t.Errorf("left in the channel: %q, want both messages", got)
			}
		})
	}
}

// brokenPipe returns the writing end of a pipe that nobody will ever read.
func brokenPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(func() { w.Close() })
	return w
}

// open opens a file for reading only.
func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestIdentity(t *testing.T) {
	said := tooltest.Identify(t, "nsq_tail", "-topic=t", "-consumer-opt=client_id,me", "-consumer-opt=user_agent,x")
	if said["user_agent"] != "nsq_tail/1.4.0 go-nsq/1.4.0" || said["client_id"] != "me" {
		t.Errorf("nsq_tail called itself %v", said)
	}
}

// completed returns the options that args stand for.
func completed(t *testing.T, args ...string) *options {
	t.Helper()
	fs := flag.NewFlagSet("nsq_tail", flag.ContinueOnError)
	o := newOptions(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestChannelOfItsOwn(t *testing.T) {
	o := completed(t, "-topic=t", "-nsqd-tcp-address=x:1")
	if !regexp.MustCompile(`^tail\d{6}#ephemeral$`).MatchString(o.channel) || o.consumer.MaxInFlight != 200 {
		t.Errorf("channel %q, %d in flight", o.channel, o.consumer.MaxInFlight)
	}
	for n, want := range map[string]int{"-n=0": 50, "-n=1": 1, "-n=49": 49, "-n=51": 50} {
		o := completed(t, "-topic=t", "-nsqd-tcp-address=x:1", "-max-in-flight=50", "-consumer-opt=max_in_flight,7", n)
		if o.consumer.MaxInFlight != want {
			t.Errorf("%s: %d in flight, want %d", n, o.consumer.MaxInFlight, want)
		}
	}
}
