//go:build !unix

package nsqd

import "net"

// arrived would read from a socket what is there already; here that takes a read that waits.
type arrived struct{}

func (*arrived) read(net.Conn, []byte) int { return 0 }
