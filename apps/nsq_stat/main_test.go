package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, "apps/nsq_stat") }

// parsed returns the options that args stand for.
func parsed(t *testing.T, args ...string) *options {
	t.Helper()
	fs := flag.NewFlagSet("nsq_stat", flag.ContinueOnError)
	o := newOptions(fs)
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	if err := o.validate(); err != nil {
		t.Fatal(err)
	}
	return o
}

// at returns the flag for the HTTP address of a broker.
func at(d *nsqtest.NSQD) string {
	return "-nsqd-http-address=" + strings.TrimPrefix(d.HTTPURL(), "http://")
}

// busy returns a broker with 5 messages in channel t/c, 2 of which were finished.
func busy(t *testing.T) *nsqtest.NSQD {
	t.Helper()
	d := nsqtest.Start(t, nil)
	tooltest.Publish(t, d, "t", "1", "2", "3", "4", "5")
	tooltest.Receive(t, d, "t", "c", 2)
	return d
}

func TestPrintsTheSumsOfAllNSQDs(t *testing.T) {
	one, two := busy(t), busy(t)
	defer one.Stop()
	defer two.Stop()
	lookupd := nsqtest.StartLookupd(t, nil)
	defer lookupd.Stop()
	opts := nsqtest.Options(t)
	opts.LookupdTCPAddresses = []string{lookupd.TCPAddr()}
	three := nsqtest.Start(t, opts)
	defer three.Stop()
	tooltest.Publish(t, three, "t", "1", "2", "3", "4")
	tooltest.Receive(t, three, "t", "c", 3)

	for name, c := range map[string]struct {
		args []string
		row  string
	}{
		"one nsqd":     {[]string{at(one), at(one)}, "      0       0 |       3       3       0     0     0 |       0       0            5       0\n"},
		"several":      {[]string{at(one), at(two), at(three)}, "      0       0 |       7       7       0     0     0 |       0       0           14       0\n"},
		"from lookupd": {[]string{"-lookupd-http-address=" + lookupd.HTTPAddr()}, "      0       0 |       1       1       0     0     0 |       0       0            4       0\n"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append(c.args, "--topic=t", "--channel=c", "--interval=10ms", "--count=26",
				"--http-client-connect-timeout=5s", "--http-client-request-timeout=10s")
			r := tooltest.Run(t, nil, "nsq_stat", args...)
			want := header + strings.Repeat(c.row, 24) + header + strings.Repeat(c.row, 2)
			if r.Code != 0 || r.Stdout != want || r.Stderr != "" {
				t.Errorf("exit code %d, stderr %q, stdout\n%swant\n%s", r.Code, r.Stderr, r.Stdout, want)
			}
		})
	}
}

func TestEndlessUnlessACountIsGiven(t *testing.T) {
	d := busy(t)
	p := tooltest.Start(t, "nsq_stat", "-topic=t", "-channel=c", "-interval=50ms", at(d))
	nsqtest.Eventually(t, "three lines", func() bool { return strings.Count(p.Output.String(), "\n") >= 2+3 })
	tooltest.Publish(t, d, "t", "6")
	rate := regexp.MustCompile(`\n +[1-9]\d* +0 \| +4 `)
	nsqtest.Eventually(t, "a rate", func() bool { return rate.MatchString(p.Output.String()) })
	d.Stop()
	r := p.End()
	if want := `^ERROR: failed to get topic producers - 127.0.0.1:\d+: .+$`; r.Code != 1 || !regexp.MustCompile(want).MatchString(r.LastLine()) {
		t.Errorf("exit code %d, stderr %q, want %s", r.Code, r.Stderr, want)
	}
}

func TestJSON(t *testing.T) {
	d := busy(t)
	r := tooltest.Run(t, nil, "nsq_stat", "-topic=t", "-channel=c", "-interval=10ms", "-count=2", "-json", at(d))
	lines := strings.SplitAfter(strings.TrimSuffix(r.Stdout, "\n"), "\n")
	if r.Code != 0 || r.Stderr != "" || len(lines) != 2 {
		t.Fatalf("%+v", r)
	}
	for _, line := range lines {
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(got["time"])); err != nil || time.Since(at) > time.Minute {
			t.Errorf("time %v, %v", at, err)
		}
		delete(got, "time")
		want := map[string]any{"topic": "t", "channel": "c", "nsqds": 1, "ingress": 0, "egress": 0, "memory_depth": 3,
			"depth": 3, "backend_depth": 0, "in_flight_count": 0, "deferred_count": 0,
			"requeue_count": 0, "timeout_count": 0, "message_count": 5, "client_count": 0}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestVersionAndHelp(t *testing.T) {
	tooltest.CheckVersionAndHelp(t, "nsq_stat", "channel", "count", "http-client-connect-timeout", "http-client-request-timeout", "interval", "json", "lookupd-http-address", "nsqd-http-address", "topic")
}

func TestWrongFlagsExitWith2(t *testing.T) {
	tooltest.CheckWrongFlags(t, "nsq_stat", map[string]string{
		"flag provided but not defined: -x":                                    "-x",
		`invalid value "x" for flag -count: `:                                  "-count=x",
		`invalid value "2" for flag -interval: parse error`:                    "-interval=2",
		`invalid value "x" for flag -http-client-connect-timeout: parse error`: "-http-client-connect-timeout=x",
		`invalid value "x" for flag -http-client-request-timeout: parse error`: "-http-client-request-timeout=x",
		`invalid boolean value "x" for -json: parse error`:                     "-json=x",
		"flag needs an argument: -topic":                                       "-topic",
	})
}

func TestFailuresExitWith1(t *testing.T) {
	d := busy(t)
	hung, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hung.Close()
	here, nowhere := at(d), nsqtest.ClosedPort(t)
	const lookupd = "-lookupd-http-address=127.0.0.1:4161"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-topic=t", here}, `--topic and --channel are required`},
		{[]string{"-channel=c", here}, `--topic and --channel are required`},
		{[]string{"-topic=t", "-channel=c"}, `--nsqd-http-address or --lookupd-http-address required`},
		{[]string{"-topic=t", "-channel=c", here, lookupd}, `use --nsqd-http-address or --lookupd-http-address not both`},
		{[]string{"-topic=t", "-channel=c", "-nsqd-http-address=http://x:1"}, `--nsqd-http-address error - address should not contain scheme`},
		{[]string{"-topic=t", "-channel=c", "-lookupd-http-address=https://x:1"}, `--lookupd-http-address error - address should not contain scheme`},
		{[]string{"-topic=t", "-channel=c", here, "-interval=0s"}, `--interval should be positive`},
		{[]string{"-topic=t", "-channel=c", here, "-count=0"}, `--count should be positive`},
		{[]string{"-topic=t", "-channel=c", here, "-count=-1"}, `--count should be positive`},
		{[]string{"-topic=t", "-channel=c", here, "-http-client-connect-timeout=0s"}, `--http-client-connect-timeout should be positive`},
		{[]string{"-topic=t", "-channel=c", here, "-http-client-request-timeout=-1s"}, `--http-client-request-timeout should be positive`},
		{[]string{"-topic=t", "-channel=c", "-nsqd-http-address=http://x:1", "-http-client-request-timeout=0s"}, `--http-client-request-timeout should be positive`},
		{[]string{"-topic=t", "-channel=c", here, "t"}, `unknown arguments: \[t\]`},
		{[]string{"-topic=t", "-channel=no", here}, `ERROR: failed to find channel\(no\) in stats metadata for topic\(t\)`},
		{[]string{"-topic=no", "-channel=c", here}, `ERROR: failed to get nsqd stats - failed to query any nsqd: none has topic no`},
		{[]string{"-topic=t", "-channel=c", here, "-nsqd-http-address=" + nowhere}, `ERROR: failed to get topic producers - ` + nowhere + `: dial tcp ` + nowhere + `: .*`},
		{[]string{"-topic=t", "-channel=c", "-lookupd-http-address=" + nowhere}, `ERROR: failed to get topic producers - ` + nowhere + `: dial tcp ` + nowhere + `: .*`},
		{[]string{"-topic=t", "-channel=c", "-http-client-request-timeout=100ms", "-nsqd-http-address=" + hung.Addr().String()}, `ERROR: failed to get topic producers - ` + hung.Addr().String() + `: .*Timeout.*`},
	} {
		r := tooltest.Run(t, nil, "nsq_stat", c.args...)
		if got := r.LastLine(); r.Code != 1 || r.Stdout != "" || !regexp.MustCompile("^"+c.want+"$").MatchString(got) || strings.Count(r.Stderr, "\n") != 1 {
			t.Errorf("%q: exit code %d, stdout %q, stderr %q, want %q", c.args, r.Code, r.Stdout, r.Stderr, c.want)
		}
	}
}

func TestFailedWriteExitsWith1(t *testing.T) {
	d := busy(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	readOnly, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer readOnly.Close()
	for stdout, want := range map[*os.File]string{
		w:        "", // whoever read it has seen enough
		readOnly: "ERROR: failed to write to os.Stdout - write /dev/stdout: ",
	} {
		cmd := tooltest.Command(t, "nsq_stat", "-topic=t", "-channel=c", at(d))
		var stderr strings.Builder
		cmd.Stdout, cmd.Stderr = stdout, &stderr
		err := cmd.Run()
		said := tooltest.Result{Stderr: stderr.String()}.LastLine()
		if cmd.ProcessState.ExitCode() != 1 || !strings.HasPrefix(said, want) || (said == "") != (want == "") {
			t.Errorf("%v, stderr %q, want %q", err, stderr.String(), want)
		}
	}
}
