package nsqd_test

import (
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// A paused topic keeps what is published from its channels, and nothing else.
func TestDeferredMessagesComeWhileTheirTopicIsPausedSinceTheStart(t *testing.T) {
	nsqtest.Parallel(t)
	opts := nsqtest.Options(t)
	opts.Durability = nsqd.Disk
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	c := dialRaw(t, n)
	c.consume("t", "c", 1)
	dialRaw(t, n).mpub("t", "requeued")
	c.req(c.wantMessage("requeued", 1), 500*time.Millisecond)
	c.sync()
	a.post("/topic/pause?topic=t")
	n = n.Restart()
	c = dialRaw(t, n)
	c.consume("t", "c", 1)
	c.fin(c.wantMessage("requeued", 2))
}
