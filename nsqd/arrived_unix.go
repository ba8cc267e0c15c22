//go:build unix

package nsqd

import (
	"net"
	"syscall"
)

// arrived reads from a socket what is there already.
type arrived struct {
	raw  syscall.RawConn
	b    []byte
	n    int
	once func(fd uintptr) bool
}

// read does not wait. It returns 0 where nothing is there, and leaves every error, and
// the end, to the next read that may wait.
func (a *arrived) read(conn net.Conn, b []byte) int {
	if a.raw == nil {
		s, ok := conn.(syscall.Conn)
		if !ok {
			return 0
		}
		raw, err := s.SyscallConn()
		if err != nil {
			return 0
		}
		a.raw = raw
		a.once = func(fd uintptr) bool {
			a.n, _ = syscall.Read(int(fd), a.b)
			return true
		}
	}
	a.b, a.n = b, 0
	if err := a.raw.Read(a.once); err != nil {
		return 0
	}
	a.b = nil
	return max(a.n, 0)
}
