package store

import "math/bits"

// A position says which numbers of a topic a channel has finished: all below
// floor, and those that are marked. Its memory is 8 bytes for 4,096 numbers,
// and 512 more where some of them are marked and some not.
type position struct {
	floor uint64
	base  uint64  // the first number of pages[0], a multiple of pageSize, not above floor
	pages []*page // nil: none is marked. Numbers below floor may be marked or not
}

const (
	pageSize  = 4096
	pageWords = pageSize / 64
)

type page struct {
	words [pageWords]uint64
	set   int
}

// full is the page of which every number is marked; it never changes.
var full = func() *page {
	p := &page{set: pageSize}
	for i := range p.words {
		p.words[i] = ^uint64(0)
	}
	return p
}()

// mark finishes first ≤ number < end and returns how many were not before.
func (p *position) mark(first, end uint64) (fresh uint64) {
	first = max(first, p.floor)
	if first >= end {
		return 0
	}
	fresh = end - first - p.marked(first, end)
	if first > p.floor {
		p.set(first, end)
		return fresh
	}
	p.raise(end)
	return fresh
}

// raise finishes all numbers below floor, and those that are marked from there on.
func (p *position) raise(floor uint64) {
	if floor < p.floor {
		return
	}
	p.floor = p.nextClear(floor, max(floor, p.top()))
	for len(p.pages) > 0 && p.base+pageSize <= p.floor {
		p.pages[0] = nil
		p.pages = p.pages[1:]
		p.base += pageSize
	}
}

// top is a number from which on none is marked.
func (p *position) top() uint64 { return max(p.floor, p.base+uint64(len(p.pages))*pageSize) }

// set marks from ≤ number < to; from must be above floor.
func (p *position) set(from, to uint64) {
	if len(p.pages) == 0 {
		p.base = p.floor &^ (pageSize - 1)
	}
	for pages := int((to-1-p.base)/pageSize) + 1; len(p.pages) < pages; {
		p.pages = append(p.pages, nil)
	}
	for from < to {
		i := (from - p.base) / pageSize
		begin := p.base + i*pageSize
		until := min(to, begin+pageSize)
		p.pages[i] = p.pages[i].with(int(from-begin), int(until-begin))
		from = until
	}
}

// with returns the page with from ≤ bit < to set: itself, or another one.
func (g *page) with(from, to int) *page {
	switch {
	case g == full || to-from == pageSize:
		return full
	case g == nil:
		g = new(page)
	}
	for from < to {
		w := from / 64
		until := min(to, (w+1)*64)
		mask := maskOf(from%64, until-from)
		g.set += bits.OnesCount64(mask &^ g.words[w])
		g.words[w] |= mask
		from = until
	}
	if g.set == pageSize {
		return full
	}
	return g
}

// maskOf has n bits set, 1 to 64, from the given one on.
func maskOf(from, n int) uint64 { return ^uint64(0) >> (64 - n) << from }

// marked returns how many of from ≤ number < to are marked; from must not be
// below floor.
func (p *position) marked(from, to uint64) (n uint64) {
	for to = min(to, p.top()); from < to; {
		i := (from - p.base) / pageSize
		begin := p.base + i*pageSize
		until := min(to, begin+pageSize)
		if g := p.pages[i]; g != nil {
			n += uint64(g.count(int(from-begin), int(until-begin)))
		}
		from = until
	}
	return n
}

// count returns how many of from ≤ bit < to are set.
func (g *page) count(from, to int) (n int) {
	if to-from == pageSize {
		return g.set
	}
	for from < to {
		w := from / 64
		until := min(to, (w+1)*64)
		n += bits.OnesCount64(g.words[w] & maskOf(from%64, until-from))
		from = until
	}
	return n
}

// finished tells whether a number is below floor or marked.
func (p *position) finished(seq uint64) bool {
	if seq < p.floor || seq >= p.top() {
		return seq < p.floor
	}
	g := p.pages[(seq-p.base)/pageSize]
	return g != nil && g.words[seq%pageSize/64]>>(seq%64)&1 == 1
}

// nextClear returns the first number from from on that is not finished, at
// most limit.
func (p *position) nextClear(from, limit uint64) uint64 {
	from = max(from, p.floor)
	if top := p.top(); limit > top {
		return min(limit, p.search(from, max(from, top), ^uint64(0)))
	}
	return p.search(from, limit, ^uint64(0))
}

// nextMarked returns the first number from from on that is marked, at most
// limit; from must not be below floor.
func (p *position) nextMarked(from, limit uint64) uint64 {
	top := p.top()
	if found := p.search(from, min(limit, top), 0); found < top {
		return min(found, limit)
	}
	return limit
}

// search returns the first number of from ≤ number < to whose bit, with those
// of invert, is set; else to. to must not be above top.
func (p *position) search(from, to, invert uint64) uint64 {
	for from < to {
		g := p.pages[(from-p.base)/pageSize]
		switch {
		case g == nil && invert != 0:
			return from
		case g == nil || g == full && invert != 0:
			from = (from | (pageSize - 1)) + 1
			continue
		}
		if w := (g.words[from%pageSize/64] ^ invert) >> (from % 64); w != 0 {
			return min(to, from+uint64(bits.TrailingZeros64(w)))
		}
		from = (from | 63) + 1
	}
	return to
}

// end returns the number behind the last one that is finished.
func (p *position) end() uint64 {
	for i := len(p.pages) - 1; i >= 0; i-- {
		if g := p.pages[i]; g != nil {
			return max(p.floor, p.base+uint64(i*pageSize+g.len()))
		}
	}
	return p.floor
}

// len returns the number behind the last bit that is set.
func (g *page) len() int {
	for w := pageWords - 1; w >= 0; w-- {
		if g.words[w] != 0 {
			return w*64 + bits.Len64(g.words[w])
		}
	}
	return 0
}
