package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// brokenService fails at once.
type brokenService struct{}

func (brokenService) Main() error { return errors.New("TCP: too bad\nHTTP: worse") }
func (brokenService) Exit() error { return nil }

func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "testd.cfg")
	if err := os.WriteFile(file, []byte("unknown = 1\ncount = -1\nlog_prefix = 'from the file: '"), 0o600); err != nil {
		t.Fatal(err)
	}
	const usage = "Usage of testd:\n"
	for _, c := range []struct {
		args   []string
		make   func() (Service, error) // nil if it is not reached
		code   int
		stdout string // what it begins with
		stderr string // without times
	}{
		{args: []string{"--version", "--config=not-read"}, stdout: "testd v1."},
		{args: []string{"-h"}, stderr: usage},
		{args: []string{"--nothing"}, code: 2, stderr: "flag provided but not defined: -nothing\n" + usage},
		{args: []string{"--config=" + file}, code: 1, stderr: "from the file: WARNING: config file " + file + ` - line 1: unknown key "unknown" is ignored` + "\n" +
			"from the file: FATAL: failed to instantiate testd - --count must not be negative, is -1 (config file " + file + " - line 2: count)\n"},
		{args: []string{"--verbose"}, code: 1, make: func() (Service, error) { return nil, errors.New("one\ntwo") }, stderr: "[testd] WARNING: --verbose has no effect, use --log-level\n" +
			"[testd] FATAL: failed to instantiate testd - one\n[testd] FATAL: failed to instantiate testd - two\n"},
		{code: 1, make: func() (Service, error) { return nil, fmt.Errorf("%w metadata", errFull) }, stderr: "[testd] FATAL: failed to load metadata\n"},
		{code: 1, make: func() (Service, error) { return brokenService{}, nil }, stderr: "[testd] FATAL: TCP: too bad\n[testd] FATAL: HTTP: worse\n"},
	} {
		if c.make == nil {
			c.make = func() (Service, error) {
				t.Errorf("%q: the daemon is made", c.args)
				return brokenService{}, nil
			}
		}
		var stdout, stderr strings.Builder
		code := Run(testProgram(c.make), c.args, &stdout, &stderr)
		logged := regexp.MustCompile(`\d{4}/\S+ \d\d:\S+ `).ReplaceAllString(stderr.String(), "")
		if strings.HasSuffix(c.stderr, usage) { // which goes on
			logged = logged[:min(len(logged), len(c.stderr))]
		}
		if code != c.code || logged != c.stderr || !strings.HasPrefix(stdout.String(), c.stdout) || (c.stdout == "" && stdout.Len() > 0) {
			t.Errorf("%q: exit code %d, stdout %q, stderr\n%s\nwant %d, %q,\n%s", c.args, code, stdout.String(), logged, c.code, c.stdout, c.stderr)
		}
	}
}
