package store

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"pgregory.net/rapid"
)

func (h *history) body() string {
	h.next++
	return bodyOf(h.next - 1)
}

// bodyOf is the body of a message: some are so large that small ones beside them are worth moving.
func bodyOf(id int) string {
	if id%4 == 0 {
		return fmt.Sprintf("%0600d", id)
	}
	return fmt.Sprint(id)
}

func (h *history) durability() Durability {
	if h.fsync {
		return Fsync
	}
	return Disk
}

// dueAt returns some time that is to come.
func (h *history) dueAt(rt *rapid.T) int64 {
	return h.epoch + int64(rapid.IntRange(1, 9).Draw(rt, "hours"))*int64(time.Hour)
}

// publish appends batches; due is 0 for most.
func (h *history) publish(rt *rapid.T, due int64) {
	batches, ids := h.batches(rt, due)
	if err := h.t.Append(batches); err != nil {
		rt.Fatalf("append: %v", err)
	}
	h.published(ids)
}

// published is told of what was appended.
func (h *history) published(ids map[int]int64) {
	maps.Copy(h.model.held, ids)
	if !h.held {
		h.release()
	}
}

// batches makes batches of new messages, which ids has with when they are due.
func (h *history) batches(rt *rapid.T, due int64) (batches []*Batch, ids map[int]int64) {
	ids = make(map[int]int64)
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
	return batches, ids
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
	runs, ids := h.some(rt, c)
	c.Finish(runs)
	h.finished(c, ids)
}

// some returns some of what a channel gave out.
func (h *history) some(rt *rapid.T, c *Channel) (runs []Run, ids []int) {
	some := rapid.IntRange(1, 9).Draw(rt, "some")
	for i, id := range slices.Sorted(maps.Keys(h.given[c.name])) {
		if i%some == 0 || some > 6 {
			one := h.given[c.name][id]
			runs, ids = append(runs, Run{one.Seq(), 1}), append(ids, id)
		}
	}
	return runs, ids
}

func (h *history) finished(c *Channel, ids []int) {
	for _, id := range ids {
		delete(h.given[c.name], id)
		h.channels[c.name].finished(id)
	}
}

func (c *modelChannel) finished(id int) {
	c.maybe[id] = c.alive[id]
	delete(c.alive, id)
}

func (h *history) deferred(c *Channel, id int, due int64) {
	delete(h.given[c.name], id)
	h.channels[c.name].alive[id] = due
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
	dueAt := h.dueAt
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
				h.deferred(c, id, due)
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
		"durability": func(rt *rapid.T) {
			h.fsync = !h.fsync
			check(rt, h.t.SetDurability(h.durability()))
		},
		"together": h.together,
		"hold":     func(*rapid.T) { h.held = true; h.t.Hold() },
		"release":  func(*rapid.T) { h.held = false; h.t.Release(); h.release() },
		"note":     func(*rapid.T) { noteAll(h.s) },
		"note2":    func(*rapid.T) { noteAll(h.s) },
		"rest":     func(*rapid.T) { h.t.rest() },
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

// checkDepth compares what a running channel says with the model.
func (h *history) checkDepth(rt *rapid.T, c *Channel) {
	m := h.channels[c.name]
	want := len(m.alive) - len(h.given[c.name])
	all, _ := c.Deferred(0)
	if !counted(c.Depth()+all, int64(want), h.unread[c.name]) {
		rt.Fatalf("channel %s has %d waiting and %d deferred, want %d in all", c.name, c.Depth(), all, want)
	}
	soon := h.epoch + 5*int64(time.Hour)
	want = 0
	for id, due := range m.alive {
		if _, given := h.given[c.name][id]; !given && due <= soon {
			want++
		}
	}
	if _, due := c.Deferred(soon); !counted(c.Depth()+due, int64(want), h.unread[c.name]) {
		rt.Fatalf("channel %s has %d waiting and %d due soon, want %d in all", c.name, c.Depth(), due, want)
	}
}
