package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, "apps/nsq_to_file") }

// parse returns the options that args stand for.
func parse(args ...string) (*options, error) {
	fs := flag.NewFlagSet("nsq_to_file", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	o := newOptions(fs)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	return o, o.complete()
}

// toFile starts the program for topic t and channel c of a broker.
func toFile(t *testing.T, d *nsqtest.NSQD, dir string, args ...string) *tooltest.Process {
	t.Helper()
	return tooltest.Start(t, "nsq_to_file", append([]string{"-topic=t", "-channel=c", "-host-identifier=h", "-output-dir=" + dir, "-nsqd-tcp-address=" + d.TCPAddr()}, args...)...)
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

// namesIn returns the files below a directory, sorted.
func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !strings.HasPrefix(e.Name(), ".nsq_to_file.") { // made at the start, to see whether that is possible
			path, err = filepath.Rel(dir, path)
			names = append(names, filepath.ToSlash(path))
		}
		if os.IsNotExist(err) { // it was moved meanwhile
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// contents returns what all files below a directory hold, one after the other.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range namesIn(t, dir) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".gz") && len(b) > 0 { // it may have been created just now
			b = gunzip(t, b)
		}
		all.Write(b)
	}
	return all.String()
}

// ended waits for a program to end well.
func ended(t *testing.T, p *tooltest.Process) {
	t.Helper()
	if r := p.End(); r.Code != 0 || r.Stdout != "" {
		t.Errorf("exit code %d, stdout %q, stderr:\n%s", r.Code, r.Stdout, r.Stderr)
	}
}

func TestVersionAndHelp(t *testing.T) {
	tooltest.CheckVersionAndHelp(t, "nsq_to_file",
		"channel", "consumer-opt", "datetime-format", "filename-format", "gzip", "gzip-level", "host-identifier",
		"http-client-connect-timeout", "http-client-request-timeout", "log-level", "log-prefix", "lookupd-http-address",
		"max-in-flight", "nsqd-tcp-address", "output-dir", "rotate-interval", "rotate-size", "skip-empty-files",
		"sync-interval", "topic", "topic-pattern", "topic-refresh", "work-dir")
}

func TestDefaults(t *testing.T) {
	o, err := parse("-topic=t", "-nsqd-tcp-address=x:1", "-consumer-opt=max_in_flight,7", "-consumer-opt=user_agent,x")
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	short, _, _ := strings.Cut(host, ".")
	if o.channel != "nsq_to_file" || o.topicRefresh != time.Minute || o.outputDir != filepath.Clean(defaultOutputDir()) || o.moves() ||
		o.datetimeFormat != "%Y-%m-%d_%H" || o.filenameFormat != "<TOPIC>.<HOST><REV>.<DATETIME>.log" || o.host != short ||
		o.gzip || o.gzipLevel != 6 || o.rotation != (rotation{}) || o.syncInterval != 30*time.Second || o.skipEmptyFiles ||
		o.logLevel != "info" || o.logPrefix != "[nsq_to_file] " || o.http.Connect != 2*time.Second || o.http.Request != 5*time.Second {
		t.Errorf("the defaults are %+v", o)
	}
	if c := o.consumer; c.MaxInFlight != 200 || c.UserAgent != "nsq_to_file/1.4.0 go-nsq/1.4.0" || c.MaxAttempts != 0 {
		t.Errorf("%d in flight, user agent %s, %d attempts", c.MaxInFlight, c.UserAgent, c.MaxAttempts)
	}
	if o, err = parse("-topic=t", "-nsqd-tcp-address=x:1", "-consumer-opt=max_attempts,9", "-max-in-flight=3"); err != nil || o.consumer.MaxAttempts != 9 || o.consumer.MaxInFlight != 3 {
		t.Errorf("%v, %d attempts, %d in flight", err, o.consumer.MaxAttempts, o.consumer.MaxInFlight)
	}
}

func TestDirectoriesAreComparedByMeaning(t *testing.T) {
	for outputDir, want := range map[string]bool{"w": false, "x/../w/.": false, "w/x": true} {
		o, err := parse("-topic=t", "-nsqd-tcp-address=x:1", "-work-dir=w", "-output-dir="+outputDir)
		if err != nil || o.moves() != want {
			t.Errorf("%s: %v, files are moved: %v", outputDir, err, o.moves())
		}
	}
}

func TestWrongFlagsExitWith2(t *testing.T) {
	tooltest.CheckWrongFlags(t, "nsq_to_file", map[string]string{
		"flag provided but not defined: -x":                            "-x",
		`invalid value "x" for flag -max-in-flight: parse error`:       "-max-in-flight=x",
		`invalid value "1" for flag -sync-interval: parse error`:       "-sync-interval=1",
		`invalid boolean value "x" for -gzip: parse error`:             "-gzip=x",
		`invalid value "x,1" for flag -consumer-opt: invalid option x`: "-consumer-opt=x,1",
		`invalid value "1.5" for flag -rotate-size: parse error`:       "-rotate-size=1.5",
	})
}

// Of several mistakes the first is told, in this order.
func TestMistakes(t *testing.T) {
	var args []string
	for _, c := range []struct{ good, bad, want string }{
		{"-log-level=debug", "-log-level=loud", "--log-level is invalid"},
		{"-channel=c", "-channel=", "--channel is required"},
		{"-http-client-connect-timeout=1s", "-http-client-connect-timeout=0", "--http-client-connect-timeout should be positive"},
		{"-http-client-request-timeout=1s", "-http-client-request-timeout=-1s", "--http-client-request-timeout should be positive"},
		{"-nsqd-tcp-address=x:1", "-consumer-opt=snappy", "--nsqd-tcp-address or --lookupd-http-address required."},
		{"-consumer-opt=snappy", "-lookupd-http-address=x:1", "use --nsqd-tcp-address or --lookupd-http-address not both"},
		{"-gzip-level=9", "-gzip-level=10", "invalid --gzip-level value (10), should be 1-9"},
		{"-gzip-level=1", "-gzip-level=0", "invalid --gzip-level value (0), should be 1-9"},
		{"-topic-pattern=x", "-consumer-opt=snappy", "--topic or --topic-pattern required"},
		{"-topic=t", "-consumer-opt=snappy", "--lookupd-http-address must be specified when no --topic specified"},
		{"-channel=c", "-channel=bad$", `--channel "bad$" is invalid`},
		{"-max-in-flight=1", "-max-in-flight=0", "--max-in-flight must be at least 1"},
		{"-topic-refresh=1s", "-topic-refresh=0", "--topic-refresh should be positive"},
		{"-sync-interval=1s", "-sync-interval=0", "--sync-interval should be positive"},
		{"-rotate-size=1", "-rotate-size=-1", "--rotate-size must not be below 0"},
		{"-rotate-interval=1s", "-rotate-interval=-1s", "--rotate-interval must not be below 0"},
		{"-filename-format=<REV>", "-filename-format=x", "missing <REV> in --filename-format when gzip, rotation, or work dir enabled"},
		{"-topic-pattern=.", "-topic-pattern=(", "invalid --topic-pattern: error parsing regexp: missing closing ): `(`"},
	} {
		if _, err := parse(append(slices.Clone(args), c.bad)...); err == nil || err.Error() != c.want {
			t.Errorf("%q %s: %v, want %s", args, c.bad, err, c.want)
		}
		args = append(args, c.good)
	}
	for _, arg := range []string{"-gzip", "-rotate-size=1", "-rotate-interval=1s", "-work-dir=w"} {
		if _, err := parse("-topic=t", "-nsqd-tcp-address=x:1", "-filename-format=x", arg); err == nil || !strings.HasPrefix(err.Error(), "missing <REV>") {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

func TestFailuresExitWith1(t *testing.T) {
	d := nsqtest.Start(t, nil)
	here := "-nsqd-tcp-address=" + d.TCPAddr()
	taken := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(taken, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string // in the log
	}{
		{[]string{"-topic=t", here, "x"}, "unknown arguments: [x]"},
		{[]string{"-topic=t"}, "--nsqd-tcp-address or --lookupd-http-address required."},
		{[]string{"-topic=bad$", here}, "no --topic can be written to files"},
		{[]string{"-topic=t", "-topic-pattern=x", here}, "no --topic can be written to files"},
		{[]string{"-topic=t", "-lookupd-http-address=x"}, "FATAL: [t/nsq_to_file] missing port"},
		{[]string{"-topic=t", "-nsqd-tcp-address=localhost"}, "--nsqd-tcp-address: address localhost: missing port in address"},
		{[]string{"-topic=t", here, "-output-dir=" + taken}, "mkdir " + taken},
		{[]string{"-topic=t", here, "-output-dir=" + filepath.Join(taken, "below")}, "stat " + filepath.Join(taken, "below")},
		{[]string{"-topic=t", here, "-work-dir=w", "-output-dir=" + taken}, taken},
	} {
		if r := tooltest.Run(t, nil, "nsq_to_file", c.args...); r.Code != 1 || r.Stdout != "" || !strings.Contains(r.Stderr, c.want) {
			t.Errorf("%q: %+v, want %q", c.args, r, c.want)
		}
	}
}

func TestIdentity(t *testing.T) {
	f := nsqtest.NewFake(t)
	tooltest.Start(t, "nsq_to_file", "-topic=t", "-channel=c", "-max-in-flight=13", "-output-dir="+t.TempDir(), "-nsqd-tcp-address="+f.Addr, "-consumer-opt=client_id,me")
	c := nsqtest.NewFakeConn(t, f.Raw().Conn)
	c.Magic()
	if line, body := c.Next(); line != "IDENTIFY" || !strings.Contains(string(body), `"user_agent":"nsq_to_file/1.4.0 go-nsq/1.4.0"`) || !strings.Contains(string(body), `"client_id":"me"`) {
		t.Errorf("nsq_to_file sent %s %s", line, body)
	}
	c.Respond(nsqtest.Negotiated)
	c.Expect("SUB t c")
	c.Respond("OK")
	c.Expect("RDY 13")
}

// Messages are lines, whatever is in them. The file is there at once, and has
// everything before a message is finished.
func TestMessagesAreLines(t *testing.T) {
	d, dir := nsqtest.Start(t, nil), t.TempDir()
	toFile(t, d, dir, "-filename-format=<TOPIC>.<HOST><REV>", "-log-prefix=[x] ", "-sync-interval=1h")
	bodies := []string{"one", "two\nlines", "\x00\xff", strings.Repeat("x", 100_000)}
	tooltest.Publish(t, d, "t", bodies...)
	nsqtest.Eventually(t, "the messages are in the file", func() bool { return contents(t, dir) == lines(bodies) })
	if names := namesIn(t, dir); !slices.Equal(names, []string{"t.h"}) {
		t.Errorf("the files are %q", names)
	}
}
