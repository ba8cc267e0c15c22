package store

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"
)

// Messages are told apart by their bodies, which are numbers.

// modelChannel is what a channel must and may still give, by body; the values
// are when it is due, 0: not deferred.
type modelChannel struct {
	alive map[int]int64
	maybe map[int]int64 // finished, but perhaps not noted
}

// model is what a store must have.
type model struct {
	channels map[string]*modelChannel
	held     map[int]int64 // of the topic
	whole    [][]int       // messages that are all there, or none
}

func (m *model) clone() *model {
	n := &model{make(map[string]*modelChannel), maps.Clone(m.held), nil}
	for name, c := range m.channels {
		n.channels[name] = &modelChannel{maps.Clone(c.alive), maps.Clone(c.maybe)}
	}
	return n
}

// seen is what one channel of a store gave after a restart.
type seen struct {
	due      map[int]int64 // by body
	attempts map[int]uint16
	lost     int64 // counted before it was read, and not there
}

// conforms tells what contradicts m in what was seen. After a power cut,
// what is on disk alone may be lost.
func (m *model) conforms(all map[string]seen, lossy bool) error {
	if !lossy && len(all) != len(m.channels) {
		return fmt.Errorf("there are %d channels, want %d", len(all), len(m.channels))
	}
	for name, c := range m.channels {
		got, ok := all[name]
		if !ok {
			return fmt.Errorf("channel %s is gone", name)
		}
		if lossy {
			continue
		}
		must := maps.Clone(c.alive)
		maps.Copy(must, m.held)
		for id, due := range must {
			if at, ok := got.due[id]; !ok || due != 0 && at != due {
				return fmt.Errorf("channel %s: message %d, due at %d: %v, due at %d", name, id, due, ok, at)
			}
		}
		for id := range got.due {
			if _, ok := must[id]; !ok {
				if _, ok := c.maybe[id]; !ok {
					return fmt.Errorf("channel %s: message %d should not be there", name, id)
				}
			}
		}
		for _, ids := range m.whole {
			if n := got.count(ids); n > 0 && n < len(ids) {
				return fmt.Errorf("channel %s: of an append of %d messages, %d are there", name, len(ids), n)
			}
		}
	}
	return nil
}

// count returns how many of some messages are there.
func (v seen) count(ids []int) (n int) {
	for _, id := range ids {
		if _, ok := v.due[id]; ok {
			n++
		}
	}
	return n
}

// history is a store and its model under random operations and crashes.
type history struct {
	*model
	fs       *vfs.MemFS
	fsync    bool
	s        *Store
	t        *Topic
	given    map[string]map[int]Message // what was given out and is not finished
	next     int                        // body of the next message
	channel  int
	held     bool
	options  Options
	epoch    int64
	loose    *model       // what there may be while operations run at the same time
	countFS  atomic.Int64 // operations until the snapshot is taken
	dark     atomic.Bool  // it is taken, or about to be
	snapshot atomic.Pointer[vfs.MemFS]
	cfg      vfs.CrashCloneCfg
	log      bytes.Buffer     // errors: there must be none, unless
	lost     bool             // a power cut took something from the disk
	unread   map[string]int64 // by channel, how much of that it may count still
}

// maybeSnapshot takes a picture of the disk when its time has come.
func (h *history) maybeSnapshot(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && h.countFS.Load() > 0 && h.countFS.Add(-1) == 0 {
		h.dark.Store(true)
		h.snapshot.Store(h.fs.CrashClone(h.cfg))
	}
	return nil
}

func (h *history) open(rt *rapid.T) {
	h.options.FS = errorfs.Wrap(h.fs, errorfs.InjectorFunc(h.maybeSnapshot))
	h.s = mustOpenRapid(rt, h.options)
	h.t = h.s.Topics()[0]
	h.fsync = h.t.Durability() == Fsync
	h.given = make(map[string]map[int]Message)
	for _, c := range h.t.Channels() {
		h.given[c.name] = make(map[int]Message)
		h.attach(c)
	}
	if !h.held {
		h.t.Release()
		h.release()
	}
}

func mustOpenRapid(rt *rapid.T, o Options) *Store {
	s, err := Open(o)
	if err != nil {
		rt.Fatalf("open: %v", err)
	}
	return s
}

func (h *history) close() (err error) {
	if h.s != nil {
		err = h.s.Close()
		h.s = nil
	}
	return err
}

// attach has a channel learn the attempts of what was given out.
func (h *history) attach(c *Channel) {
	c.Attempts(func(yield func(uint64, int, uint16)) {
		for _, m := range h.given[c.name] {
			yield(m.Seq(), 1, m.Attempts)
		}
	})
}

// release gives the model's channels what the topic held.
func (h *history) release() {
	for _, c := range h.channels {
		maps.Copy(c.alive, h.model.held)
	}
	clear(h.model.held)
}

// counted reports whether a count is what there is, and what of it a power cut took out of the middle: that is
// counted until it is to be read, which tells that it is lost.
func counted(count, there, lost int64) bool {
	return there <= count && count <= there+lost
}

// look opens a copy of a disk and returns all that is there.
func (h *history) look(rt *rapid.T, fs *vfs.MemFS) map[string]seen {
	o := h.options
	o.FS = fs
	s := mustOpenRapid(rt, o)
	defer s.Close()
	t := s.Topics()[0]
	depths := make(map[*Channel]int64)
	t.Release()
	for _, c := range t.Channels() {
		depths[c] = c.Depth()
	}
	all := make(map[string]seen)
	for _, c := range t.Channels() {
		v := seen{make(map[int]int64), make(map[int]uint16), 0}
		deferred, _ := c.Deferred(0)
		messages, err := c.Next(nil, 1<<20, 1<<30)
		if err != nil {
			rt.Fatalf("next: %v", err)
		}
		if got := int64(len(each(messages))); !counted(depths[c], got, t.lost.Load()) || c.Depth() != 0 {
			rt.Fatalf("channel %s: depth %d, %d messages, depth %d", c.name, depths[c], got, c.Depth())
		}
		due, next, err := c.Due(messages, 1<<62, 1<<20)
		if err != nil || next != 0 || !counted(deferred, int64(len(due)-len(messages)), t.lost.Load()) {
			rt.Fatalf("channel %s: %d deferred, next %d, %v; want %d", c.name, len(due)-len(messages), next, err, deferred)
		}
		for _, m := range due {
			for _, g := range each([]Message{m}) {
				id, err := strconv.Atoi(g.body)
				if _, twice := v.due[id]; twice || err != nil || id >= h.next || g.body != bodyOf(id) {
					rt.Fatalf("channel %s: message %q comes twice, or was not published", c.name, g.body)
				}
				v.due[id], v.attempts[id] = m.Batch.Due, g.attempts
			}
		}
		v.lost = depths[c] + deferred - int64(len(v.due))
		all[c.name] = v
	}
	return all
}

// crash goes on with a snapshot of the disk. before is the model before the
// operation that it was taken in.
func (h *history) crash(rt *rapid.T, fs *vfs.MemFS, before *model, lossy bool) {
	h.countFS.Store(0)
	_ = h.close() // too late to matter
	all := h.look(rt, fs.CrashClone(vfs.CrashCloneCfg{}))
	if err := h.conforms(all, lossy); err != nil {
		if before == nil || before.conforms(all, lossy) != nil {
			rt.Fatalf("after a crash: %v", err)
		}
	}
	h.lost = h.lost || lossy
	if h.log.Len() > 0 && !h.lost {
		rt.Fatalf("after a crash: %s", &h.log)
	}
	h.log.Reset()
	h.resume(rt, fs, all)
}

// resume goes on with what was seen on a disk.
func (h *history) resume(rt *rapid.T, fs *vfs.MemFS, all map[string]seen) {
	h.channels = make(map[string]*modelChannel)
	for name, v := range all {
		h.channels[name] = &modelChannel{v.due, make(map[int]int64)}
	}
	clear(h.model.held)
	h.unread = make(map[string]int64)
	for name, v := range all {
		h.unread[name] = v.lost
	}
	h.held = false
	h.fs = fs
	h.open(rt)
}

// op runs an operation, in which the disk may be pictured for a crash.
func (h *history) op(f func(rt *rapid.T)) func(*rapid.T) {
	return func(rt *rapid.T) {
		if rapid.IntRange(0, 9).Draw(rt, "crash") > 0 {
			f(rt)
			return
		}
		before, fsync := h.clone(), h.fsync
		power := rapid.Bool().Draw(rt, "power cut")
		h.cfg = h.draw(rt, power)
		h.snapshot.Store(nil)
		h.dark.Store(false)
		h.loose = nil
		h.countFS.Store(int64(rapid.IntRange(1, 12).Draw(rt, "operations")))
		f(rt)
		h.countFS.Store(0)
		if fs := h.snapshot.Load(); fs != nil {
			h.crash(rt, fs, cmp.Or(h.loose, before), power && !(fsync && h.fsync))
		}
	}
}

func (h *history) draw(rt *rapid.T, power bool) vfs.CrashCloneCfg {
	rng := rand.New(rand.NewPCG(1, rapid.Uint64().Draw(rt, "seed")))
	if !power {
		return vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng}
	}
	return vfs.CrashCloneCfg{UnsyncedDataPercent: rapid.SampledFrom([]int{0, 30, 70, 100}).Draw(rt, "percent"), RNG: rng}
}

// restart closes cleanly: nothing comes again that was finished.
func (h *history) restart(rt *rapid.T) {
	check(rt, h.close())
	for _, c := range h.channels {
		clear(c.maybe)
	}
	all := h.look(rt, h.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))}))
	if err := h.conforms(all, false); err != nil {
		rt.Fatalf("after a restart: %v", err)
	}
	for name, given := range h.given {
		for id, m := range given {
			if _, there := h.channels[name]; there && all[name].attempts[id] != m.Attempts {
				rt.Fatalf("channel %s: message %d has %d attempts, want %d", name, id, all[name].attempts[id], m.Attempts)
			}
		}
	}
	h.resume(rt, h.fs, all)
}

func TestCrashesKeepWhatWasAcknowledged(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := &history{
			model: &model{make(map[string]*modelChannel), make(map[int]int64), nil},
			fs:    vfs.NewCrashableMem(),
			fsync: rapid.Bool().Draw(rt, "fsync"),
			epoch: hour(0),
		}
		h.options = testOptions(t, h.fs)
		h.options.Logger = slog.New(slog.NewTextHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelError}))
		h.options.SegmentBytes = 1200
		h.options.TailMessages = 12
		h.options.TailBytes = 1 << 11
		h.options.window, h.options.changes = 3, 2
		s := mustOpenRapid(rt, h.options)
		_, err := s.Create("orders", map[bool]Durability{false: Disk, true: Fsync}[h.fsync])
		check(rt, cmp.Or(err, s.Close()))
		h.open(rt)
		defer h.close()
		_, err = h.t.CreateChannel("c0")
		check(rt, err)
		h.channels["c0"] = &modelChannel{make(map[int]int64), make(map[int]int64)}
		h.given["c0"] = make(map[int]Message)
		h.attach(h.t.Channels()[0])
		rt.Repeat(h.operations())
	})
}
