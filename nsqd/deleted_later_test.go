package nsqd_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// startWithFailingLogs starts a broker with durable topics. While fails is set, the log of topic t
// takes no message, and cannot be deleted.
func startWithFailingLogs(t *testing.T) (n *nsqtest.NSQD, fails *atomic.Bool) {
	opts := nsqtest.Options(t)
	opts.Durability = nsqd.Disk
	opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
	n = nsqtest.Start(t, opts)
	fails = new(atomic.Bool)
	n.KeepDurableOn(errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
		write := op.Kind == errorfs.OpFileWriteAt && strings.Contains(op.Path, "-t/")
		if fails.Load() && (write || op.Kind == errorfs.OpRename && strings.HasSuffix(op.Path, "-t")) {
			return syscall.EIO
		}
		return nil
	})))
	return n, fails
}

// logsOf returns the directories of topic t in the store.
func logsOf(t *testing.T, n *nsqtest.NSQD) []string {
	t.Helper()
	dirs, err := filepath.Glob(filepath.Join(n.Opts.DataPath, "store", "topics", "*-t"))
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// wantNoLog waits until the log of topic t is deleted, by itself or by a stop, and wants it not to be there
// after a restart.
func wantNoLog(t *testing.T, n *nsqtest.NSQD, atStop bool) {
	t.Helper()
	if len(logsOf(t, n)) == 0 {
		t.Fatal("the log could be deleted")
	}
	if !atStop {
		nsqtest.Eventually(t, "the log is deleted", func() bool { return len(logsOf(t, n)) == 0 })
	}
	if got := statsOf(t, n.Restart()); got != "" {
		t.Errorf("after a restart there is %s", got)
	}
}

// A durable topic whose log cannot be deleted is gone, the answer says that a crash may bring it back, and
// it is deleted when that is possible.
func TestTopicThatCannotBeDeletedNowIsDeletedLater(t *testing.T) {
	for _, atStop := range []bool{false, true} {
		n, fails := startWithFailingLogs(t)
		a := newAPI(t, n)
		a.post("/topic/create?topic=t")
		a.pub("t", "m")
		fails.Store(true)
		a.want(503, `{"message":"NOT_SAVED"}`, "POST", "/topic/delete?topic=t", "")
		a.want(404, `{"message":"TOPIC_NOT_FOUND"}`, "POST", "/topic/delete?topic=t", "")
		fails.Store(false)
		wantNoLog(t, n, atStop)
	}
}

// A publish that fails has made no topic, also where the log that was made for it cannot be deleted
// at once.
func TestLogOfAFailedFirstPublishIsDeletedLater(t *testing.T) {
	for _, atStop := range []bool{false, true} {
		n, fails := startWithFailingLogs(t)
		fails.Store(true)
		newAPI(t, n).want(503, `{"message":"DISK_ERROR"}`, "POST", "/pub?topic=t", "m")
		fails.Store(false)
		wantNoLog(t, n, atStop)
	}
}

// What two deletions of the same name have left is deleted later, both: a log whose topic stays in
// memory, as it could not be made with its channels, and that topic.
func TestWhatTwoDeletionsLeftIsDeletedLater(t *testing.T) {
	for _, atStop := range []bool{false, true} {
		opts := nsqtest.Options(t)
		opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
		n := nsqtest.Start(t, opts)
		var fails atomic.Bool
		var writes atomic.Int64
		n.KeepDurableOn(errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
			channel := op.Kind == errorfs.OpCreate && strings.Contains(op.Path, "meta.json") && writes.Add(1) > 1
			if fails.Load() && (channel || op.Kind == errorfs.OpRename && strings.HasSuffix(op.Path, "-t")) {
				return syscall.EIO
			}
			return nil
		})))
		a := newAPI(t, n)
		a.post("/topic/create?topic=t&durability=memory")
		a.post("/channel/create?topic=t&channel=c")
		stuck := filepath.Join(opts.DataPath, "t.deferred.dat")
		makeDir(t, stuck)
		writeFile(t, filepath.Join(stuck, "x"), "") // so that it cannot be removed
		fails.Store(true)
		a.want(503, `{"message":"DISK_ERROR"}`, "POST", "/topic/create?topic=t&durability=disk", "")
		a.want(503, `{"message":"NOT_SAVED"}`, "POST", "/topic/delete?topic=t", "")
		if err := os.RemoveAll(stuck); err != nil {
			t.Fatal(err)
		}
		fails.Store(false)
		wantNoLog(t, n, atStop)
	}
}
