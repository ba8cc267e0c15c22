package nsq

import (
	"slices"
	"testing"
)

func TestRing(t *testing.T) {
	var r ring[*int]
	if v, ok := r.first(); ok {
		t.Errorf("an empty ring holds %d", *v)
	}
	pushed, popped := 0, 0
	pop := func() {
		t.Helper()
		first, _ := r.first()
		v, ok := r.pop()
		if !ok || *v != popped || first != v {
			t.Fatalf("got %v, %v, after %v; want %d", v, ok, first, popped)
		}
		popped++
	}
	for pushed < 1000 { // two in, one out: it grows in all states
		for range 2 {
			r.push(new(pushed))
			pushed++
		}
		pop()
	}
	for popped < pushed {
		pop()
	}
	if v, ok := r.pop(); ok {
		t.Errorf("an emptied ring holds %d", *v)
	}
	if slices.ContainsFunc(r.items, func(v *int) bool { return v != nil }) {
		t.Error("it still points to what was taken out")
	}
	if len(r.items) != 512 {
		t.Errorf("it has room for %d, and never held more than 501", len(r.items))
	}
}
