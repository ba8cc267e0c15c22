package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed893f581e/nsq/internal/daemon/daemontest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestMain(m *testing.M) { tooltest.Main(m, "apps/nsqadmin") }

// nobody is a port on which nobody listens, or will.
const nobody = "--lookupd-http-address=127.0.0.1:1"

var process = daemontest.Process{
	Name:     "nsqadmin",
	Args:     []string{"--http-address=127.0.0.1:0", nobody},
	Bye:      "NSQADMIN: bye",
	HTTPOnly: true,
}

func TestVersion(t *testing.T) { process.CheckVersion(t) }

func TestHelp(t *testing.T) { process.CheckHelp(t) }

func TestWrongArgumentsExitWith2(t *testing.T) {
	process.CheckWrongArguments(t, "flag provided but not defined: -x", "--x")
	process.CheckWrongArguments(t, `invalid value "60" for flag -statsd-interval: parse error`, "--version", "--statsd-interval=60")
	process.CheckWrongArguments(t, `invalid value "x" for flag -log-level: invalid log level 'x'`, "--log-level=x")
}

func TestFailuresToStartExitWith1(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	missing := filepath.Join(dir, "missing")
	wrong := write("wrong.cfg", "statsd_interval = 5.5\nhttp_address = \"4171\"\nnsqd_http_addresses = [\"a:1\"]")
	noPEM := write("no.pem", "not PEM")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	address := taken.Addr().String()

	const failed = "failed to instantiate nsqadmin - "
	process.CheckFailure(t, nil, failed+"--nsqd-http-address or --lookupd-http-address required")
	process.CheckFailure(t, []string{"--config=" + missing, nobody}, "failed to load config file "+missing+" - open "+missing+": ")
	process.CheckFailure(t, []string{"--config=" + wrong},
		"failed to load config file "+wrong+" - line 1: failed parsing statsd_interval 5.5: must be a duration",
		failed+`--http-address must be host:port, is "4171" (config file `+wrong+" - line 2: http_address)",
	)
	process.CheckFailure(t, []string{"--config=" + wrong, nobody, "--http-address=:0", "--statsd-interval=1s"},
		"failed to load config file "+wrong+" - line 1: failed parsing statsd_interval 5.5: must be a duration",
		failed+"use --nsqd-http-address or --lookupd-http-address not both (config file "+wrong+" - line 3: nsqd_http_addresses)",
	)
	process.CheckFailure(t, []string{"--http-address=" + address, nobody}, failed+"listen ("+address+") failed - listen tcp "+address+": ")
	process.CheckFailure(t, []string{nobody, "--http-client-tls-cert=" + missing, "--http-client-tls-key=" + noPEM},
		failed+"failed to LoadX509KeyPair "+missing+", "+noPEM+" - open "+missing+": ")
	process.CheckFailure(t, []string{nobody, "--http-client-tls-cert=" + noPEM, "--http-client-tls-key=" + noPEM},
		failed+"failed to LoadX509KeyPair "+noPEM+", "+noPEM+" - tls: failed to find any PEM data")
	process.CheckFailure(t, []string{nobody, "--http-client-tls-root-ca-file=" + missing},
		failed+"failed to read TLS root CA file "+missing+" - open "+missing+": ")
	process.CheckFailure(t, []string{nobody, "--http-client-tls-root-ca-file=" + noPEM}, failed+"failed to AppendCertsFromPEM "+noPEM)
	process.CheckFailure(t, []string{nobody, "--dev-static-dir=" + missing}, failed+"--dev-static-dir "+missing+" - ")
}
