package nsqd_test

import (
	"net"
	"sync/atomic"
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
		b.listener.Offer(gate)
		c := newRawClient(t, client, bubblePatience)
		c.send([]byte(wire.MagicV2))
		c.consume("t", "c", 1)
		b.dial().pub("t", "hello")
		synctest.Wait() // the pump is about to write the message

		c.send(wire.AppendCls(nil))
		synctest.Wait() // everything that can be done before the message is done
		close(gate.open)
		if gate.overtook.Load() {
			t.Fatal("CLOSE_WAIT was written before a message that is in flight")
		}
		c.wantMessage("hello", 1)
		if f := c.next(); string(f.data) != wire.CloseWait {
			t.Errorf("after the last message came %v", f)
		}
	})
}

// A gatedConn holds messages back until it is opened, and notes what would
// overtake them.
type gatedConn struct {
	net.Conn
	open     chan struct{}
	held     atomic.Bool
	overtook atomic.Bool
}

func (c *gatedConn) Write(b []byte) (int, error) {
	typ, data, _, err := wire.ParseFrame(b, 0)
	switch {
	case err != nil:
	case typ == wire.FrameMessage:
		c.held.Store(true)
		<-c.open
		c.held.Store(false)
	case string(data) == wire.CloseWait && c.held.Load():
		c.overtook.Store(true)
		return len(b), nil
	}
	return c.Conn.Write(b)
}
