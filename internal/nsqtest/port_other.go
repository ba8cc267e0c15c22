//go:build !linux

package nsqtest

import (
	"net"
	"testing"
)

// ClosedPort returns an address nobody listens on, and the test may. The system may give it to
// somebody else.
func ClosedPort(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
