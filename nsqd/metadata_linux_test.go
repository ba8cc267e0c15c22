package nsqd_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// A broker starts on a full disk, or nobody could consume what fills it, and
// writes nsqd.dat when there is room. A topic in memory is there at once.
func TestStartOnFullDisk(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
	opts.DataPath = nsqtest.SmallDisk(t, 128<<10)
	n := nsqtest.Start(t, opts)
	newAPI(t, n).post("/topic/create?topic=t")
	n.Stop()
	filler := filepath.Join(opts.DataPath, "filler")
	if err := os.WriteFile(filler, bytes.Repeat([]byte{'x'}, 256<<10), 0o600); err == nil {
		t.Fatal("the disk cannot be filled")
	}

	n = n.Restart()
	a := newAPI(t, n)
	a.want(507, `{"message":"NOT_SAVED"}`, "POST", "/topic/create?topic=later", "")
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	nsqtest.Eventually(t, "the topic is saved", func() bool {
		topics, err := savedTopics(opts.DataPath)
		return err == nil && topics["later"] == "later"
	})
	a.want(200, "OK", "GET", "/ping", "")
}
