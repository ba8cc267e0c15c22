package store

import (
	"errors"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A channel that cannot be forgotten stays; one that is forgotten goes on until it is
// deleted, and is not there after a power cut before or after that.
func TestForgottenChannelWorksUntilItIsDeleted(t *testing.T) {
	mem := vfs.NewCrashableMem()
	fs, left := fullAfter(mem, 1<<40)
	o := testOptions(t, fs)
	s := mustOpen(t, o)
	topic, channels := mustCreate(t, s, "orders", "stays", "goes")
	topic.Release()
	mustAppend(t, topic, numbered(0, 4))
	c := channels[1]
	finish(c, next(t, c, 1))

	left.Store(0)
	if err := c.Forget(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("on a full disk it is forgotten: %v", err)
	}
	wantChannels(t, mem, o, "stays", "goes")
	left.Store(1 << 40)
	for range 2 {
		if err := c.Forget(); err != nil {
			t.Fatal(err)
		}
	}
	wantDepth(t, c, 3)
	mustAppend(t, topic, numbered(4, 5))
	wantBodies(t, next(t, c, 10), numbers(1, 5))
	wantChannels(t, mem, o, "stays")
	if err := c.Delete(); err != nil {
		t.Fatal(err)
	}
	wantChannels(t, mem, o, "stays")
	mustClose(t, s)
}

// wantChannels opens what a power cut just now leaves.
func wantChannels(t *testing.T, mem *vfs.MemFS, o Options, want ...string) {
	t.Helper()
	o.FS = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(1, 2))})
	s := mustOpen(t, o)
	defer mustClose(t, s)
	var names []string
	for _, c := range s.Topics()[0].Channels() {
		names = append(names, c.Name())
	}
	if !slices.Equal(names, want) {
		t.Errorf("after a power cut there are %q, want %q", names, want)
	}
}
