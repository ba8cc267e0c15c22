//go:build unix

package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	nethttp "net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/daemon/daemontest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
	"github.com/seed893f581e/nsq/internal/wire"
)

func TestRunsUntilASignal(t *testing.T) {
	process.CheckStop(t, func(tcp, http string) {
		daemontest.Say(t, tcp, "")   // never sends its magic
		daemontest.Say(t, tcp, "  ") // half of it
		daemontest.Say(t, tcp, "  V2PUB t\n\x00\x00\x00\x05half")
		daemontest.Say(t, http, "")
		daemontest.Say(t, http, "POST /pub?topic=t HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
	})
}

func TestSignals(t *testing.T) { process.CheckSignals(t, "nsqd.(*NSQD).Main") }

func TestUnwritableStderrIsSurvived(t *testing.T) { process.CheckUnwritableStderr(t) }

func TestConfigFile(t *testing.T) { process.CheckConfigFile(t) }

func TestHangupReloadsCertificates(t *testing.T) {
	dir := t.TempDir()
	cert, key := certstest.SelfSigned(t, certstest.Named("first")).Write(t, dir, "server")
	d := start(t, "--https-address=127.0.0.1:0", "--tls-cert="+cert, "--tls-key="+key)
	https := daemontest.WaitFor(t, d, ` INFO: HTTPS: listening on (.*)$`)[1]
	if name := servedName(t, https); name != "first" {
		t.Errorf("served %s at the start, want first", name)
	}

	certstest.SelfSigned(t, certstest.Named("second")).Write(t, dir, "server")
	d.Signal(syscall.SIGHUP)
	daemontest.WaitFor(t, d, ` INFO: SIGHUP: certificates reloaded, in force for new connections$`)
	if name := servedName(t, https); name != "second" {
		t.Errorf("served %s after the reload, want second", name)
	}

	if err := os.WriteFile(cert, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.Signal(syscall.SIGHUP)
	daemontest.WaitFor(t, d, ` ERROR: SIGHUP: certificates cannot be reloaded, the old ones stay in force error=.*`+regexp.QuoteMeta(cert))
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

func TestDataPathIsLockedWhileTheProcessLives(t *testing.T) {
	dir := t.TempDir()
	first := start(t, "--data-path="+dir)
	tcp := daemontest.WaitFor(t, first, ` TCP: listening on (.*)$`)[1]

	for _, c := range []struct{ arg, want string }{
		{"--data-path=" + dir, "failed to lock data-path: cannot flock directory " + dir + " - resource temporarily unavailable (possibly in use by another instance of nsqd)"},
		{"--tcp-address=" + tcp, "listen (" + tcp + ") failed - listen tcp " + tcp + ": bind: address already in use"},
	} {
		r := tooltest.Run(t, nil, "nsqd", "--http-address=127.0.0.1:0", c.arg)
		if got, want := strings.Join(process.Fatals(r.Stderr), "\n"), "failed to instantiate nsqd - "+c.want; got != want || r.Code != 1 {
			t.Errorf("%s: got %q, exit code %d, want %q", c.arg, got, r.Code, want)
		}
	}

	first.Signal(syscall.SIGKILL)
	first.End()
	second := start(t, "--data-path="+dir)
	daemontest.WaitFor(t, second, ` TCP: listening on `)
	second.Signal(syscall.SIGTERM)
	if r := second.End(); r.Code != 0 {
		t.Errorf("exit code %d, want 0", r.Code)
	}
}

func TestJSONLog(t *testing.T) {
	process.CheckJSONLog(t, func(tcp, http string) {
		daemontest.Say(t, tcp, "\x00\"\n}")
		daemontest.Say(t, tcp, "  V2IDENTIFY\n\x00\x00\x00\x02{}PUB t\n\x00\x00\x00\x01xSUB t c\nREQ \"\xff\" 1\n")
		daemontest.Say(t, http, "POST /pub?topic=%22t HTTP/1.0\r\nContent-Length: 1\r\n\r\nx")
		daemontest.Say(t, http, "no HTTP\r\n\r\n")
	})
}

// With --drain-on-term, SIGTERM waits for consumers, and SIGUSR1 drains without
// stopping.
func TestDrainBySignals(t *testing.T) {
	for name, end := range map[string]func(d *tooltest.Process, consumer net.Conn, id string){
		"a consumer finishes": func(_ *tooltest.Process, consumer net.Conn, id string) { fmt.Fprintf(consumer, "FIN %s\n", id) },
		"another SIGTERM":     func(d *tooltest.Process, _ net.Conn, _ string) { d.Signal(syscall.SIGTERM) },
		"an interrupt":        func(d *tooltest.Process, _ net.Conn, _ string) { d.Signal(os.Interrupt) },
	} {
		t.Run(name, func(t *testing.T) {
			d := start(t, "--drain-on-term=1h")
			tcp := daemontest.WaitFor(t, d, ` INFO: TCP: listening on (.*)$`)[1]
			http := "http://" + daemontest.WaitFor(t, d, ` INFO: HTTP: listening on (.*)$`)[1]
			consumer, id := inFlight(t, tcp)

			d.Signal(syscall.SIGUSR1)
			daemontest.WaitFor(t, d, ` INFO: DRAIN: publishing is refused, consumers are waited for messages=1 stay=0 `)
			d.Signal(syscall.SIGTERM)
			daemontest.WaitFor(t, d, ` INFO: stopping signal=terminated$`)
			resp, err := nethttp.Get(http + "/health/ready") // it is served on
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := "draining: 1 messages are waited for\n"; resp.StatusCode != 503 || string(body) != want || err != nil {
				t.Errorf("it is not ready because %d %q, %v, want %q", resp.StatusCode, body, err, want)
			}
			if strings.Contains(d.Errors.String(), "NSQ: stopping") {
				t.Error("it stops before it is drained")
			}

			end(d, consumer, id)
			r := d.End()
			if r.Code != 0 {
				t.Errorf("exit code %d, want 0", r.Code)
			}
			if drained := strings.Contains(r.Stderr, " INFO: DRAIN: drained after="); drained != (name == "a consumer finishes") {
				t.Errorf("it was drained: %v", drained)
			}
		})
	}
}

// inFlight returns a consumer with one message in flight, and its id.
func inFlight(t *testing.T, tcp string) (consumer net.Conn, id string) {
	t.Helper()
	consumer, err := net.Dial("tcp", tcp)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { consumer.Close() })
	consumer.SetDeadline(time.Now().Add(30 * time.Second))
	fmt.Fprintf(consumer, "  V2SUB t c\nRDY 1\nPUB t\n\x00\x00\x00\x01x")
	for {
		kind, data, err := wire.ReadFrame(consumer, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if kind == wire.FrameMessage {
			m, err := wire.ParseMessage(data)
			if err != nil {
				t.Fatal(err)
			}
			return consumer, string(m.ID[:])
		}
	}
}
