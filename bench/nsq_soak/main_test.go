package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/process"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, "apps/nsqd", "bench/nsq_soak") }

// soaked runs the program in this process, with the real nsqd.
func soaked(t *testing.T, args ...string) (dir, stdout, stderr string, code int) {
	t.Helper()
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	dir = t.TempDir()
	var out, errs bytes.Buffer
	code = run(append([]string{"-nsqd=" + process.In(tooltest.Bin, "nsqd"), "-dir=" + dir}, args...), &out, &errs)
	return dir, out.String(), errs.String(), code
}

// columns returns the table by channel and column.
func columns(t *testing.T, stdout string) map[string]map[string]int {
	t.Helper()
	all := make(map[string]map[string]int)
	var names []string
	for line := range strings.Lines(stdout) {
		cells := regexp.MustCompile(`\s{2,}`).Split(strings.TrimSpace(line), -1)
		switch {
		case cells[0] == "channel":
			names = cells
		case strings.Contains(cells[0], "/") && len(cells) == len(names):
			all[cells[0]] = make(map[string]int)
			for i, cell := range cells[1:] {
				n, err := strconv.Atoi(cell)
				if err != nil {
					t.Fatal(err)
				}
				all[cells[0]][names[i+1]] = n
			}
		}
	}
	return all
}

func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("it loads nsqd for some seconds")
	}
	dir, stdout, stderr, code := soaked(t, "-for=6s", "-restarts=2", "-rate=3000", "-topics=2", "-mem-queue-size=200", "-progress=1s")
	if code != 0 || !strings.HasSuffix(stdout, "\nevery message is accounted for, and nsqd counts as we do\n") {
		t.Fatalf("exit code %d, stdout:\n%s\nstderr:\n%s", code, stdout, stderr)
	}
	if !strings.HasPrefix(stderr, "-seed=") || !regexp.MustCompile(`(?m)^\d+s: \d+ published, \d+ finished, \d+ delivered again$`).MatchString(stderr) {
		t.Errorf("stderr:\n%s", stderr)
	}
	table := columns(t, stdout)
	if len(table) != 6 {
		t.Fatalf("stdout:\n%s", stdout)
	}
	for channel, c := range table {
		if c["published"] < 1000 || c["finished"] < c["published"] || c["received"] < c["finished"] {
			t.Errorf("%s: %v", channel, c)
		}
		if strings.HasSuffix(channel, "/rough") && (c["requeued"] == 0 || c["timed out"]+c["conn lost"] == 0) {
			t.Errorf("%s was not rough: %v", channel, c)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestMistakesAreTold(t *testing.T) {
	for want, c := range map[string]struct {
		args []string
		code int
	}{
		"-for must be positive, is 0s\n-rate must be positive, is -1\n":         {[]string{"-for=0", "-rate=-1"}, 1},
		"unexpected arguments [\"x\"]\n":                                        {[]string{"x"}, 1},
		"flag provided but not defined: -x\nUsage of nsq_soak":                  {[]string{"-x"}, 2},
		"-seed=7\nthe log of nsqd is kept: ":                                    {[]string{"-seed=7", "-nsqd=" + filepath.Join(t.TempDir(), "none")}, 1},
		"-topics must be positive, is 0\n-restarts must not be negative, is -1": {[]string{"-topics=0", "-restarts=-1"}, 1},
	} {
		_, stdout, stderr, code := soaked(t, c.args...)
		if code != c.code || !strings.HasPrefix(stderr, want) || stdout != "" {
			t.Errorf("%q: exit code %d, stdout:\n%s\nstderr:\n%s\nwant %d, %s", c.args, code, stdout, stderr, c.code, want)
		}
	}
}

// Growth beyond the tolerance is told, as is any goroutine or descriptor.
func TestGrowthIsFound(t *testing.T) {
	before := &needs{resident: 20 << 20, heap: 10 << 20, goroutines: 20, files: 13}
	for want, now := range map[string]needs{
		"":                 {resident: 26 << 20, heap: 15 << 20, goroutines: 20, files: 13},
		"resident memory:": {resident: 27 << 20, heap: 10 << 20, goroutines: 20, files: 13},
		"heap:":            {resident: 20 << 20, heap: 16 << 20, goroutines: 20, files: 13},
		"21 goroutines":    {resident: 20 << 20, heap: 10 << 20, goroutines: 21, files: 13},
		"14 open":          {resident: 20 << 20, heap: 10 << 20, goroutines: 20, files: 14},
	} {
		got := strings.Join(now.exceed(before), "\n")
		if !strings.HasPrefix(got, want) || (want == "") != (got == "") {
			t.Errorf("%+v: %q, want %q", now, got, want)
		}
	}
}
