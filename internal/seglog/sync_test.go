package seglog

import (
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestSyncThatIsSwitchedOnLeavesNobodyWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var first atomic.Bool
		wait := make(chan struct{})
		l := openLog(t, Options{FS: vfs.NewMem(), Dir: "log", OnCommit: func([]Record) {
			if first.CompareAndSwap(false, true) {
				<-wait
			}
		}})
		var returned atomic.Int32
		appendOne := func(body string) {
			go func() {
				if err := l.Append([]*Record{messages(body)}); err != nil {
					t.Error(err)
				}
				returned.Add(1)
			}()
			synctest.Wait()
		}
		appendOne("committing")
		appendOne("queued before")
		l.SetSync(true)
		appendOne("queued after")
		close(wait)
		synctest.Wait()
		if n := returned.Load(); n != 3 {
			t.Errorf("%d of 3 appends returned", n)
		}
		wantBodies(t, l, "committing", "queued before", "queued after")
	})
}

func TestSyncAllMakesDurableWhatWasAppendedWithoutSync(t *testing.T) {
	fs := vfs.NewCrashableMem()
	l := openLog(t, Options{FS: fs, Dir: "log", SegmentBytes: 300})
	check(t, SyncDir(fs, "/"))
	var want []string
	for _, body := range []string{"one", "two", "three", "four", "five"} {
		mustAppend(t, l, numbered(body, 1, 100))
		want = append(want, bodies(numbered(body, 1, 100).Payload)...)
	}
	check(t, l.SyncAll())
	mustAppend(t, l, messages("not synced"))
	crashed := openLog(t, Options{FS: fs.CrashClone(vfs.CrashCloneCfg{}), Dir: "log"})
	wantBodies(t, crashed, want...)
}
