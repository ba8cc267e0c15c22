// Package sdnotify tells the service manager that started the program how it fares,
// in the way of systemd: each message is a datagram to the socket that NOTIFY_SOCKET
// names. Without that, and on other systems than Linux, it does nothing.
package sdnotify

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// A State is one assignment of a message.
type State string

// The states that have no value of their own.
const (
	Ready    State = "READY=1"    // it serves, or has reloaded
	Stopping State = "STOPPING=1" // it is about to end
	Watchdog State = "WATCHDOG=1" // it still lives
)

// Status is for people: what the program does at present, in one line.
func Status(text string) State {
	return State("STATUS=" + strings.ReplaceAll(text, "\n", "; "))
}

// Extend lets the start or the stop that goes on take that much longer from now on,
// where the time that was set for it is over.
func Extend(d time.Duration) State {
	return State("EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10))
}

// Enabled reports whether there is somebody to tell.
func Enabled() bool { return socket() != "" }

// Send sends one message, if there is somebody to tell. It does not wait for a
// manager that hangs for longer than a second.
func Send(states ...State) error {
	address := socket()
	if address == "" {
		return nil
	}
	var message strings.Builder
	for i, s := range states {
		if i > 0 {
			message.WriteByte('\n')
		}
		message.WriteString(string(s))
	}
	if err := send(address, message.String()); err != nil {
		return fmt.Errorf("service manager not told %q: %w", message.String(), err)
	}
	return nil
}

// WatchdogTime returns after how long without a Watchdog message the manager ends
// the program, 0 if it does not.
func WatchdogTime() time.Duration {
	if !Enabled() {
		return 0
	}
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0 // it is meant for who started this process
	}
	µs, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || µs <= 0 || µs > int64(maxWatchdog/time.Microsecond) {
		return 0
	}
	return time.Duration(µs) * time.Microsecond
}

// maxWatchdog is more than anybody means; systemd writes all ones for never.
const maxWatchdog = 365 * 24 * time.Hour
