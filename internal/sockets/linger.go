package sockets

import (
	"io"
	"net"
	"time"
)

// lingerTime is how long a peer is given to read what was written last.
const lingerTime = 250 * time.Millisecond

// LingerClose closes conn so that the peer can still read what was written to
// it last: unread input is read for a moment, as closing before it would reset
// the connection. It ends at once where the peer closes, too, or another
// goroutine closes conn.
func LingerClose(conn net.Conn) error {
	if half, ok := conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		conn.SetReadDeadline(time.Now().Add(lingerTime))
		io.Copy(io.Discard, conn)
	}
	return conn.Close()
}
