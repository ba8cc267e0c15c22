package nsqtest

import (
	"net"
	"strconv"
	"syscall"
	"testing"
)

// A closed port can be listened on again and again; in between nobody listens, and nobody gets it who
// asks for any.
func TestClosedPort(t *testing.T) {
	address := ClosedPort(t)
	for range 3 {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			t.Fatal("somebody listens")
		}
		if l, err := listenOnAny(t, address); err == nil {
			l.Close()
			t.Fatal("somebody else got it")
		}
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		l.Close()
	}
}

// listenOnAny asks for any port, and has the system choose from one.
func listenOnAny(t *testing.T, address string) (net.Listener, error) {
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	const localPortRange = 51 // IP_LOCAL_PORT_RANGE, which systems have since Linux 6.3
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if failed := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, localPortRange, port<<16|port)
		}); failed != nil {
			return failed
		}
		return err
	}}
	return config.Listen(t.Context(), "tcp", "127.0.0.1:0")
}
