package store

import (
	"slices"
	"sort"
)

// deferred is what a channel knows of its deferred messages: the next ones in
// a window, those that were given out, and changes that the index is to learn.
// The channel's mu guards it.
type deferred struct {
	size     int     // that a window is filled with; it may have twice as many before it is cut
	window   []entry // all that are not taken before bound, in order
	bound    dueKey
	complete bool // there are none behind the window
	waiting  int64

	taken   map[uint64]entry // by number: given out by Due, not finished; still in the index
	pending map[dueKey]change
	cleared bool // the index is to forget all it has, before pending
	usage   map[segment]usage
	live    uint64 // entries in window, index and taken
	sum     uint64 // of these
}

// change is what is to be written for a key: an entry, or that it is gone.
type change struct {
	entry
	gone bool
}

// usage is what entries take of a segment.
type usage struct {
	entries, bytes int64
}

func (d *deferred) count(e *entry, sign int64) {
	if d.usage == nil {
		d.usage = make(map[segment]usage)
	}
	s := e.at.segment()
	u := d.usage[s]
	u.entries += sign
	u.bytes += sign * int64(e.bytes)
	d.usage[s] = u
	if u.entries == 0 {
		delete(d.usage, s)
	}
	d.live += uint64(sign)
	d.sum += uint64(sign) * e.sum()
}

func (d *deferred) change(c change) {
	if d.pending == nil {
		d.pending = make(map[dueKey]change)
	}
	d.pending[c.dueKey] = c
}

// put adds an entry that is to be given out.
func (d *deferred) put(e entry) {
	d.count(&e, 1)
	d.change(change{entry: e})
	d.waiting++
	d.show(e)
}

// show adds an entry to the window, if it belongs there.
func (d *deferred) show(e entry) {
	if !d.complete && !e.less(d.bound) {
		return
	}
	i := d.find(e.dueKey)
	d.window = slices.Insert(d.window, i, e)
	if len(d.window) > 2*d.size {
		d.complete = false
		d.bound = d.window[d.size].dueKey
		d.window = slices.Clone(d.window[:d.size])
	}
}

// find returns where a key is in the window, or would be.
func (d *deferred) find(k dueKey) int {
	return sort.Search(len(d.window), func(i int) bool { return !d.window[i].less(k) })
}

// putTaken adds an entry of a message that is given out already.
func (d *deferred) putTaken(e entry) {
	d.count(&e, 1)
	d.change(change{entry: e})
	d.hold(e)
}

func (d *deferred) hold(e entry) {
	if d.taken == nil {
		d.taken = make(map[uint64]entry)
	}
	d.taken[e.seq] = e
}

// take gives out up to n entries that are due. Where it ends, fill may help.
func (d *deferred) take(dst []entry, now int64, n int) []entry {
	taken := 0
	for taken < min(n, len(d.window)) && d.window[taken].due <= now {
		d.hold(d.window[taken])
		taken++
	}
	dst = append(dst, d.window[:taken]...)
	d.window = d.window[taken:]
	d.waiting -= int64(taken)
	if len(d.window) == 0 {
		d.window = nil
	}
	return dst
}

// drop forgets an entry that is not taken.
func (d *deferred) drop(e entry) {
	d.count(&e, -1)
	d.change(change{entry: e, gone: true})
	d.waiting--
	if i := d.find(e.dueKey); i < len(d.window) && d.window[i].dueKey == e.dueKey {
		d.window = slices.Delete(d.window, i, i+1)
	}
}

// untake undoes take.
func (d *deferred) untake(seq uint64) {
	if e, ok := d.taken[seq]; ok {
		delete(d.taken, seq)
		d.waiting++
		d.show(e)
	}
}

// finish forgets a message that was given out, and tells whether it was.
func (d *deferred) finish(seq uint64) bool {
	e, ok := d.taken[seq]
	if !ok {
		return false
	}
	delete(d.taken, seq)
	d.count(&e, -1)
	d.change(change{entry: e, gone: true})
	return true
}

// moved replaces an entry by one at another place, if it is still there, where
// the index has inIndex or nothing.
func (d *deferred) moved(old entry, at place, indexed bool, inIndex entry) {
	e, ok := d.lookup(old.dueKey, indexed, inIndex)
	if !ok || e.at != old.at {
		return
	}
	d.count(&e, -1)
	e.at = at
	d.count(&e, 1)
	d.change(change{entry: e})
	if i := d.find(e.dueKey); i < len(d.window) && d.window[i].dueKey == e.dueKey {
		d.window[i] = e
	}
	if t, ok := d.taken[e.seq]; ok && t.dueKey == e.dueKey {
		d.taken[e.seq] = e
	}
}

// lookup returns what a key stands for, where the index has inIndex or nothing.
func (d *deferred) lookup(k dueKey, indexed bool, inIndex entry) (entry, bool) {
	if c, ok := d.pending[k]; ok {
		return c.entry, !c.gone
	}
	return inIndex, indexed && !d.cleared
}

// clear forgets everything.
func (d *deferred) clear() { *d = deferred{size: d.size, complete: true, cleared: true} }

// needsFill tells whether only the index knows what is next.
func (d *deferred) needsFill() bool { return len(d.window) == 0 && !d.complete }

// fill moves the bound up: read are the entries of the index from it on, all
// up to next, or all if complete.
func (d *deferred) fill(read []entry, next dueKey, complete bool) {
	from := d.bound
	d.bound, d.complete = next, complete
	in := func(k dueKey) bool { return !k.less(from) && (complete || k.less(next)) }
	add := func(e entry) {
		if t, ok := d.taken[e.seq]; !ok || t.dueKey != e.dueKey {
			d.window = append(d.window, e)
		}
	}
	for _, e := range read {
		if _, changed := d.pending[e.dueKey]; !changed && !d.cleared {
			add(e)
		}
	}
	for k, c := range d.pending {
		if !c.gone && in(k) {
			add(c.entry)
		}
	}
	slices.SortFunc(d.window, func(a, b entry) int { return a.compare(b.dueKey) })
}

// next returns when the next one is due, as far as that is known: 0 for none.
func (d *deferred) next() int64 {
	switch {
	case len(d.window) > 0:
		return max(d.window[0].due, 1)
	case d.complete:
		return 0
	}
	return max(d.bound.due, 1)
}

// beginNote returns what the index is to learn: whether to forget everything
// first, and changes. Unless it learns it, failedNote must follow.
func (d *deferred) beginNote() (cleared bool, changes map[dueKey]change) {
	cleared, changes = d.cleared, d.pending
	d.cleared, d.pending = false, nil
	return cleared, changes
}

// failedNote takes back what beginNote returned.
func (d *deferred) failedNote(cleared bool, changes map[dueKey]change) {
	if d.cleared {
		return
	}
	d.cleared = cleared
	for k, c := range changes {
		if _, newer := d.pending[k]; !newer {
			d.change(c)
		}
	}
}
