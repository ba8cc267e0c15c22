// Package sockets is what the daemons have in common where they listen: on
// host:port or a unix socket, and how a connection is closed so that its peer
// reads the last words.
package sockets

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"
)

// ListenUnix opens a listener on a unix socket. Its file is removed when the
// listener is closed. One that a crash has left behind, a socket on which
// nobody answers, is replaced.
func ListenUnix(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if errors.Is(err, syscall.EADDRINUSE) && removeStale(path) {
		l, err = net.Listen("unix", path)
	}
	return l, explain(path, err)
}

// ListenTCP opens a TCP listener for host:port.
func ListenTCP(address string) (net.Listener, error) {
	host, _, _ := net.SplitHostPort(address)
	if net.ParseIP(host) == nil || strings.Contains(host, ":") {
		l, err := net.Listen("tcp", address)
		return l, explain(address, err)
	}
	l, err := net.Listen("tcp4", address) // so that the log shows the dotted address that was given
	if e, ok := errors.AsType[*net.OpError](err); ok {
		e.Net = "tcp" // as scripts know the text
	}
	return l, explain(address, err)
}

func explain(address string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("listen (%s) failed - %w", address, err)
}

// dialTimeout is for a listener that answers nobody at the moment, but is there.
const dialTimeout = time.Second

// removeStale removes the unix socket at path if nobody listens on it, and
// reports whether it did. What is no socket, or answers, or cannot be told,
// stays.
func removeStale(path string) bool {
	before, err := os.Lstat(path)
	if err != nil || before.Mode().Type() != fs.ModeSocket {
		return false
	}
	conn, err := net.DialTimeout("unix", path, dialTimeout)
	if err == nil {
		conn.Close()
		return false
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return false
	}
	now, err := os.Lstat(path)
	return err == nil && os.SameFile(before, now) && os.Remove(path) == nil
}
