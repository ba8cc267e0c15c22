package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/daemon/daemontest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, "apps/nsqd") }

var process = daemontest.Process{Name: "nsqd", Args: []string{"--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0"}, Bye: "NSQ: bye"}

func TestVersion(t *testing.T) { process.CheckVersion(t) }

func TestHelp(t *testing.T) { process.CheckHelp(t) }

func TestWrongArgumentsExitWith2(t *testing.T) {
	for want, args := range map[string][]string{
		"flag provided but not defined: -x":                            {"--x"},
		`unexpected argument "5"`:                                      {"--worker-id", "5"},
		`invalid value "60" for flag -msg-timeout: parse error`:        {"--msg-timeout=60"},
		`invalid boolean value "5" for -worker-id: parse error`:        {"--worker-id=5"},
		`invalid value "x" for flag -node-id: parse error`:             {"--version", "--node-id=x"},
		`invalid value "x" for flag -log-level: invalid log level 'x'`: {"--log-level=x"},
	} {
		process.CheckWrongArguments(t, want, args...)
	}
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
		process.CheckFailure(t, c.args, c.want...)
	}
}

// start runs the program on ports of its own choice.
func start(t *testing.T, args ...string) *tooltest.Process {
	t.Helper()
	return process.Start(t, args...)
}

func TestLogLevelChangesAtRunTime(t *testing.T) {
	for word, wantBye := range map[string]bool{"error": false, "info": true} {
		d := start(t, "--log-level=info")
		setLogLevel(t, daemontest.WaitFor(t, d, ` HTTP: listening on (.*)$`)[1], word)
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
