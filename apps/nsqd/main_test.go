package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, "apps/nsqd") }

func TestVersion(t *testing.T) {
	want := regexp.MustCompile(`^nsqd v1\.\d+\.\d+ \(built w/go1\.\S+\)\n$`)
	for _, arg := range []string{"--version", "-version"} {
		r := tooltest.Run(t, nil, "nsqd", arg, "--config=not-read")
		if !want.MatchString(r.Stdout) || r.Stderr != "" || r.Code != 0 {
			t.Errorf("%s: stdout %q, stderr %q, exit code %d", arg, r.Stdout, r.Stderr, r.Code)
		}
	}
}

func TestHelp(t *testing.T) {
	r := tooltest.Run(t, nil, "nsqd", "-h")
	if r.Stdout != "" || !strings.HasPrefix(r.Stderr, "Usage of nsqd:\n") || r.Code != 0 {
		t.Errorf("stdout %q, stderr %q, exit code %d", r.Stdout, r.Stderr, r.Code)
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
		r := tooltest.Run(t, nil, "nsqd", args...)
		if r.Stdout != "" || !strings.HasPrefix(r.Stderr, want) || !strings.Contains(r.Stderr, "\nUsage of nsqd:\n") || r.Code != 2 {
			t.Errorf("%q: stdout %q, stderr %q, exit code %d, want %s and the usage", args, r.Stdout, r.Stderr, r.Code, want)
		}
	}
}

// fatals returns the FATAL lines of stderr without prefix and time.
func fatals(stderr string) string {
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
		{[]string{"--data-path=" + missing, "--sync-every=-1"}, []string{ // mistakes come before anything is opened
			"failed to instantiate nsqd - --sync-every must not be negative, is -1",
		}},
		{[]string{"--tls-required", "--data-path=" + missing}, []string{
			"failed to instantiate nsqd - cannot require TLS client connections without TLS key and cert",
		}},
		{[]string{"--data-path=" + missing}, []string{"failed to instantiate nsqd - failed to lock data-path: open " + missing + ": "}},
		{[]string{"--tcp-address=127.0.0.1:99999"}, []string{"failed to instantiate nsqd - --tcp-address must have a port in [0,65535]"}},
		{[]string{"--tcp-address=192.0.2.1:4150"}, []string{"failed to instantiate nsqd - listen (192.0.2.1:4150) failed - listen tcp 192.0.2.1:4150: "}},
	} {
		r := tooltest.Run(t, nil, "nsqd", c.args...)
		got := strings.Split(fatals(r.Stderr), "\n")
		if r.Stdout != "" || r.Code != 1 || len(got) != len(c.want) {
			t.Errorf("%q: stdout %q, stderr %q, exit code %d", c.args, r.Stdout, r.Stderr, r.Code)
			continue
		}
		for i, want := range c.want {
			if !strings.HasPrefix(got[i], want) {
				t.Errorf("%q: got %q, want it to begin with %q", c.args, got[i], want)
			}
		}
	}
}

// start runs the program on ports of its own choice.
func start(t *testing.T, args ...string) *tooltest.Process {
	t.Helper()
	p := tooltest.Start(t, "nsqd", append([]string{"--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0"}, args...)...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%q logged:\n%s", args, p.Errors.String())
		}
	})
	return p
}

// waitFor waits until whole lines of the program's log match, and returns the
// submatches.
func waitFor(t *testing.T, p *tooltest.Process, pattern string) (match []string) {
	t.Helper()
	want := regexp.MustCompile("(?m)" + pattern)
	nsqtest.Eventually(t, "the log has a line like "+pattern, func() bool {
		text := p.Errors.String()
		match = want.FindStringSubmatch(text[:strings.LastIndexByte(text, '\n')+1])
		return match != nil
	})
	return match
}

func TestLogLevelChangesAtRunTime(t *testing.T) {
	for word, wantBye := range map[string]bool{"error": false, "info": true} {
		d := start(t, "--log-level=info")
		setLogLevel(t, waitFor(t, d, ` HTTP: listening on (.*)$`)[1], word)
		if err := d.Process.Signal(os.Interrupt); err != nil {
			t.Skipf("this system cannot send an interrupt: %v", err)
		}
		r := d.End()
		if bye := strings.Contains(r.Stderr, " INFO: NSQ: bye\n"); r.Code != 0 || bye != wantBye {
			t.Errorf("%s: exit code %d, last line logged: %v, want %v", word, r.Code, bye, wantBye)
		}
	}
}

func setLogLevel(t *testing.T, address, word string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+address+"/config/log_level", strings.NewReader(word))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("PUT /config/log_level %s: %s", word, resp.Status)
	}
}
