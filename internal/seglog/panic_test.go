package seglog

import (
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// panicOnce are options of a log whose OnCommit panics when it is called for the first time.
func panicOnce(sync bool) Options {
	var called atomic.Bool
	return Options{FS: vfs.NewMem(), Dir: "log", Sync: sync, OnCommit: func([]Record) {
		if !called.Swap(true) {
			panic("in OnCommit")
		}
	}}
}

// panicked calls f, and returns what it panics with.
func panicked(f func()) (v any) {
	defer func() { v = recover() }()
	f()
	return nil
}

func TestAPanicOfOnCommitIsThatOfOneAppendAlone(t *testing.T) {
	for _, sync := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			l := openLog(t, panicOnce(sync))
			var started []Appending
			for _, body := range []string{"one", "two", "three"} {
				a, err := l.Start([]*Record{messages(body)})
				check(t, err)
				started = append(started, a)
			}
			if v := panicked(func() { started[1].Wait() }); v != "in OnCommit" {
				t.Errorf("who led the group met %v", v)
			}
			check(t, started[0].Wait())
			check(t, started[2].Wait())
			mustAppend(t, l, messages("later"))
			check(t, l.Roll())
			wantBodies(t, l, "one", "two", "three", "later")
			check(t, l.Close())
		})
	}
}

// Who leads a group that has no room for the own append leads another one, whatever happens.
func TestAPanicOfOnCommitLeavesNoAppendBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, panicOnce(true))
		large, err := l.Start([]*Record{messages(string(make([]byte, groupBytes)))})
		check(t, err)
		if v := panicked(func() { l.Append([]*Record{messages("small")}) }); v != "in OnCommit" {
			t.Errorf("who led the group met %v", v)
		}
		check(t, large.Wait())
		if all := readAll(t, l); len(all) != 2 || all[1].body != "small" {
			t.Errorf("the log has %d messages", len(all))
		}
		check(t, l.Close())
	})
}
