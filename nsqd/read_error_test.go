package nsqd_test

import (
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// What cannot be read is tried again every second, whatever is published meanwhile, and delivered
// when it can.
func TestReadsThatFailHaveARest(t *testing.T) {
	for name, publish := range map[string]func(p *rawClient, body string){
		"waiting": func(p *rawClient, body string) { p.pub("t", body) },
		"due":     func(p *rawClient, body string) { p.dpub("t", time.Millisecond, body) },
	} {
		t.Run(name, func(t *testing.T) {
			nsqtest.Parallel(t)
			opts := nsqtest.Options(t)
			opts.Durability = nsqd.Disk
			opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
			n := nsqtest.Start(t, opts)
			var fails atomic.Bool
			var failed atomic.Int64
			n.KeepDurableOn(errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if fails.Load() && op.Kind == errorfs.OpFileReadAt && strings.Contains(op.Path, "-t/log/") {
					failed.Add(1)
					return syscall.EIO
				}
				return nil
			})))
			newAPI(t, n).post("/topic/create?topic=t")
			newAPI(t, n).post("/channel/create?topic=t&channel=c")
			p, c := dialRaw(t, n), dialRaw(t, n)
			large := strings.Repeat("x", 1000_000)
			for range 6 { // more than the tail has
				p.pub("t", large)
			}
			fails.Store(true)
			begun := time.Now()
			publish(p, "first")
			c.consume("t", "c", 1)
			nsqtest.Eventually(t, "a read fails", func() bool { return failed.Load() > 0 })
			for range 200 {
				publish(p, "m")
			}
			took := time.Since(begun)
			if n := failed.Load(); n > 2*(1+int64(took/time.Second)) { // of both kinds, if there are
				t.Errorf("%d reads failed in %v", n, took)
			}
			fails.Store(false)
			c.take(207)
		})
	}
}

// What was held and could not be read when its channel came is delivered when it is due, though nothing
// is published or requeued after it.
func TestWhatIsReleasedLateComesWhenItIsDue(t *testing.T) {
	nsqtest.Parallel(t)
	opts := nsqtest.Options(t)
	opts.Durability = nsqd.Disk
	opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
	n := nsqtest.Start(t, opts)
	var fails, failed atomic.Bool
	n.KeepDurableOn(errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if fails.Load() && op.Kind == errorfs.OpFileReadAt && strings.Contains(op.Path, "-t/log/") {
			failed.Store(true)
			return syscall.EIO
		}
		return nil
	})))
	newAPI(t, n).post("/topic/create?topic=t")
	p, c := dialRaw(t, n), dialRaw(t, n)
	p.dpub("t", 3*time.Second, "later")
	fails.Store(true)
	newAPI(t, n).post("/channel/create?topic=t&channel=c")
	if !failed.Load() {
		t.Fatal("nothing was read")
	}
	fails.Store(false)
	c.consume("t", "c", 1)
	c.take(1)
}
