package daemontest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed893f581e/nsq/internal/sdnotify/sdnotifytest"
)

// CheckServiceManager runs the program as systemd does a service of Type=notify with
// a watchdog, with both kinds of sockets that there are, and without the watchdog.
func (p Process) CheckServiceManager(t *testing.T) {
	for name, address := range map[string]string{
		"a socket with a path": filepath.Join(t.TempDir(), "notify"),
		"an abstract socket":   fmt.Sprintf("@%s-test-%d", p.Name, os.Getpid()),
	} {
		t.Run(name, func(t *testing.T) {
			m := sdnotifytest.New(t, address)
			t.Setenv("NOTIFY_SOCKET", address)
			t.Setenv("WATCHDOG_USEC", "20000")
			d := p.Start(t)
			m.Await(1, "READY=1")
			running(t, d)
			m.Await(3, "WATCHDOG=1")
			d.Signal(syscall.SIGHUP)
			m.Await(1, "RELOADING=1")
			m.Await(2, "READY=1")
			stops(t, d)
			all := m.All()
			if all[0] != "STATUS=loading" || m.Count("STOPPING=1\nSTATUS=stopping") != 1 || m.Count("READY=1") != 2 {
				t.Errorf("the manager was told %q", all)
			}
		})
	}
	t.Run("without a watchdog", func(t *testing.T) {
		address := filepath.Join(t.TempDir(), "notify")
		m := sdnotifytest.New(t, address)
		t.Setenv("NOTIFY_SOCKET", address)
		t.Setenv("WATCHDOG_USEC", "20000")
		t.Setenv("WATCHDOG_PID", "1") // of who started this
		d := p.Start(t)
		m.Await(1, "READY=1")
		running(t, d)
		stops(t, d)
		if m.Count("WATCHDOG=1") != 0 {
			t.Errorf("the manager was told %q", m.All())
		}
	})
	t.Run("options that are wrong", func(t *testing.T) {
		address := filepath.Join(t.TempDir(), "notify")
		m := sdnotifytest.New(t, address)
		t.Setenv("NOTIFY_SOCKET", address)
		p.CheckFailure(t, append(p.Args[:len(p.Args):len(p.Args)], "--http-address=127.0.0.1:99999"), "failed to instantiate "+p.Name)
		if told := strings.Join(m.All(), " "); strings.Contains(told, "READY") {
			t.Errorf("the manager was told %q", told)
		}
	})
}
