//go:build unix

package main

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

var signals = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP}

func TestSignalBetweenTwoPolls(t *testing.T) {
	d := busy(t)
	for _, s := range signals {
		p := tooltest.Start(t, "nsq_stat", "-topic=t", "-channel=c", "-interval=1h", at(d))
		nsqtest.Eventually(t, "the header", func() bool { return p.Output.String() == header })
		p.Signal(s)
		if r := p.End(); r.Code != 0 || r.Stdout != header || r.Stderr != "" {
			t.Errorf("%v: %+v", s, r)
		}
	}
}

// Daemons that do not answer do not keep it.
func TestSignalWhileItAsks(t *testing.T) {
	for _, s := range signals {
		hung, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer hung.Close()
		p := tooltest.Start(t, "nsq_stat", "-topic=t", "-channel=c", "-http-client-request-timeout=1m", "-nsqd-http-address="+hung.Addr().String())
		nc, err := hung.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		start := time.Now()
		p.Signal(s)
		if r := p.End(); r.Code != 0 || r.Stdout+r.Stderr != "" || time.Since(start) > nsqtest.Patience {
			t.Errorf("%v: %+v after %v", s, r, time.Since(start))
		}
	}
}

// A broker that is away ends it, as any failure does; when it is back, what it
// keeps on disk is shown.
func TestBrokerRestart(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.HTTPAddress = nsqtest.ClosedPort(t)
	d := nsqtest.Start(t, opts)
	tooltest.Publish(t, d, "t", "1", "2", "3")
	tooltest.Receive(t, d, "t", "c", 1)
	args := []string{"-topic=t", "-channel=c", "-interval=20ms", at(d)}
	p := tooltest.Start(t, "nsq_stat", args...)
	nsqtest.Eventually(t, "a row", func() bool { return strings.Count(p.Output.String(), "\n") > 2 })
	d.Stop()
	if r := p.End(); r.Code != 1 || !strings.HasPrefix(r.LastLine(), "ERROR: failed to get topic producers - ") {
		t.Errorf("while it is away: exit code %d, stderr %q", r.Code, r.Stderr)
	}
	d.Restart()
	r := tooltest.Run(t, nil, "nsq_stat", append(args, "-count=1")...)
	if want := header + "      0       0 |       2       0       2     0     0 |       0       0            0       0\n"; r.Code != 0 || r.Stdout != want {
		t.Errorf("when it is back: exit code %d, stdout\n%swant\n%s", r.Code, r.Stdout, want)
	}
}
