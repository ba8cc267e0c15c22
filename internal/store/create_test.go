package store

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Channels that are made at the same time are there together, or not at all.
func TestChannelsThatAreMadeAtOnceShareAWrite(t *testing.T) {
	const many = 16
	for _, failure := range []error{nil, syscall.ENOSPC} {
		var writes atomic.Int64
		begun, goOn := make(chan bool), make(chan bool)
		o := testOptions(t, vfs.NewMem())
		o.FS = errorfs.Wrap(o.FS, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind != errorfs.OpCreate || !strings.Contains(op.Path, metaFile) {
				return nil
			}
			switch writes.Add(1) {
			case 2: // the first is that of the topic
				close(begun)
				<-goOn
			case 3:
				return failure
			}
			return nil
		}))
		s := mustOpen(t, o)
		topic, _ := mustCreate(t, s, "orders")
		var wg sync.WaitGroup
		create := func(name string, want error) {
			wg.Go(func() {
				if c, err := topic.CreateChannel(name); !errors.Is(err, want) || (c == nil) != (err != nil) {
					t.Errorf("channel %s: %v", name, err)
				}
			})
		}
		create("first", nil)
		<-begun
		for i := range many {
			create(fmt.Sprint("c", i), failure)
		}
		for waiting := 0; waiting < many; {
			topic.mu.Lock()
			waiting = len(topic.creations)
			topic.mu.Unlock()
		}
		close(goOn)
		wg.Wait()
		if n := writes.Load(); n != 3 {
			t.Errorf("%d writes, want 3", n)
		}
		if _, err := topic.CreateChannel("first"); err == nil {
			t.Error("a channel is there twice")
		}
		want := 1 + many
		if failure != nil {
			want = 1
		}
		s = reopen(t, s, o)
		ids := make(map[uint32]bool)
		for _, c := range s.Topics()[0].Channels() {
			ids[c.id] = true
		}
		if len(ids) != want {
			t.Errorf("%d channels, want %d", len(ids), want)
		}
		mustClose(t, s)
	}
}

// What was published to be deferred while a channel was being made is deferred for that, too, when nothing
// was noted of it before a kill.
func TestAChannelThatWasJustMadeDefersWhatItGets(t *testing.T) {
	mem := vfs.NewCrashableMem()
	o := testOptions(t, mem)
	var meanwhile func()
	o.FS = errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if f := meanwhile; f != nil && op.Kind == errorfs.OpRename && strings.Contains(op.Path, metaFile) {
			meanwhile = nil
			f()
		}
		return nil
	}))
	s := mustOpen(t, o)
	topic, _ := mustCreate(t, s, "orders", "a")
	topic.Release()
	meanwhile = func() {
		later := batch("later")
		later.Due = hour(1)
		mustAppend(t, topic, later, batch("now"))
		noteAll(s)
	}
	if _, err := topic.CreateChannel("b"); err != nil || meanwhile != nil {
		t.Fatal(err, "or nothing was published meanwhile")
	}
	o.FS = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))})
	killed := mustOpen(t, o)
	defer mustClose(t, killed)
	topicNamed(t, killed, "orders").Release()
	for _, c := range topicNamed(t, killed, "orders").Channels() {
		wantBodies(t, next(t, c, 10), []string{"now"})
		if all, _ := c.Deferred(math.MaxInt64); all != 1 {
			t.Errorf("channel %s defers %d messages, want 1", c.name, all)
		}
	}
	mustClose(t, s)
}
