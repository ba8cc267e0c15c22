package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestMain(m *testing.M) {
	tooltest.Main(m, "apps/nsqd", "apps/to_nsq", "apps/nsq_tail", "bench/nsq_demo")
}

// demo runs the demonstration in this process, with the real programs.
func demo(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	var out, errs bytes.Buffer
	code = run(append([]string{"-bin=" + tooltest.Bin}, args...), &out, &errs)
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "nsq_demo*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	return out.String(), errs.String(), code
}

// numbers finds a line in the output and returns its numbers.
func numbers(t *testing.T, stdout, pattern string) []int {
	t.Helper()
	m := regexp.MustCompile("(?m)^" + pattern + "$").FindStringSubmatch(stdout)
	if m == nil {
		t.Fatalf("no line like %q in:\n%s", pattern, stdout)
	}
	var all []int
	for _, s := range m[1:] {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

func TestAllLinesArrive(t *testing.T) {
	for name, args := range map[string][]string{
		"in memory":          nil,
		"by way of the disk": {"-nsqd-arg=--mem-queue-size=100"},
		"a restart":          {"-restart"},
		"a restart, on disk": {"-restart", "-nsqd-arg=--mem-queue-size=100"},
	} {
		t.Run(name, func(t *testing.T) {
			stdout, stderr, code := demo(t, append(args, "-lines=10000")...)
			lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
			want := regexp.MustCompile(`^10000 of 10000 lines arrived, checksums match, \d+\.\d s, \d+ lines/s$`)
			if code != 0 || stderr != "" || !want.MatchString(lines[len(lines)-1]) {
				t.Errorf("exit code %d, stdout:\n%s\nstderr:\n%s", code, stdout, stderr)
			}
			if args == nil || args[0] != "-restart" {
				return
			}
			n := numbers(t, stdout, `nsqd +was stopped: of (\d+) lines it had accepted, (\d+) had arrived; (\d+) more are deferred by 3s`)
			if accepted, arrived, deferred := n[0], n[1], n[2]; accepted != 5000 || arrived > accepted-deferred-500 || deferred != 500 {
				t.Errorf("too little was on its way when nsqd was stopped: %v", n)
			}
		})
	}
}

func TestFailuresAreExplained(t *testing.T) {
	for want, c := range map[string]struct {
		args []string
		code int
	}{
		"nsq_demo: nsqd: exit status 2; it wrote to stderr:\n  flag provided but not defined: -x\n": {[]string{"-nsqd-arg=--x"}, 1},
		"nsq_demo: to_nsq: exit status 1; it wrote to stderr:\n  ":                                  {[]string{"-nsqd-arg=--max-msg-size=20"}, 1},
		"nsq_demo: fork/exec ":                                 {[]string{"-bin=" + t.TempDir()}, 1},
		"-lines must be positive, is 0\n":                      {[]string{"-lines=0"}, 1},
		"unexpected argument \"x\"\n":                          {[]string{"x", "-restart"}, 1},
		"flag provided but not defined: -x\nUsage of nsq_demo": {[]string{"-x"}, 2},
	} {
		stdout, stderr, code := demo(t, append([]string{"-lines=1000"}, c.args...)...)
		if code != c.code || !strings.HasPrefix(stderr, want) || strings.Contains(stdout, "lines arrived,") {
			t.Errorf("%q: exit code %d, stdout:\n%s\nstderr:\n%s\nwant %d, %s", c.args, code, stdout, stderr, c.code, want)
		}
	}
}
