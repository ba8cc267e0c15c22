package clustertest

import (
	"strings"
	"syscall"
	"testing"

	"github.com/seed893f581e/nsq/internal/daemon/daemontest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

func TestMain(m *testing.M) {
	tooltest.Main(m, "apps/nsqd", "apps/nsqlookupd", "apps/to_nsq", "apps/nsq_to_nsq", "apps/nsq_to_file")
}

// processes makes real ones.
type processes struct{}

func (processes) lookupd(t *testing.T) node { return newProcess(t, "nsqlookupd") }

func (processes) nsqd(t *testing.T, lookupds ...node) node {
	args := []string{"--https-address=", "--data-path=" + t.TempDir()}
	for _, l := range lookupds {
		args = append(args, "--lookupd-tcp-address="+l.tcp())
	}
	return newProcess(t, "nsqd", args...)
}

// A process is a daemon as a process.
type process struct {
	t          *testing.T
	name       string
	args       []string
	tcpAddress string
	httpURL    string
	*tooltest.Process
}

// newProcess starts a daemon on ports of its own.
func newProcess(t *testing.T, name string, args ...string) *process {
	p := &process{t: t, name: name, args: append(args, "--broadcast-address=127.0.0.1"), tcpAddress: "127.0.0.1:0", httpURL: "http://127.0.0.1:0"}
	p.start()
	return p
}

func (p *process) tcp() string  { return p.tcpAddress }
func (p *process) http() string { return p.httpURL }

func (p *process) start() {
	p.t.Helper()
	addresses := []string{"--tcp-address=" + p.tcpAddress, "--http-address=" + strings.TrimPrefix(p.httpURL, "http://")}
	d := tooltest.Start(p.t, p.name, append(addresses, p.args...)...)
	p.t.Cleanup(func() {
		if p.t.Failed() {
			p.t.Logf("%s %s logged:\n%s", p.name, p.tcpAddress, d.Errors.String())
		}
	})
	p.Process = d
	p.tcpAddress = daemontest.WaitFor(p.t, d, ` INFO: TCP: listening on (\S+)$`)[1]
	p.httpURL = "http://" + daemontest.WaitFor(p.t, d, ` INFO: HTTP: listening on (\S+)$`)[1]
}

func (p *process) stop() {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	if r := p.End(); r.Code != 0 {
		p.t.Errorf("%s ended with exit code %d", p.name, r.Code)
	}
}

// kill ends it without a warning.
func (p *process) kill() {
	p.t.Helper()
	p.Signal(syscall.SIGKILL)
	p.End()
}
