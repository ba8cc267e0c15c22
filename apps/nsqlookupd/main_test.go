package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed893f581e/nsq/internal/daemon/daemontest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, "apps/nsqlookupd") }

var process = daemontest.Process{
	Name: "nsqlookupd",
	Args: []string{"--tcp-address=127.0.0.1:0", "--http-address=127.0.0.1:0"},
	Bye:  "NSQLOOKUPD: bye",
}

func TestVersion(t *testing.T) { process.CheckVersion(t) }

func TestHelp(t *testing.T) { process.CheckHelp(t) }

func TestWrongArgumentsExitWith2(t *testing.T) {
	process.CheckWrongArguments(t, "flag provided but not defined: -x", "--x")
	process.CheckWrongArguments(t, `invalid value "60" for flag -tombstone-lifetime: parse error`, "--version", "--tombstone-lifetime=60")
	process.CheckWrongArguments(t, `invalid value "x" for flag -log-level: invalid log level 'x'`, "--log-level=x")
}

func TestFailuresToStartExitWith1(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	wrong := filepath.Join(dir, "wrong.cfg")
	if err := os.WriteFile(wrong, []byte("tombstone_lifetime = 5.5\nlog_level = \"x\"\nhttp_address = \"4161\""), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()

	process.CheckFailure(t, []string{"--config=" + missing}, "failed to load config file "+missing+" - open "+missing+": ")
	process.CheckFailure(t, []string{"--config=" + wrong},
		"failed to load config file "+wrong+" - line 1: failed parsing tombstone_lifetime 5.5: must be a duration",
		"failed to load config file "+wrong+" - line 2: failed parsing log_level x: invalid log level 'x'",
		`failed to instantiate nsqlookupd - --http-address must be host:port, is "4161" (config file `+wrong+" - line 3: http_address)",
	)
	process.CheckFailure(t, []string{"--tcp-address=" + address, "--http-address=127.0.0.1:0"},
		"failed to instantiate nsqlookupd - listen ("+address+") failed - listen tcp "+address+": ")
	process.CheckFailure(t, []string{"--tcp-address=127.0.0.1:0", "--http-address=" + address},
		"failed to instantiate nsqlookupd - listen ("+address+") failed - listen tcp "+address+": ")
}
