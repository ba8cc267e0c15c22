package nsqd_test

import (
	"net"
	"testing"
	"testing/synctest"

	"github.com/seed893f581e/nsq/internal/wire"
)

// A client that asks for no more messages may go once its last one is
// answered, so none may come after CLOSE_WAIT.
func TestNoMessageFollowsCloseWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		client, server := net.Pipe()
		gate := &gatedConn{Conn: server, open: make(chan struct{})}
		b.listener.conns <- gate
		c := newRawClient(t, client, bubblePatience)
		c.send([]byte(wire.MagicV2))
		c.consume("t", "c", 1)
		b.dial().pub("t", "hello")
		synctest.Wait() // the pump is about to write the message

		c.send(wire.AppendCls(nil))
		synctest.Wait() // everything that can be done before the message is done
		close(gate.open)
		synctest.Wait()
		c.wantMessage("hello", 1)
		if f := c.next(); string(f.data) != wire.CloseWait {
			t.Errorf("after the last message came %v", f)
		}
	})
}

// A gatedConn holds messages back until it is opened.
type gatedConn struct {
	net.Conn
	open chan struct{}
}

func (c *gatedConn) Write(b []byte) (int, error) {
	if typ, _, _, err := wire.ParseFrame(b, 0); err == nil && typ == wire.FrameMessage {
		<-c.open
	}
	return c.Conn.Write(b)
}
