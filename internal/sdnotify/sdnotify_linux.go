package sdnotify

import (
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a message may take: a socket whose reader hangs fills up.
const patience = time.Second

// socket returns the path of the manager's socket; "@" begins an abstract one.
func socket() string { return os.Getenv("NOTIFY_SOCKET") }

// send opens the socket anew each time: a manager that is replaced has another one
// under the same name.
func send(address, message string) error {
	conn, err := net.DialTimeout("unixgram", address, patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(message))
	return err
}

// Reloading returns the states that say that a reload has begun, which Ready ends.
// The manager tells by the time whether that Ready is of this reload.
func Reloading() []State {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return []State{"RELOADING=1"}
	}
	return []State{"RELOADING=1", State("MONOTONIC_USEC=" + strconv.FormatInt(now.Nano()/1000, 10))}
}
