package store

import (
	"errors"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Wherever the disk becomes full while a store and its first topic are made, what a kill leaves
// has what was acknowledged, and opens without room if it has a topic; else there is no need to.
func TestAFirstTopicOnADiskThatBecomesFull(t *testing.T) {
	for _, d := range []Durability{Disk, Fsync} {
		for writes := range int64(80) {
			mem := vfs.NewCrashableMem()
			fs, left := fullAfter(mem, writes)
			o := testOptions(t, mem)
			o.FS = fs
			var acked []string
			s, err := Open(o)
			if err == nil {
				if topic, err := s.Create("orders", d); err == nil {
					_, err = topic.CreateChannel("a")
					topic.Release()
					for i := range 3 {
						if err == nil && topic.Append([]*Batch{numbered(i, i+1)}) == nil {
							acked = append(acked, numbers(i, i+1)...)
						}
					}
				}
			} else if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("%d writes: %v", writes, err)
			}
			killed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))})
			left.Store(1 << 40)
			if s != nil {
				mustClose(t, s)
			}

			o.FS, left = fullAfter(killed, 0)
			there, err := Exists(o.FS, o.Dir)
			if err != nil || !there && acked != nil {
				t.Fatalf("%d writes: there is a store: %v, %v; acknowledged were %q", writes, there, err, acked)
			}
			if there {
				s := mustOpen(t, o)
				wantFirstTopic(t, s, acked)
				left.Store(1 << 40)
				mustClose(t, s)
			}
			left.Store(1 << 40)
			s = mustOpen(t, o)
			wantFirstTopic(t, s, acked)
			if _, err := s.Create("another", d); err != nil {
				t.Errorf("%d writes: with room: %v", writes, err)
			}
			mustClose(t, s)
		}
	}
}

func wantFirstTopic(t *testing.T, s *Store, acked []string) {
	t.Helper()
	var got []string
	for _, topic := range s.Topics() {
		for _, c := range topic.Channels() {
			topic.Release()
			got = append(got, bodies(next(t, c, 10))...)
		}
	}
	if !slices.Equal(got, acked) {
		t.Errorf("got %q, acknowledged were %q", got, acked)
	}
}
