package store

import (
	"sync"

	"pgregory.net/rapid"
)

// appending is an append that runs beside others.
type appending struct {
	batches []*Batch
	ids     map[int]int64
	early   bool // it was acknowledged before the disk was pictured
}

// together runs operations at the same time: several appends, what a channel finishes, defers
// and reads, and what is noted, or a change of durability. What a crash meanwhile leaves
// of them is as one of many orders would have it; what was acknowledged before is there.
func (h *history) together(rt *rapid.T) {
	var appends []*appending
	for range rapid.IntRange(2, 4).Draw(rt, "appends") {
		due := rapid.SampledFrom([]int64{0, 0, h.dueAt(rt)}).Draw(rt, "due")
		batches, ids := h.batches(rt, due)
		appends = append(appends, &appending{batches: batches, ids: ids})
	}
	finishing, deferring, reading := h.anyChannel(rt), h.anyChannel(rt), h.anyChannel(rt)
	id, message, defers := h.someGiven(rt, deferring)
	runs, finished := h.some(rt, finishing)
	if finishing == deferring {
		runs, finished = nil, nil
	}
	due := h.dueAt(rt)
	before, durability := h.clone(), h.durability()
	beside := func() error { noteAll(h.s); return nil }
	switch rapid.SampledFrom([]string{"note", "rest", "durability"}).Draw(rt, "beside") {
	case "rest":
		beside = func() error { h.t.rest(); return nil }
	case "durability":
		durability = Disk + Fsync - durability
		beside = func() error { return h.t.SetDurability(durability) }
	}

	var all sync.WaitGroup
	failed := make(chan error, len(appends)+4)
	for _, a := range appends {
		all.Go(func() {
			failed <- h.t.Append(a.batches)
			a.early = !h.dark.Load()
		})
	}
	all.Go(func() { finishing.Finish(runs) })
	all.Go(func() { failed <- beside() })
	if defers {
		all.Go(func() { failed <- deferring.Defer(message, due) })
	}
	var got []Message
	all.Go(func() {
		messages, err := reading.Next(nil, 20, 200)
		got = messages
		failed <- err
	})
	all.Wait()
	close(failed)
	for err := range failed {
		check(rt, err)
	}

	h.fsync = durability == Fsync
	h.loose = before
	for _, a := range appends {
		h.published(a.ids)
		h.loose.mayHave(a, h.held)
	}
	h.finished(finishing, finished)
	for _, id := range finished {
		h.loose.channels[finishing.name].finished(id)
	}
	if defers {
		h.deferred(deferring, id, due)
		h.loose.channels[deferring.name].alive[id] = 0 // whenever it is due
	}
	h.take(rt, reading, got)
}

// mayHave adds an append, all of which there is, or none if it was not acknowledged early.
func (m *model) mayHave(a *appending, held bool) {
	var ids []int
	for id, due := range a.ids {
		ids = append(ids, id)
		if a.early && held {
			m.held[id] = due
		}
		for _, c := range m.channels {
			switch {
			case !a.early:
				c.maybe[id] = due
			case !held:
				c.alive[id] = due
			}
		}
	}
	m.whole = append(m.whole, ids)
}
