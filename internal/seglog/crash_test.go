package seglog

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// history is what a log that syncs was asked to keep, over several power cuts.
type history struct {
	fs   *vfs.MemFS
	l    *Log
	mu   sync.Mutex
	must map[string]uint64 // body → number that it must be found under
	size map[int]int       // append → messages
}

func (h *history) start(t *rapid.T) {
	l, err := Open(Options{
		FS: h.fs, Dir: "log", Sync: true, SegmentBytes: 20 << 10,
		Damage: func(d Damage) { t.Fatalf("damage is told: %+v", d) }, // all that was acknowledged is there
	})
	if err != nil {
		t.Fatal(err)
	}
	h.l = l
	h.check(t)
}

// plan makes an append, whose bodies say which it is of.
func (h *history) plan(t *rapid.T) (records []*Record) {
	id := len(h.size)
	for i := range rapid.IntRange(1, 3).Draw(t, "records") {
		r := moved(1<<63|uint64(len(h.size)*10+i), fmt.Sprintf("%d m%d", id, i))
		if rapid.IntRange(0, 4).Draw(t, "kind") > 0 {
			size := rapid.SampledFrom([]int{10, 100, 3000}).Draw(t, "size")
			r = numbered(fmt.Sprintf("%d %d", id, i), rapid.IntRange(1, 15).Draw(t, "messages"), size)
		}
		records = append(records, r)
		h.size[id] += r.Count
	}
	return records
}

// appendSome has several append at once. If a cut is wanted, it comes at some moment of it:
// what is acknowledged then must be there, and what is not may be.
func (h *history) appendSome(t *rapid.T, cut bool) {
	var wg sync.WaitGroup
	started := make(chan bool, 10)
	dark := false
	for range rapid.IntRange(1, 6).Draw(t, "appenders") {
		records := h.plan(t)
		wg.Go(func() {
			started <- true
			err := h.l.Append(records)
			h.mu.Lock()
			defer h.mu.Unlock()
			if err != nil {
				t.Errorf("append: %v", err)
			}
			if !dark {
				h.acknowledged(records)
			}
		})
	}
	<-started
	var after *vfs.MemFS
	if cut {
		h.mu.Lock()
		dark = true
		h.mu.Unlock()
		after = crash(t, h.fs)
	}
	wg.Wait()
	if cut {
		h.fs = after
		h.start(t)
	}
}

// crashable is a file system that has the directory of a log.
func crashable(t rapid.TB) *vfs.MemFS {
	fs := vfs.NewCrashableMem()
	if err := fs.MkdirAll("log", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := SyncDir(fs, "/"); err != nil {
		t.Fatal(err)
	}
	return fs
}

func crash(t *rapid.T, fs *vfs.MemFS) *vfs.MemFS {
	percent := rapid.SampledFrom([]int{0, 30, 60, 90, 100}).Draw(t, "unsynced")
	seed := rapid.Uint64().Draw(t, "seed")
	return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(seed, 1))})
}

func (h *history) acknowledged(records []*Record) {
	for _, r := range records {
		for i, b := range bodies(r.Payload) {
			h.must[b] = r.First + uint64(i)
		}
	}
}

// check finds all that must be there, each append whole, and nothing else.
func (h *history) check(t *rapid.T) {
	found, parts, last := map[string]uint64{}, map[int]int{}, uint64(0)
	for _, s := range h.l.Segments() {
		err := h.l.Scan(s.ID, func(r Record) error {
			for i, b := range bodies(r.Payload) {
				seq := r.First + uint64(i)
				if r.Kind == Messages && seq <= last {
					t.Fatalf("%d comes after %d", seq, last)
				}
				if r.Kind == Messages {
					last = seq
				}
				number, _, _ := strings.Cut(b, " ")
				id, _ := strconv.Atoi(number)
				found[b] = seq
				parts[id]++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for b, seq := range h.must {
		if found[b] != seq {
			t.Fatalf("%q is found as %d, was acknowledged as %d", b, found[b], seq)
		}
	}
	for id, n := range parts {
		if n != h.size[id] {
			t.Fatalf("of append %d, %d of %d messages are there", id, n, h.size[id])
		}
	}
	if next, _ := h.l.End(); next <= last {
		t.Fatalf("the next number is %d behind %d", next, last)
	}
	h.must = found // what was found stays
}

// forget has what was removed be there or not: a power cut brings it back.
func (h *history) forget(t *rapid.T) {
	h.must = map[string]uint64{}
	h.check(t)
}

func TestPowerCutsKeepWhatWasAcknowledged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{fs: crashable(t), must: map[string]uint64{}, size: map[int]int{}}
		h.start(t)
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) { h.appendSome(t, false) },
			"cut":    func(t *rapid.T) { h.appendSome(t, true) },
			"cut while nothing is under way": func(t *rapid.T) {
				h.fs = crash(t, h.fs)
				h.start(t)
			},
			"close": func(t *rapid.T) {
				if err := h.l.Close(); err != nil {
					t.Fatal(err)
				}
				h.start(t)
			},
			"remove the first": func(t *rapid.T) {
				h.check(t)
				if s := h.l.Segments(); len(s) > 1 {
					if err := h.l.Remove(s[0].ID); err != nil {
						t.Fatal(err)
					}
					h.forget(t)
				}
			},
			"roll": func(*rapid.T) { h.l.Roll() },
			"raise": func(t *rapid.T) {
				next, _ := h.l.End()
				h.l.Raise(next + rapid.Uint64Range(1, 10).Draw(t, "more"))
			},
			"idle": func(*rapid.T) { h.l.Idle() },
			"":     func(*rapid.T) {},
		})
	})
}
