package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what should take a moment.
const patience = 20 * time.Second

func TestMain(m *testing.M) {
	code := m.Run()
	if err := os.RemoveAll(binaryDir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

var binaryDir string // of what binary built, "" for nothing

// binary builds the program once and returns its path.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "nsqd-test")
	if err != nil {
		return "", err
	}
	binaryDir = dir
	path := filepath.Join(dir, "nsqd")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = t.TempDir() // without --data-path, files go here
	return cmd
}

// output runs the program until it ends by itself.
func output(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := command(t, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestVersion(t *testing.T) {
	want := regexp.MustCompile(`^nsqd v1\.\d+\.\d+ \(built w/go1\.\S+\)\n$`)
	for _, arg := range []string{"--version", "-version"} {
		stdout, stderr, code := output(t, arg, "--config=not-read")
		if !want.MatchString(stdout) || stderr != "" || code != 0 {
			t.Errorf("%s: stdout %q, stderr %q, exit code %d", arg, stdout, stderr, code)
		}
	}
}

func TestHelp(t *testing.T) {
	stdout, stderr, code := output(t, "-h")
	if stdout != "" || !strings.HasPrefix(stderr, "Usage of nsqd:\n") || code != 0 {
		t.Errorf("stdout %q, stderr %q, exit code %d", stdout, stderr, code)
	}
}

func TestWrongArgumentsExitWith2(t *testing.T) {
	for want, args := range map[string][]string{
		"flag provided but not defined: -x":                            {"--x"},
		`unexpected argument "5"`:                                      {"--worker-id", "5"},
		`invalid value "60" for flag -msg-timeout: parse error`:        {"--msg-timeout=60"},
		`invalid boolean value "5" for -worker-id: parse error`:        {"--worker-id=5"},
		`invalid value "x" for flag -node-id: parse error`:             {"--version", "--node-id=x"},
		`invalid value "x" for flag -log-level: invalid log level 'x'`: {"--log-level=x"},
	} {
		stdout, stderr, code := output(t, args...)
		if stdout != "" || !strings.HasPrefix(stderr, want) || !strings.Contains(stderr, "\nUsage of nsqd:\n") || code != 2 {
			t.Errorf("%q: stdout %q, stderr %q, exit code %d, want %s and the usage", args, stdout, stderr, code, want)
		}
	}
}

// fatals returns the FATAL lines of stderr without prefix and time.
func fatals(t *testing.T, stderr string) string {
	t.Helper()
	line := regexp.MustCompile(`(?m)^\[nsqd\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} FATAL: (.*)$`)
	var texts []string
	for _, m := range line.FindAllStringSubmatch(stderr, -1) {
		texts = append(texts, m[1])
	}
	return strings.Join(texts, "\n")
}

func TestFailuresToStartExitWith1(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	wrong := filepath.Join(dir, "wrong.cfg")
	if err := os.WriteFile(wrong, []byte("sync_timeout = 5.5\nid = true\nlog_level = \"x\""), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"--config=" + missing}, []string{"failed to load config file " + missing + " - open " + missing + ": "}},
		{[]string{"--config=" + wrong}, []string{
			"failed to load config file " + wrong + ` - line 1: failed parsing sync_timeout 5.5: must be a duration`,
			"failed to load config file " + wrong + ` - line 2: failed parsing id true: must be an integer`,
			"failed to load config file " + wrong + ` - line 3: failed parsing log_level x: invalid log level 'x'`,
		}},
		{[]string{"--node-id=1024", "--sync-timeout=0"}, []string{
			"failed to instantiate nsqd - --node-id must be [0,1024)",
			"failed to instantiate nsqd - --sync-timeout must be positive",
		}},
		{[]string{"--data-path=" + missing}, []string{"failed to instantiate nsqd - failed to lock data-path: open " + missing + ": "}},
		{[]string{"--tcp-address=127.0.0.1:99999"}, []string{"failed to instantiate nsqd - listen (127.0.0.1:99999) failed - listen tcp"}},
	} {
		stdout, stderr, code := output(t, c.args...)
		got := strings.Split(fatals(t, stderr), "\n")
		if stdout != "" || code != 1 || len(got) != len(c.want) {
			t.Errorf("%q: stdout %q, stderr %q, exit code %d", c.args, stdout, stderr, code)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(got[i], want) {
				t.Errorf("%q: got %q, want it to begin with %q", c.args, got[i], want)
			}
		}
	}
}

// daemon is a running program whose log a test reads.
type daemon struct {
	*exec.Cmd
	stderr io.ReadCloser
	lines  chan string   // what it logs; closed at the end of its stderr
	seen   []string      // taken from lines, not yet waited for
	ended  chan struct{} // closed once the program was waited for
}

// start runs the program on ports of its own choice.
func start(t *testing.T, args ...string) *daemon {
	t.Helper()
	d := &daemon{lines: make(chan string, 1000), ended: make(chan struct{})}
	d.Cmd = command(t, append([]string{"--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0"}, args...)...)
	r, w, err := os.Pipe() // not StderrPipe: Wait must not close it while it is read
	if err != nil {
		t.Fatal(err)
	}
	d.stderr, d.Stderr = r, w
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(d.lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			d.lines <- s.Text()
		}
	})
	wg.Go(func() {
		defer close(d.ended)
		_ = d.Wait() // its result is in ProcessState
	})
	t.Cleanup(func() {
		_ = d.Process.Kill() // it may have ended
		r.Close()
		wg.Wait()
	})
	return d
}

// waitFor returns the submatches of a line that matches, which it takes: the
// lines of two listeners come in any order, but each of them once.
func (d *daemon) waitFor(t *testing.T, pattern string) []string {
	t.Helper()
	want, timeout := regexp.MustCompile(pattern), time.After(patience)
	for i, line := range d.seen {
		if m := want.FindStringSubmatch(line); m != nil {
			d.seen = slices.Delete(d.seen, i, i+1)
			return m
		}
	}
	for {
		select {
		case line, ok := <-d.lines:
			if !ok {
				t.Fatalf("the program ended without a line like %s:\n%s", pattern, strings.Join(d.seen, "\n"))
			}
			if m := want.FindStringSubmatch(line); m != nil {
				return m
			}
			d.seen = append(d.seen, line)
		case <-timeout:
			t.Fatalf("no line like %s after %v:\n%s", pattern, patience, strings.Join(d.seen, "\n"))
		}
	}
}

// exitCode waits for the end of the program; -1 is the end by a signal.
func (d *daemon) exitCode(t *testing.T) int {
	t.Helper()
	select {
	case <-d.ended:
		return d.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("still running after %v", patience)
		return 0
	}
}
