package nsq

// ring is a first-in-first-out list that reuses its memory. The zero value is
// empty. It is not safe for concurrent use.
type ring[T any] struct {
	items []T // its length is a power of two, or 0
	head  int
	n     int
}

func (r *ring[T]) push(v T) {
	if r.n == len(r.items) {
		grown := make([]T, max(16, 2*r.n))
		m := copy(grown, r.items[r.head:])
		copy(grown[m:], r.items[:r.head])
		r.items, r.head = grown, 0
	}
	r.items[(r.head+r.n)&(len(r.items)-1)] = v
	r.n++
}

// first returns the oldest value, and false if there is none.
func (r *ring[T]) first() (v T, ok bool) {
	if r.n == 0 {
		return v, false
	}
	return r.items[r.head], true
}

// pop removes and returns the oldest value, and returns false if there is none.
func (r *ring[T]) pop() (v T, ok bool) {
	v, ok = r.first()
	if ok {
		var none T             // clear costs several times as much
		r.items[r.head] = none // let go of what it points to
		r.head = (r.head + 1) & (len(r.items) - 1)
		r.n--
	}
	return v, ok
}
