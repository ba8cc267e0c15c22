//go:build unix

package main

import (
	"testing"

	"github.com/seed893f581e/nsq/internal/daemon/daemontest"
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

func TestConfigFile(t *testing.T) { process.CheckConfigFile(t) }
