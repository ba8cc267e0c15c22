package nsqd_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// While less is free than the reserve, publishes should go elsewhere, though nothing
// was written and nothing has failed.
func TestNotReadyBelowTheDiskReserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := nsqtest.Options(t)
		opts.MinFreeDisk = 1000
		var free atomic.Int64 // less than 0 where it is not known
		b := startInBubble(t, opts, func(n *nsqd.NSQD) {
			n.MeasureDisk(func() (int64, error) {
				if f := free.Load(); f >= 0 {
					return f, nil
				}
				return 0, errors.New("not known")
			})
		})
		for _, c := range []struct {
			free   int64
			status int
			body   string
		}{
			{1000, 200, "OK\n"},
			{999, 503, "disk full: 999 bytes are free, fewer than the 1000 of --min-free-disk\n"},
			{0, 503, "disk full: 0 bytes are free, fewer than the 1000 of --min-free-disk\n"},
			{-1, 200, "OK\n"},
			{0, 503, "disk full: 0 bytes are free, fewer than the 1000 of --min-free-disk\n"},
			{1 << 40, 200, "OK\n"},
		} {
			free.Store(c.free)
			after(3 * time.Second)
			for path, want := range map[string]struct {
				status int
				body   string
			}{
				"/health/ready": {c.status, c.body},
				"/health/live":  {200, "OK\n"},
				"/ping":         {200, "OK"}, // which is about writes
			} {
				if resp, body := b.do(b.request("GET", path, "")); resp.StatusCode != want.status || body != want.body {
					t.Errorf("with %d bytes free %s answers %d %q, want %d %q", c.free, path, resp.StatusCode, body, want.status, want.body)
				}
			}
			wantValue(t, b.scrape(""), map[bool]float64{true: 1}[c.status == 200], "nsqd_ready")
		}
	})
}
