package tool

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var logTime = regexp.MustCompile(`(?m)^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d`)

func TestExitCodes(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		code   int
		stderr string
	}{
		"success":          {nil, 0, ""},
		"an error":         {errors.New("no nsqd"), 1, "TIME no nsqd\n"},
		"two errors":       {errors.Join(errors.New("no a:1"), errors.New("no b:1")), 1, "TIME no a:1\nTIME no b:1\n"},
		"a silent failure": {fmt.Errorf("pipe: %w", ErrSilent), 1, ""},
	} {
		var stdout, stderr strings.Builder
		define := func(*flag.FlagSet) func(context.Context) error {
			return func(context.Context) error { return c.err }
		}
		code := run("test", define, nil, &stdout, &stderr)
		if got := logTime.ReplaceAllString(stderr.String(), "TIME"); code != c.code || stdout.String() != "" || got != c.stderr {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", name, code, stdout.String(), got)
		}
	}
}

func TestArgumentsThatBelongToNoFlagAreRefused(t *testing.T) {
	var stdout, stderr strings.Builder
	define := func(fs *flag.FlagSet) func(context.Context) error {
		fs.Bool("gzip", false, "")
		return func(context.Context) error {
			t.Error("the tool ran")
			return nil
		}
	}
	code := run("test", define, []string{"-gzip", "true", "-x"}, &stdout, &stderr)
	if code != 1 || stdout.String() != "" || !strings.HasSuffix(stderr.String(), " unknown arguments: [true -x]\n") {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
	}
}

func TestListHoldsEveryValueOnce(t *testing.T) {
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	l := ListFlag(fs, "x", "values")
	if err := fs.Parse([]string{"-x=b", "--x", "a,c", "-x=b", "-x="}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"b", "a,c", ""}; !slices.Equal(*l, want) {
		t.Errorf("got %q, want %q", *l, want)
	}
}

// asked notes what it is told to connect to.
type asked struct{ nsqds, lookupds []string }

func (a *asked) ConnectToNSQDs(addresses []string) error       { a.nsqds = addresses; return nil }
func (a *asked) ConnectToNSQLookupds(addresses []string) error { a.lookupds = addresses; return nil }
func (a *asked) StopContext(context.Context) error             { return nil }

func TestSources(t *testing.T) {
	const nsqd1, nsqd2, lookupd1, lookupd2 = "-nsqd-tcp-address=n1:1", "-nsqd-tcp-address=[::1]:2", "-lookupd-http-address=l1", "-lookupd-http-address=l2"
	for _, tt := range []struct {
		args            []string
		err             string
		nsqds, lookupds []string
	}{
		{nil, "--nsqd-tcp-address or --lookupd-http-address required", nil, nil},
		{[]string{nsqd1, nsqd2, nsqd1}, "", []string{"n1:1", "[::1]:2"}, nil},
		{[]string{lookupd1, lookupd2}, "", nil, []string{"l1", "l2"}},
		{[]string{lookupd1, nsqd1}, "use --nsqd-tcp-address or --lookupd-http-address not both", nil, nil},
		{[]string{nsqd1, "-nsqd-tcp-address=n3"}, "--nsqd-tcp-address: address n3: missing port in address", nil, nil},
	} {
		fs := flag.NewFlagSet("test", flag.ContinueOnError)
		s := SourceFlags(fs)
		if err := fs.Parse(tt.args); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err != nil {
			if err.Error() != tt.err {
				t.Errorf("%q: %v, want %s", tt.args, err, tt.err)
			}
			continue
		}
		var a asked
		if err := s.Connect(&a); err != nil || tt.err != "" || !slices.Equal(a.nsqds, tt.nsqds) || !slices.Equal(a.lookupds, tt.lookupds) {
			t.Errorf("%q: %v, connected to %+v", tt.args, err, a)
		}
	}
}

// refusing is a consumer that does not like its addresses.
type refusing struct{ asked }

var errRefused = errors.New("missing port")

func (r *refusing) ConnectToNSQLookupds([]string) error { return errRefused }

func TestWrongAddressIsNamed(t *testing.T) {
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	s := SourceFlags(fs)
	if err := fs.Parse([]string{"-lookupd-http-address=a:1", "-lookupd-http-address=b"}); err != nil {
		t.Fatal(err)
	}
	err := s.Connect(&refusing{})
	if want := "--lookupd-http-address a:1,b: missing port"; !errors.Is(err, errRefused) || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestUserAgent(t *testing.T) {
	if got, want := UserAgent("nsq_tail", "1.5.0"), "nsq_tail/1.4.0 go-nsq/1.5.0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
