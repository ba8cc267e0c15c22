// Package dueheap is a heap of values by the time they are due.
package dueheap

// Heap hands out its values in the order of their times. Values with equal
// times come in any order. The zero Heap is empty and ready to use. It is not
// safe for concurrent use.
type Heap[T any] struct {
	items []item[T]
}

type item[T any] struct {
	due   int64
	value T
}

// Len returns the number of values.
func (h *Heap[T]) Len() int { return len(h.items) }

// Next returns the earliest time, and false when the heap is empty.
func (h *Heap[T]) Next() (due int64, ok bool) {
	if len(h.items) == 0 {
		return 0, false
	}
	return h.items[0].due, true
}

// Push adds a value that is due at the given time.
func (h *Heap[T]) Push(due int64, value T) {
	h.items = append(h.items, item[T]{due, value})
	i := len(h.items) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if h.items[parent].due <= due {
			break
		}
		h.items[i] = h.items[parent]
		i = parent
	}
	h.items[i] = item[T]{due, value}
}

// PopDue removes and returns the earliest value if it is due at the given time
// or before.
func (h *Heap[T]) PopDue(now int64) (value T, ok bool) {
	if len(h.items) == 0 || h.items[0].due > now {
		return value, false
	}
	value = h.items[0].value
	last := len(h.items) - 1
	moved := h.items[last]
	h.items[last] = item[T]{} // let go of what it points to
	h.items = h.items[:last]
	if last == 0 {
		h.items = nil
		return value, true
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && h.items[child+1].due < h.items[child].due {
			child++
		}
		if moved.due <= h.items[child].due {
			break
		}
		h.items[i] = h.items[child]
		i = child
	}
	h.items[i] = moved
	return value, true
}

// CountDue returns how many values are due at the given time or before. It looks at
// little more than these.
func (h *Heap[T]) CountDue(now int64) int { return h.countDue(0, now) }

func (h *Heap[T]) countDue(i int, now int64) int {
	if i >= len(h.items) || h.items[i].due > now {
		return 0
	}
	return 1 + h.countDue(2*i+1, now) + h.countDue(2*i+2, now)
}

// All calls yield with every time and value, in no particular order, until it
// returns false. The heap must not change meanwhile.
func (h *Heap[T]) All(yield func(due int64, value T) bool) {
	for _, it := range h.items {
		if !yield(it.due, it.value) {
			return
		}
	}
}

// Clear removes every value.
func (h *Heap[T]) Clear() { h.items = nil }
