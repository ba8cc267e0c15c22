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

// ListenTCP opens a TCP listener for host:port. On 0.0.0.0 it listens for IPv6,
// too, where there is any; its address is the dotted one all the same, so that the
// log shows what was given.
func ListenTCP(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, explain(address, err)
	}
	if host, _, _ := net.SplitHostPort(address); host == "0.0.0.0" {
		return dotted{l}, nil
	}
	return l, nil
}

// dotted is a listener on 0.0.0.0, whose own address is [::].
type dotted struct{ net.Listener }

func (l dotted) Addr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4zero, Port: l.Listener.Addr().(*net.TCPAddr).Port}
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

// CloseListener closes l, which may be closed already.
func CloseListener(l net.Listener) error {
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}
