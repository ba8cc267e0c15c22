package store

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

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
}

func (m *model) clone() *model {
	n := &model{make(map[string]*modelChannel), maps.Clone(m.held)}
	for name, c := range m.channels {
		n.channels[name] = &modelChannel{maps.Clone(c.alive), maps.Clone(c.maybe)}
	}
	return n
}

// seen is what one channel of a store gave after a restart.
type seen struct {
	due      map[int]int64 // by body
	attempts map[int]uint16
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
	}
	return nil
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
	countFS  atomic.Int64 // operations until the snapshot is taken
	snapshot atomic.Pointer[vfs.MemFS]
	cfg      vfs.CrashCloneCfg
	log      bytes.Buffer // errors: there must be none, unless
	lost     bool         // a power cut took something from the disk
}

// maybeSnapshot takes a picture of the disk when its time has come.
func (h *history) maybeSnapshot(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && h.countFS.Load() > 0 && h.countFS.Add(-1) == 0 {
		h.snapshot.Store(h.fs.CrashClone(h.cfg))
	}
	return nil
}

func (h *history) open(rt *rapid.T) {
	h.options.FS = errorfs.Wrap(h.fs, errorfs.InjectorFunc(h.maybeSnapshot))
	h.s = mustOpenRapid(rt, h.options)
	h.t = h.s.Topics()[0]
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

// look opens a copy of a disk and returns all that is there.
func (h *history) look(rt *rapid.T, fs *vfs.MemFS, lossy bool) map[string]seen {
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
		v := seen{make(map[int]int64), make(map[int]uint16)}
		deferred, _ := c.Deferred(0)
		messages, err := c.Next(nil, 1<<20, 1<<30)
		if err != nil {
			rt.Fatalf("next: %v", err)
		}
		if got := int64(len(each(messages))); !lossy && (got != depths[c] || c.Depth() != 0) {
			rt.Fatalf("channel %s: depth %d, %d messages, depth %d", c.name, depths[c], got, c.Depth())
		}
		due, next, err := c.Due(messages, 1<<62, 1<<20)
		if err != nil || next != 0 || !lossy && int64(len(due)-len(messages)) != deferred {
			rt.Fatalf("channel %s: %d deferred, next %d, %v; want %d", c.name, len(due)-len(messages), next, err, deferred)
		}
		for _, m := range due {
			for _, g := range each([]Message{m}) {
				id, err := strconv.Atoi(g.body)
				if _, twice := v.due[id]; twice || err != nil || id >= h.next {
					rt.Fatalf("channel %s: message %q comes twice, or is not known", c.name, g.body)
				}
				v.due[id], v.attempts[id] = m.Batch.Due, g.attempts
			}
		}
		all[c.name] = v
	}
	return all
}

// crash goes on with a snapshot of the disk. before is the model before the
// operation that it was taken in.
func (h *history) crash(rt *rapid.T, fs *vfs.MemFS, before *model, lossy bool) {
	h.countFS.Store(0)
	_ = h.close() // too late to matter
	all := h.look(rt, fs.CrashClone(vfs.CrashCloneCfg{}), lossy)
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
		before := h.clone()
		power := rapid.Bool().Draw(rt, "power cut")
		h.cfg = h.draw(rt, power)
		h.snapshot.Store(nil)
		h.countFS.Store(int64(rapid.IntRange(1, 12).Draw(rt, "operations")))
		f(rt)
		h.countFS.Store(0)
		if fs := h.snapshot.Load(); fs != nil {
			h.crash(rt, fs, before, power && !h.fsync)
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

func (h *history) body() string {
	h.next++
	return fmt.Sprint(h.next - 1)
}

// publish appends batches; due is 0 for most.
func (h *history) publish(rt *rapid.T, due int64) {
	var batches []*Batch
	ids := make(map[int]int64)
	for range rapid.IntRange(1, 3).Draw(rt, "batches") {
		var all []string
		for range rapid.IntRange(1, 6).Draw(rt, "messages") {
			ids[h.next] = due
			all = append(all, h.body())
		}
		b := batch(all...)
		b.Due = due
		batches = append(batches, b)
	}
	if err := h.t.Append(batches); err != nil {
		rt.Fatalf("append: %v", err)
	}
	maps.Copy(h.model.held, ids)
	if !h.held {
		h.release()
	}
}

func (h *history) anyChannel(rt *rapid.T) *Channel {
	channels := h.t.Channels()
	return channels[rapid.IntRange(0, len(channels)-1).Draw(rt, "channel")]
}

// take keeps what a channel gave out.
func (h *history) take(rt *rapid.T, c *Channel, messages []Message) {
	m := h.channels[c.name]
	for _, run := range messages {
		for i, g := range each([]Message{run}) {
			id, _ := strconv.Atoi(g.body)
			_, ok := m.alive[id]
			if _, given := h.given[c.name][id]; !ok || given {
				rt.Fatalf("channel %s gave %d: alive %v, given before %v", c.name, id, ok, given)
			}
			one := run
			one.Index, one.Offset = run.Index+i, run.Offset
			for range i {
				one.Offset = nextOffset(run.Batch.Payload, one.Offset)
			}
			one.Count, one.Attempts = 1, g.attempts+1
			h.given[c.name][id] = one
		}
	}
}

func (h *history) finish(rt *rapid.T) {
	c := h.anyChannel(rt)
	m := h.channels[c.name]
	some := rapid.IntRange(1, 9).Draw(rt, "some")
	var runs []Run
	for i, id := range slices.Sorted(maps.Keys(h.given[c.name])) {
		if i%some == 0 || some > 6 {
			one := h.given[c.name][id]
			runs = append(runs, Run{one.Seq(), 1})
			delete(h.given[c.name], id)
			m.maybe[id] = m.alive[id]
			delete(m.alive, id)
		}
	}
	c.Finish(runs)
}

func (h *history) someGiven(rt *rapid.T, c *Channel) (id int, m Message, ok bool) {
	ids := slices.Sorted(maps.Keys(h.given[c.name]))
	if len(ids) == 0 {
		return 0, m, false
	}
	id = rapid.SampledFrom(ids).Draw(rt, "message")
	return id, h.given[c.name][id], true
}

func check(rt *rapid.T, err error) {
	if err != nil {
		rt.Fatal(err)
	}
}

func (h *history) operations() map[string]func(*rapid.T) {
	epoch := hour(0)
	dueAt := func(rt *rapid.T) int64 {
		return epoch + int64(rapid.IntRange(1, 9).Draw(rt, "hours"))*int64(time.Hour)
	}
	ops := map[string]func(*rapid.T){
		"publish":  func(rt *rapid.T) { h.publish(rt, 0) },
		"publish2": func(rt *rapid.T) { h.publish(rt, 0) },
		"dpub":     func(rt *rapid.T) { h.publish(rt, dueAt(rt)) },
		"next": func(rt *rapid.T) {
			c := h.anyChannel(rt)
			messages, err := c.Next(nil, rapid.IntRange(1, 40).Draw(rt, "n"), rapid.IntRange(1, 400).Draw(rt, "bytes"))
			check(rt, err)
			h.take(rt, c, messages)
		},
		"due": func(rt *rapid.T) {
			c := h.anyChannel(rt)
			now := dueAt(rt)
			messages, _, err := c.Due(nil, now, rapid.IntRange(1, 20).Draw(rt, "n"))
			check(rt, err)
			for _, m := range messages {
				if m.Batch.Due > now {
					rt.Fatalf("due at %d came at %d", m.Batch.Due, now)
				}
			}
			h.take(rt, c, messages)
		},
		"finish":  h.finish,
		"finish2": h.finish,
		"defer": func(rt *rapid.T) {
			c := h.anyChannel(rt)
			if id, m, ok := h.someGiven(rt, c); ok {
				due := dueAt(rt)
				check(rt, c.Defer(m, due))
				delete(h.given[c.name], id)
				h.channels[c.name].alive[id] = due
			}
		},
		"adopt": func(rt *rapid.T) {
			c := h.anyChannel(rt)
			id, due := h.next, rapid.SampledFrom([]int64{0, dueAt(rt)}).Draw(rt, "due")
			h.channels[c.name].alive[id] = due
			check(rt, c.Adopt([]Adopted{{ID: 7, Due: due, Body: []byte(h.body())}}))
		},
		"create": func(rt *rapid.T) {
			if len(h.channels) < 4 {
				h.channel++
				name := fmt.Sprint("c", h.channel)
				h.channels[name] = &modelChannel{make(map[int]int64), make(map[int]int64)}
				h.given[name] = make(map[int]Message)
				c, err := h.t.CreateChannel(name)
				check(rt, err)
				h.attach(c)
			}
		},
		"delete": func(rt *rapid.T) {
			if len(h.channels) > 1 {
				c := h.anyChannel(rt)
				delete(h.channels, c.name)
				check(rt, c.Delete())
			}
		},
		"empty": func(rt *rapid.T) {
			c := h.anyChannel(rt)
			h.given[c.name] = make(map[int]Message)
			h.channels[c.name] = &modelChannel{make(map[int]int64), make(map[int]int64)}
			check(rt, c.Empty())
		},
		"empty topic": func(rt *rapid.T) {
			check(rt, h.t.Empty())
			clear(h.model.held)
		},
		"hold":    func(*rapid.T) { h.held = true; h.t.Hold() },
		"release": func(*rapid.T) { h.held = false; h.t.Release(); h.release() },
		"note":    func(*rapid.T) { noteAll(h.s) },
		"note2":   func(*rapid.T) { noteAll(h.s) },
		"rest":    func(*rapid.T) { h.t.rest() },
	}
	for name, f := range ops {
		ops[name] = h.op(f)
	}
	ops["restart"] = h.restart
	ops["kill"] = func(rt *rapid.T) { h.crash(rt, h.fs.CrashClone(h.draw(rt, false)), nil, false) }
	ops["power cut"] = func(rt *rapid.T) { h.crash(rt, h.fs.CrashClone(h.draw(rt, true)), nil, !h.fsync) }
	ops[""] = func(rt *rapid.T) {
		for _, c := range h.t.Channels() {
			h.checkDepth(rt, c)
		}
	}
	return ops
}

// restart closes cleanly: nothing comes again that was finished.
func (h *history) restart(rt *rapid.T) {
	check(rt, h.close())
	for _, c := range h.channels {
		clear(c.maybe)
	}
	all := h.look(rt, h.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))}), false)
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

// checkDepth compares what a running channel says with the model.
func (h *history) checkDepth(rt *rapid.T, c *Channel) {
	m := h.channels[c.name]
	want := len(m.alive) - len(h.given[c.name])
	all, _ := c.Deferred(0)
	if got := c.Depth() + all; got != int64(want) {
		rt.Fatalf("channel %s has %d waiting and %d deferred, want %d in all", c.name, c.Depth(), all, want)
	}
}

func TestCrashesKeepWhatWasAcknowledged(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h := &history{
			model: &model{make(map[string]*modelChannel), make(map[int]int64)},
			fs:    vfs.NewCrashableMem(),
			fsync: rapid.Bool().Draw(rt, "fsync"),
		}
		h.options = testOptions(t, h.fs)
		h.options.Logger = slog.New(slog.NewTextHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelError}))
		h.options.SegmentBytes = 600
		h.options.TailMessages = 12
		h.options.TailBytes = 1 << 11
		h.options.window = 3
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
