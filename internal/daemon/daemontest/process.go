package daemontest

import (
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// A Process is a program that tooltest.Main built, as its tests start it.
type Process struct {
	Name string
	Args []string // with which it listens on free ports
	Bye  string   // the daemon's last words

	HTTPOnly bool // it has no TCP listener of another kind
}

// Start runs the program with further arguments. What it logged is shown when
// the test fails.
func (p Process) Start(t *testing.T, args ...string) *tooltest.Process {
	t.Helper()
	d := tooltest.Start(t, p.Name, append(p.Args[:len(p.Args):len(p.Args)], args...)...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s %q logged:\n%s", p.Name, args, d.Errors.String())
		}
	})
	return d
}

// WaitFor waits until whole lines of a program's log match, and returns the
// submatches.
func WaitFor(t *testing.T, d *tooltest.Process, pattern string) (match []string) {
	t.Helper()
	want := regexp.MustCompile("(?m)" + pattern)
	nsqtest.Eventually(t, "the log has a line like "+pattern, func() bool {
		text := d.Errors.String()
		match = want.FindStringSubmatch(text[:strings.LastIndexByte(text, '\n')+1])
		return match != nil
	})
	return match
}

// Fatals returns the FATAL lines of stderr without prefix and time.
func (p Process) Fatals(stderr string) (texts []string) {
	line := regexp.MustCompile(`(?m)^\[` + p.Name + `\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} FATAL: (.*)$`)
	for _, m := range line.FindAllStringSubmatch(stderr, -1) {
		texts = append(texts, m[1])
	}
	return texts
}

// Say connects, sends the text and stays connected.
func Say(t *testing.T, address, text string) {
	t.Helper()
	nc, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if _, err := nc.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// CheckVersion expects the words that scripts match.
func (p Process) CheckVersion(t *testing.T) {
	want := regexp.MustCompile(`^` + p.Name + ` v1\.\d+\.\d+ \(built w/go1\.\S+\)\n$`)
	for _, arg := range []string{"--version", "-version"} {
		r := tooltest.Run(t, nil, p.Name, arg, "--config=not-read")
		if !want.MatchString(r.Stdout) || r.Stderr != "" || r.Code != 0 {
			t.Errorf("%s: stdout %q, stderr %q, exit code %d", arg, r.Stdout, r.Stderr, r.Code)
		}
	}
}

// CheckHelp expects the usage, which is no failure.
func (p Process) CheckHelp(t *testing.T) {
	for _, arg := range []string{"-h", "--help"} {
		r := tooltest.Run(t, nil, p.Name, arg)
		if r.Stdout != "" || !strings.HasPrefix(r.Stderr, "Usage of "+p.Name+":\n") || r.Code != 0 {
			t.Errorf("%s: stdout %q, stderr %q, exit code %d", arg, r.Stdout, r.Stderr, r.Code)
		}
	}
}

// CheckWrongArguments expects exit code 2, and stderr to begin with the text.
func (p Process) CheckWrongArguments(t *testing.T, want string, args ...string) {
	t.Helper()
	r := tooltest.Run(t, nil, p.Name, args...)
	if r.Stdout != "" || !strings.HasPrefix(r.Stderr, want) || !strings.Contains(r.Stderr, "\nUsage of "+p.Name+":\n") || r.Code != 2 {
		t.Errorf("%q: stdout %q, stderr %q, exit code %d, want %s and the usage", args, r.Stdout, r.Stderr, r.Code, want)
	}
}

// CheckFailure expects exit code 1, and a FATAL line that begins with each of
// the texts.
func (p Process) CheckFailure(t *testing.T, args []string, want ...string) {
	t.Helper()
	r := tooltest.Run(t, nil, p.Name, args...)
	got := p.Fatals(r.Stderr)
	if r.Stdout != "" || r.Code != 1 || len(got) != len(want) {
		t.Errorf("%q: stdout %q, stderr %q, exit code %d", args, r.Stdout, r.Stderr, r.Code)
		return
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("%q: got %q, want it to begin with %q", args, got[i], want[i])
		}
	}
}
