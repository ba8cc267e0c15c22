package nsqd_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

// TestFullDiskOfDurableTopics fills the disk of a durable topic. Publishes are refused
// with the reason before the reserve is touched, consuming goes on, some messages are
// requeued with a delay all the same; with room again publishing is possible again, and
// what was acknowledged is all there, also after a restart.
func TestFullDiskOfDurableTopics(t *testing.T) {
	opts := durableOptions(t)
	opts.DataPath = smallDisk(t, 48<<20)
	opts.MinFreeDisk = 16 << 20
	opts.MsgTimeout = 2 * time.Second
	opts.MaxRdyCount = 5000
	opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	c := dialRaw(t, n)
	c.sub("t", "c")
	a.post("/channel/create?topic=t&channel=d")
	p := &publisher{t: t, n: n, topic: "t"}
	for range 1100 { // more than may be deferred in memory
		if refused := p.pub(1); refused != "" {
			t.Fatal(refused)
		}
	}
	ballast := filepath.Join(opts.DataPath, "ballast")
	writeFile(t, ballast, strings.Repeat("x", 28<<20))
	refused := p.fill(2000)
	if !strings.HasPrefix(refused, "E_PUB_FAILED PUB failed ") || !strings.Contains(refused, noSpace) || !strings.Contains(refused, "are kept for") {
		t.Errorf("refused with %q", refused)
	}
	p.fillOverHTTP(a, "/pub?topic=t", strings.Repeat("x", 100_000))
	wantPing(t, n, 500, noSpace)

	c.rdy(1100)
	var ids [][wire.MessageIDLen]byte
	for range 1100 {
		ids = append(ids, c.message().ID)
	}
	c.rdy(0)
	c.send([]byte("NOP\n"))
	failed := 0
	for _, id := range ids {
		c.send(wire.AppendReq(nil, id, 2*time.Second)) // none is due before the last is sent
	}
	c.send(wire.AppendTouch(nil, [wire.MessageIDLen]byte{})) // whose answer comes behind theirs
	for {
		f := c.next()
		if strings.HasPrefix(f.data, "E_TOUCH_FAILED") {
			break
		}
		if !strings.HasPrefix(f.data, "E_REQ_FAILED REQ ") || !strings.Contains(f.data, noSpace) {
			t.Fatalf("got %v", f)
		}
		failed++
	}
	if failed != 100 {
		t.Errorf("%d of 1100 REQs failed, want the 100 beyond those in memory", failed)
	}
	c.close()
	wantCounts(t, n, "t", "d", nsqd.Counts{Depth: int64(len(p.acked))})
	p.wantAll("c")

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventuallyWell(t, n) // without a publish
	if refused := p.pub(2000); refused != "" {
		t.Errorf("with space again, refused with %q", refused)
	}
	p.n = n.Restart()
	p.wantAll("d")
	if counts, _ := p.n.ChannelCounts("t", "c"); counts.Depth != 1 {
		t.Errorf("the other channel has %+v, want the one message that it was not given", counts)
	}
}
