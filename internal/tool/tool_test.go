package tool

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestExitCodes(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		code   int
		stderr string
	}{
		"success":          {nil, 0, ""},
		"an error":         {errors.New("no nsqd"), 1, " no nsqd\n"},
		"a silent failure": {fmt.Errorf("pipe: %w", ErrSilent), 1, ""},
	} {
		var stdout, stderr strings.Builder
		define := func(*flag.FlagSet) func(context.Context) error {
			return func(context.Context) error { return c.err }
		}
		code := run("test", define, nil, &stdout, &stderr)
		if code != c.code || stdout.String() != "" || !strings.HasSuffix(stderr.String(), c.stderr) || (c.stderr == "") != (stderr.String() == "") {
			t.Errorf("%s: exit code %d, stdout %q, stderr %q", name, code, stdout.String(), stderr.String())
		}
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

func TestUserAgent(t *testing.T) {
	if got, want := UserAgent("nsq_tail", "1.5.0"), "nsq_tail/1.4.0 go-nsq/1.5.0"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
