//go:build unix

package main

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func (d *daemon) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := d.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func TestRunsUntilASignal(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		d := start(t)
		tcp := d.waitFor(t, `^\[nsqd\] .* INFO: TCP: listening on (127\.0\.0\.1:\d+)$`)[1]
		d.waitFor(t, `^\[nsqd\] .* INFO: HTTP: listening on (127\.0\.0\.1:\d+)$`)
		silent, err := net.Dial("tcp", tcp) // never sends its magic
		if err != nil {
			t.Fatal(err)
		}
		d.signal(t, s)
		if code := d.exitCode(t); code != 0 {
			t.Errorf("%v: exit code %d, want 0", s, code)
		}
		d.waitFor(t, ` INFO: NSQ: bye$`)
		silent.Close()
	}
}

func TestHangupIsSurvived(t *testing.T) {
	d := start(t, "--log-prefix=broker ")
	d.waitFor(t, ` HTTP: listening on `)
	d.signal(t, syscall.SIGHUP)
	d.waitFor(t, `^broker .* INFO: SIGHUP: `)
	d.signal(t, syscall.SIGHUP)
	d.waitFor(t, `^broker .* INFO: SIGHUP: `)
	d.signal(t, syscall.SIGTERM)
	if code := d.exitCode(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestUnwritableStderrIsSurvived(t *testing.T) {
	d := start(t)
	d.waitFor(t, ` HTTP: listening on `)
	d.stderr.Close()
	d.signal(t, syscall.SIGHUP) // makes it log
	d.signal(t, syscall.SIGTERM)
	if code := d.exitCode(t); code != 0 {
		t.Errorf("exit code %d, want 0: %v", code, d.ProcessState)
	}
}

func TestUnknownKeysAreWarnedOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nsqd.cfg")
	if err := os.WriteFile(path, []byte("sync_timeout = \"5s\"\nmax-msg-size = 5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := start(t, "--config", path)
	d.waitFor(t, ` WARNING: config file \S+nsqd\.cfg - line 2: unknown key "max-msg-size" is ignored, did you mean "max_msg_size"\?$`)
	d.waitFor(t, ` TCP: listening on `)
	d.signal(t, syscall.SIGTERM)
	if code := d.exitCode(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestDataPathIsLockedWhileTheProcessLives(t *testing.T) {
	dir := t.TempDir()
	first := start(t, "--data-path="+dir)
	tcp := first.waitFor(t, ` TCP: listening on (.*)$`)[1]

	for _, c := range []struct{ arg, want string }{
		{"--data-path=" + dir, "failed to lock data-path: cannot flock directory " + dir + " - resource temporarily unavailable (possibly in use by another instance of nsqd)"},
		{"--tcp-address=" + tcp, "listen (" + tcp + ") failed - listen tcp " + tcp + ": bind: address already in use"},
	} {
		_, stderr, code := output(t, "--http-address=127.0.0.1:0", c.arg)
		if got, want := fatals(t, stderr), "failed to instantiate nsqd - "+c.want; got != want || code != 1 {
			t.Errorf("%s: got %q, exit code %d, want %q", c.arg, got, code, want)
		}
	}

	first.signal(t, syscall.SIGKILL)
	first.exitCode(t)
	second := start(t, "--data-path="+dir)
	second.waitFor(t, ` TCP: listening on `)
	second.signal(t, syscall.SIGTERM)
	if code := second.exitCode(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
