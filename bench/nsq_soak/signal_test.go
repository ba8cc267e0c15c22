//go:build unix

package main

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestSignalEndsEverything(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM} {
		p, in, _ := running(t, "-rate=1000", "-topics=1")
		p.Signal(s)
		if r := p.End(); r.Code != 1 || !strings.Contains(r.Stderr, "\nnsq_soak: ") || !strings.Contains(r.Stderr, "signal") {
			t.Errorf("%v: exit code %d, stderr:\n%s", s, r.Code, r.Stderr)
		}
		if nc, err := net.DialTimeout("tcp", in.server.TCP, time.Second); err == nil {
			nc.Close()
			t.Errorf("%v: nsqd still runs", s)
		}
	}
}
