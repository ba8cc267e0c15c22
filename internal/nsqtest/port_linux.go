package nsqtest

import (
	"fmt"
	"syscall"
	"testing"
)

// ClosedPort returns an address nobody listens on. Until the test ends the system gives it to nobody
// who asks for any port, and the test may listen there, again and again.
func ClosedPort(tb testing.TB) string {
	tb.Helper()
	port, err := keepPort(tb)
	if err != nil {
		tb.Fatal("a port: ", err)
	}
	return fmt.Sprint("127.0.0.1:", port)
}

// keepPort binds a socket that never listens to a port. Others that are bound by its number may,
// as long as all of them allow that, as those do of package net.
func keepPort(tb testing.TB) (port int, err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	tb.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return 0, err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	return name.(*syscall.SockaddrInet4).Port, nil
}
