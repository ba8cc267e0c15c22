//go:build unix

package main

import (
	"testing"

	"github.com/seed893f581e/nsq/internal/daemon/daemontest"
)

// The stop waits for nobody: connections that say nothing, nsqds that are about
// to say something, and consumers that wait for a change.
func TestRunsUntilASignal(t *testing.T) {
	process.CheckStop(t, func(tcp, http string) {
		daemontest.Say(t, tcp, "")   // never sends its magic
		daemontest.Say(t, tcp, "  ") // half of it
		daemontest.Say(t, tcp, "  V1")
		daemontest.Say(t, tcp, "  V1IDENTIFY\n\x00\x00\x00\x09{\"half")
		daemontest.Say(t, http, "")
		daemontest.Say(t, http, "GET /half")
		daemontest.Say(t, http, "GET /watch?topic=t HTTP/1.1\r\nHost: x\r\n\r\n")
	})
}

func TestSignals(t *testing.T) { process.CheckSignals(t, "nsqlookupd.(*NSQLookupd).Main") }

func TestUnwritableStderrIsSurvived(t *testing.T) { process.CheckUnwritableStderr(t) }

func TestConfigFile(t *testing.T) { process.CheckConfigFile(t) }

func TestJSONLog(t *testing.T) {
	process.CheckJSONLog(t, func(tcp, http string) {
		daemontest.Say(t, tcp, "\x00\"\n}")
		daemontest.Say(t, tcp, "  V1REGISTER \"t\"\n")
		daemontest.Say(t, http, "GET /lookup?topic=%22t HTTP/1.0\r\n\r\n")
		daemontest.Say(t, http, "no HTTP\r\n\r\n")
	})
}
