package dueheap

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the order of pushes and pops, a pop returns the earliest value that
// is due, and nothing that is not.
func TestHeapAgainstSortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var h Heap[int]
		var model []int64 // sorted times; the value pushed with a time is its negation
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				due := rapid.Int64Range(0, 50).Draw(t, "due")
				h.Push(due, int(-due))
				model = append(model, due)
				slices.Sort(model)
			},
			"pop": func(t *rapid.T) {
				now := rapid.Int64Range(0, 50).Draw(t, "now")
				v, ok := h.PopDue(now)
				want := len(model) > 0 && model[0] <= now
				if ok != want {
					t.Fatalf("PopDue(%d) = %v with %v waiting", now, ok, model)
				}
				if ok {
					if int64(-v) != model[0] {
						t.Fatalf("PopDue(%d) = %d, earliest is %d", now, -v, model[0])
					}
					model = model[1:]
				}
			},
			"": func(t *rapid.T) {
				due, ok := h.Next()
				if h.Len() != len(model) || ok != (len(model) > 0) || ok && due != model[0] {
					t.Fatalf("Len, Next = %d, %d, %v with %v waiting", h.Len(), due, ok, model)
				}
				n := 0
				for due, v := range h.All {
					if int64(-v) != due {
						t.Fatalf("All yields value %d with time %d", v, due)
					}
					n++
				}
				if n != len(model) {
					t.Fatalf("All yields %d values of %d", n, len(model))
				}
			},
		})
	})
}

func TestClear(t *testing.T) {
	var h Heap[string]
	h.Push(1, "a")
	h.Clear()
	if _, ok := h.PopDue(1); ok || h.Len() != 0 {
		t.Errorf("a cleared heap holds %d values", h.Len())
	}
}

func BenchmarkPushPop(b *testing.B) {
	var h Heap[int]
	for i := range 1000 {
		h.Push(int64(i), i)
	}
	b.ReportAllocs()
	now := int64(1000)
	for b.Loop() {
		h.Push(now, 0)
		h.PopDue(now)
		now++
	}
}
