package nsqd_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

func TestExitBeforeAndWhileMainStarts(t *testing.T) {
	for range 20 {
		n, err := nsqd.New(nsqtest.Options(t))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := n.Main(); err != nil {
				t.Errorf("Main: %v", err)
			}
		})
		for range 2 {
			wg.Go(func() {
				if err := n.Exit(); err != nil {
					t.Errorf("Exit: %v", err)
				}
			})
		}
		wg.Wait()
	}
}

func TestExitWithoutMain(t *testing.T) {
	n, err := nsqd.New(nsqtest.Options(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Exit(); err != nil {
		t.Errorf("Exit: %v", err)
	}
}

func TestNewSaysWhatIsWrong(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	inUse := "listen (" + taken.Addr().String() + ") failed - "
	for name, c := range map[string]struct {
		change func(o *nsqd.Options)
		want   string
	}{
		"an option out of range":       {func(o *nsqd.Options) { o.MaxRdyCount = 0 }, "--max-rdy-count must be positive"},
		"a TCP address that is used":   {func(o *nsqd.Options) { o.TCPAddress = taken.Addr().String() }, inUse},
		"an HTTP address that is used": {func(o *nsqd.Options) { o.HTTPAddress = taken.Addr().String() }, inUse},
		"no data path":                 {func(o *nsqd.Options) { o.DataPath = filepath.Join(o.DataPath, "no") }, "failed to lock data-path: open "},
		"metadata that cannot be read": {func(o *nsqd.Options) { makeDir(t, filepath.Join(o.DataPath, "nsqd.dat")) },
			"failed to load metadata - read "},
	} {
		opts := nsqtest.Options(t)
		c.change(opts)
		n, err := nsqd.New(opts)
		if err == nil {
			n.Exit()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: New = %v, want %q", name, err, c.want)
		}
	}
}

func TestDataPathIsLockedWhileInUse(t *testing.T) {
	d := nsqtest.Start(t, nil)
	if _, err := nsqd.New(d.Opts); err == nil || !strings.Contains(err.Error(), "possibly in use by another instance of nsqd") {
		t.Errorf("a second daemon on the data path: %v", err)
	}
	d.Restart() // works at once after the first has stopped
}

func TestLeftOverTemporaryFilesAreRemoved(t *testing.T) {
	opts := nsqtest.Options(t)
	gone := []string{"nsqd.dat.123.tmp", "t:c.deferred.dat.9.tmp"}
	kept := []string{"nsqd.dat.tmp", "mine.tmp", "nsqd.dat.123.tmp.txt"}
	for _, name := range append(gone, kept...) {
		writeFile(t, filepath.Join(opts.DataPath, name), "x")
	}
	nsqtest.Start(t, opts)
	for _, name := range gone {
		if _, err := os.Stat(filepath.Join(opts.DataPath, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	for _, name := range kept {
		if _, err := os.Stat(filepath.Join(opts.DataPath, name)); err != nil {
			t.Errorf("%s, which is not ours, is gone: %v", name, err)
		}
	}
}

// A start that fails, for want of descriptors or by a bad disk, must not cost
// what it could not read.
func TestFailedStartKeepsDeferredMessages(t *testing.T) {
	d := nsqtest.Start(t, nil)
	p := dialRaw(t, d)
	p.dpub("alone", time.Hour, "x")
	dialRaw(t, d).sub("t", "c")
	p.dpub("t", time.Hour, "x")
	p.mpub("t", "1", "2")
	nsqtest.Eventually(t, "the channel has its messages", func() bool {
		counts, _ := d.ChannelCounts("t", "c")
		return counts == nsqd.Counts{Depth: 2, Deferred: 1}
	})
	d.Stop()

	meta := filepath.Join(d.Opts.DataPath, "t:c.diskqueue.meta.dat")
	if err := errors.Join(os.Rename(meta, meta+".saved"), os.Mkdir(meta, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := nsqd.New(d.Opts); err == nil {
		t.Fatal("a meta file that is a directory was read")
	}
	if err := errors.Join(os.Remove(meta), os.Rename(meta+".saved", meta)); err != nil {
		t.Fatal(err)
	}
	d = d.Restart()
	alone, _ := d.TopicCounts("alone")
	channel, _ := d.ChannelCounts("t", "c")
	if (alone != nsqd.Counts{Depth: 1}) || (channel != nsqd.Counts{Depth: 2, OnDisk: 2, Deferred: 1}) {
		t.Errorf("after the failed start the topic has %+v and the channel %+v", alone, channel)
	}
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func makeDir(t *testing.T, name string) {
	t.Helper()
	if err := os.Mkdir(name, 0o700); err != nil {
		t.Fatal(err)
	}
}
