package sdnotify

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// manager is a socket at an address, and what is read from it.
func manager(t *testing.T, address string) (receive func() string) {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", address)
	return func() string {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
}

func TestSend(t *testing.T) {
	for name, address := range map[string]string{
		"a socket with a path": filepath.Join(t.TempDir(), "notify"),
		"an abstract socket":   "@sdnotify-test-" + strconv.Itoa(os.Getpid()),
	} {
		t.Run(name, func(t *testing.T) {
			receive := manager(t, address)
			for _, c := range []struct {
				states []State
				want   string
			}{
				{[]State{Ready, Status("serving")}, "READY=1\nSTATUS=serving"},
				{[]State{Stopping}, "STOPPING=1"},
				{[]State{Watchdog}, "WATCHDOG=1"},
				{[]State{Status("one\ntwo=2")}, "STATUS=one; two=2"},
				{[]State{Extend(1500 * time.Millisecond)}, "EXTEND_TIMEOUT_USEC=1500000"},
			} {
				if err := Send(c.states...); err != nil {
					t.Fatal(err)
				}
				if got := receive(); got != c.want {
					t.Errorf("%q: received %q, want %q", c.states, got, c.want)
				}
			}
		})
	}
}

// A manager compares the time with its own clock, which is that of the machine.
func TestReloadingTellsTheTime(t *testing.T) {
	clock := func() int64 {
		text, ok := strings.CutPrefix(string(Reloading()[1]), "MONOTONIC_USEC=")
		µs, err := strconv.ParseInt(text, 10, 64)
		if !ok || err != nil {
			t.Fatalf("%q is no time", Reloading())
		}
		return µs
	}
	if first := Reloading()[0]; first != "RELOADING=1" {
		t.Errorf("begins with %s", first)
	}
	began := time.Now()
	from := clock()
	for clock() == from { // its unit is long for a machine
	}
	took := time.Duration(clock()-from) * time.Microsecond
	if limit := time.Since(began) + time.Microsecond; took <= 0 || took > limit {
		t.Errorf("%v went by on that clock, on another at most %v", took, limit)
	}
}

func TestNobodyToTell(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	t.Setenv("WATCHDOG_USEC", "1000000")
	if Enabled() || WatchdogTime() != 0 {
		t.Errorf("Enabled is %v, WatchdogTime %v", Enabled(), WatchdogTime())
	}
	if err := Send(Ready); err != nil {
		t.Error(err)
	}
}

func TestAManagerThatIsGone(t *testing.T) {
	address := filepath.Join(t.TempDir(), "gone")
	t.Setenv("NOTIFY_SOCKET", address)
	err := Send(Ready)
	if err == nil || !strings.Contains(err.Error(), `service manager not told "READY=1": `) || !strings.Contains(err.Error(), address) {
		t.Errorf("got %v", err)
	}
}

// A socket that nobody reads from is full at some time.
func TestAManagerThatHangsIsNotWaitedFor(t *testing.T) {
	manager(t, filepath.Join(t.TempDir(), "notify"))
	var err error
	for began := time.Now(); err == nil; err = Send(Watchdog) {
		if time.Since(began) > time.Minute {
			t.Fatal("the socket takes everything")
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v, want a time-out", err)
	}
}

func TestWatchdogTime(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "@somebody")
	self := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		µs, pid string
		want    time.Duration
	}{
		{"60000000", "", time.Minute},
		{"1500000", self, 1500 * time.Millisecond},
		{"60000000", "1" + self, 0},
		{"", "", 0},
		{"0", "", 0},
		{"-1", "", 0},
		{"soon", "", 0},
		{"18446744073709551615", "", 0},
		{"9223372036854775807", "", 0},
	} {
		t.Setenv("WATCHDOG_USEC", c.µs)
		t.Setenv("WATCHDOG_PID", c.pid)
		if got := WatchdogTime(); got != c.want {
			t.Errorf("WATCHDOG_USEC=%s WATCHDOG_PID=%s: %v, want %v", c.µs, c.pid, got, c.want)
		}
	}
}
