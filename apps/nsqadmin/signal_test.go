//go:build unix

package main

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/seed893f581e/nsq/internal/daemon/daemontest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// The stop waits for nobody: neither for connections that say nothing, nor for
// daemons that do not answer.
func TestRunsUntilASignal(t *testing.T) {
	process.CheckStop(t, func(_, http string) {
		daemontest.Say(t, http, "")
		daemontest.Say(t, http, "GET /half")
		daemontest.Say(t, http, "PUT /config/log_level HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nde")
	})
}

func TestSignals(t *testing.T) { process.CheckSignals(t, "nsqadmin.(*NSQAdmin).Main") }

func TestUnwritableStderrIsSurvived(t *testing.T) { process.CheckUnwritableStderr(t) }

func TestConfigFile(t *testing.T) {
	p := process
	p.Args = []string{"--http-address=127.0.0.1:0", "--lookupd-http-address=" + nsqtest.StartLookupd(t, nil).HTTPAddr()}
	p.CheckConfigFile(t)
}

// Whoever copies the example and changes nothing has a console of this host.
func TestExampleFileStartsAsShipped(t *testing.T) {
	d := tooltest.Start(t, "nsqadmin", "--config="+filepath.Join(nsqtest.Root(), "contrib", "nsqadmin.cfg.example"), "--http-address=127.0.0.1:0")
	daemontest.WaitFor(t, d, ` HTTP: listening on `)
	d.Signal(syscall.SIGTERM)
	if r := d.End(); r.Code != 0 {
		t.Errorf("exit code %d: %s", r.Code, r.Stderr)
	}
}

func TestJSONLog(t *testing.T) {
	process.CheckJSONLog(t, func(_, http string) { // the nsqlookupd that nobody runs is logged, too
		daemontest.Say(t, http, "GET /nodes HTTP/1.0\r\n\r\n")
		daemontest.Say(t, http, "POST /api/topics HTTP/1.0\r\nContent-Length: 11\r\n\r\n{\"topic\":\"}")
		daemontest.Say(t, http, "no HTTP\r\n\r\n")
	})
}
