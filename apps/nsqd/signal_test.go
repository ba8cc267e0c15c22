//go:build unix

package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestRunsUntilASignal(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		d := start(t)
		tcp := waitFor(t, d, `^\[nsqd\] .* INFO: TCP: listening on (127\.0\.0\.1:\d+)$`)[1]
		http := waitFor(t, d, `^\[nsqd\] .* INFO: HTTP: listening on (127\.0\.0\.1:\d+)$`)[1]
		say(t, tcp, "")   // never sends its magic
		say(t, tcp, "  ") // half of it
		say(t, tcp, "  V2PUB t\n\x00\x00\x00\x05half")
		say(t, http, "")
		say(t, http, "POST /pub?topic=t HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")

		begin := time.Now()
		d.Signal(s)
		if r := d.End(); r.Code != 0 {
			t.Errorf("%v: exit code %d, want 0", s, r.Code)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%v: the stop took %s", s, took)
		}
		waitFor(t, d, ` INFO: NSQ: bye$`)
	}
}

func TestRunsWithEveryKeyOfTheExampleSet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nsqd.cfg")
	_, everyKeySet := exampleFile(t)
	if err := os.WriteFile(path, []byte(everyKeySet), 0o600); err != nil {
		t.Fatal(err)
	}
	d := start(t, "--strict-config", "--config="+path)
	waitFor(t, d, ` INFO: ID: 617$`)
	waitFor(t, d, ` HTTP: listening on `)
	d.Signal(syscall.SIGTERM)
	if r := d.End(); r.Code != 0 || strings.Contains(r.Stderr, " WARNING: ") {
		t.Errorf("exit code %d, or warnings", r.Code)
	}
}

// say connects, sends the text and stays connected.
func say(t *testing.T, address, text string) {
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

func TestQuitDumpsGoroutines(t *testing.T) {
	d := start(t)
	waitFor(t, d, ` HTTP: listening on `)
	d.Signal(syscall.SIGQUIT)
	if r := d.End(); r.Code != 2 || !strings.Contains(r.Stderr, "SIGQUIT: quit") || !strings.Contains(r.Stderr, "nsqd.(*NSQD).Main") {
		t.Errorf("exit code %d, want 2 and a dump", r.Code)
	}
}

func TestManySignalsAtOnce(t *testing.T) {
	d := start(t)
	waitFor(t, d, ` HTTP: listening on `)
	for _, s := range []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGTERM} {
		if err := d.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
	}
	if r := d.End(); r.Code != 0 {
		t.Errorf("exit code %d, want 0", r.Code)
	}
	waitFor(t, d, ` INFO: NSQ: bye$`)
}

func TestHangupIsSurvived(t *testing.T) {
	d := start(t, "--log-prefix=broker ")
	waitFor(t, d, ` HTTP: listening on `)
	d.Signal(syscall.SIGHUP)
	waitFor(t, d, `^broker .* INFO: SIGHUP: `)
	d.Signal(syscall.SIGHUP)
	waitFor(t, d, `(?s)INFO: SIGHUP: .*INFO: SIGHUP: `)
	d.Signal(syscall.SIGTERM)
	if r := d.End(); r.Code != 0 {
		t.Errorf("exit code %d, want 0", r.Code)
	}
}

func TestHangupReloadsCertificates(t *testing.T) {
	dir := t.TempDir()
	cert, key := certstest.SelfSigned(t, certstest.Named("first")).Write(t, dir, "server")
	d := start(t, "--https-address=127.0.0.1:0", "--tls-cert="+cert, "--tls-key="+key)
	https := waitFor(t, d, ` INFO: HTTPS: listening on (.*)$`)[1]
	if name := servedName(t, https); name != "first" {
		t.Errorf("served %s at the start, want first", name)
	}

	certstest.SelfSigned(t, certstest.Named("second")).Write(t, dir, "server")
	d.Signal(syscall.SIGHUP)
	waitFor(t, d, ` INFO: SIGHUP: certificates reloaded, in force for new connections$`)
	if name := servedName(t, https); name != "second" {
		t.Errorf("served %s after the reload, want second", name)
	}

	if err := os.WriteFile(cert, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Signal(syscall.SIGHUP)
	waitFor(t, d, ` ERROR: SIGHUP: certificates cannot be reloaded, the old ones stay in force error=.*`+regexp.QuoteMeta(cert))
	if name := servedName(t, https); name != "second" {
		t.Errorf("served %s with a broken file, want second", name)
	}

	d.Signal(syscall.SIGTERM)
	if r := d.End(); r.Code != 0 {
		t.Errorf("exit code %d, want 0", r.Code)
	}
}

// servedName is the common name of the certificate that a new connection gets.
func servedName(t *testing.T, address string) string {
	t.Helper()
	nc, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	return nc.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestUnwritableStderrIsSurvived(t *testing.T) {
	cmd := tooltest.Command(t, "nsqd", "--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close() // the program has its own
	for s := bufio.NewScanner(r); !strings.Contains(s.Text(), " HTTP: listening on "); {
		if !s.Scan() {
			t.Fatalf("stderr ended early: %v", s.Err())
		}
	}
	r.Close()
	for _, s := range []os.Signal{syscall.SIGHUP, syscall.SIGTERM} { // both make it log
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestUnknownKeysAreWarnedOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nsqd.cfg")
	if err := os.WriteFile(path, []byte("sync_timeout = \"5s\"\nmax-msg-size = 5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := start(t, "--config", path)
	waitFor(t, d, ` WARNING: config file \S+nsqd\.cfg - line 2: unknown key "max-msg-size" is ignored, did you mean "max_msg_size"\?$`)
	waitFor(t, d, ` TCP: listening on `)
	d.Signal(syscall.SIGTERM)
	if r := d.End(); r.Code != 0 {
		t.Errorf("exit code %d, want 0", r.Code)
	}
}

func TestDataPathIsLockedWhileTheProcessLives(t *testing.T) {
	dir := t.TempDir()
	first := start(t, "--data-path="+dir)
	tcp := waitFor(t, first, ` TCP: listening on (.*)$`)[1]

	for _, c := range []struct{ arg, want string }{
		{"--data-path=" + dir, "failed to lock data-path: cannot flock directory " + dir + " - resource temporarily unavailable (possibly in use by another instance of nsqd)"},
		{"--tcp-address=" + tcp, "listen (" + tcp + ") failed - listen tcp " + tcp + ": bind: address already in use"},
	} {
		r := tooltest.Run(t, nil, "nsqd", "--http-address=127.0.0.1:0", c.arg)
		if got, want := fatals(r.Stderr), "failed to instantiate nsqd - "+c.want; got != want || r.Code != 1 {
			t.Errorf("%s: got %q, exit code %d, want %q", c.arg, got, r.Code, want)
		}
	}

	first.Signal(syscall.SIGKILL)
	first.End()
	second := start(t, "--data-path="+dir)
	waitFor(t, second, ` TCP: listening on `)
	second.Signal(syscall.SIGTERM)
	if r := second.End(); r.Code != 0 {
		t.Errorf("exit code %d, want 0", r.Code)
	}
}
