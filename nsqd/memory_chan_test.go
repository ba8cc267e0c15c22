package nsqd

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whatever is pushed and popped in whatever portions, messages come out in
// order and are counted right.
func TestMemoryChanAgainstList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := memoryChan{capacity: 10}
		var model []guid
		next := guid(1)
		newSpan := func(t *rapid.T) (span, []guid) {
			n := rapid.IntRange(1, 20).Draw(t, "messages")
			bodies := slices.Repeat([]string{"x"}, n)
			ids := make([]guid, n)
			for i := range ids {
				ids[i] = next + guid(i)
			}
			b := batchOf(next, bodies...)
			next += guid(n)
			return b.all(), ids
		}
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				s, ids := newSpan(t)
				m.push(s)
				model = append(model, ids...)
			},
			"pushFront": func(t *rapid.T) {
				s, ids := newSpan(t)
				m.pushFront(s)
				model = append(ids, model...)
			},
			"pop": func(t *rapid.T) {
				n := rapid.IntRange(0, 30).Draw(t, "n")
				spans, got := m.pop(nil, n, 1<<20)
				want := min(n, len(model))
				if got != want || describe(spans...) != describeIDs(model[:want]) {
					t.Fatalf("pop(%d) = %d messages %q, want %q", n, got, describe(spans...), describeIDs(model[:want]))
				}
				model = model[want:]
			},
			"clear": func(t *rapid.T) {
				if got := describe(m.clear()...); got != describeIDs(model) {
					t.Fatalf("clear returned %q, want %q", got, describeIDs(model))
				}
				model = nil
			},
			"": func(t *rapid.T) {
				if m.messages != len(model) || m.room() != max(0, 10-len(model)) {
					t.Fatalf("%d messages, room %d; want %d, %d", m.messages, m.room(), len(model), max(0, 10-len(model)))
				}
			},
		})
	})
}

func describeIDs(ids []guid) string {
	s := ""
	for i, id := range ids {
		if i > 0 {
			s += " "
		}
		s += fmt.Sprintf("%d:x", id)
	}
	return s
}

func TestMemoryChanStopsAtMaxBytes(t *testing.T) {
	m := memoryChan{capacity: 10}
	for i := range guid(5) {
		m.push(batchOf(i, "0123456789").all())
	}
	if spans, got := m.pop(nil, 5, 100); got != 3 { // 44 bytes each: the third exceeds the limit
		t.Errorf("pop took %d messages: %q", got, describe(spans...))
	}
}

func TestMemoryChanGivesMemoryBack(t *testing.T) {
	m := memoryChan{capacity: 1 << 20}
	b := batchOf(1, "x")
	for range 10000 {
		m.push(b.all())
	}
	full := len(m.ring)
	m.pop(nil, 9990, 1<<20)
	if len(m.ring) >= full/8 {
		t.Errorf("%d slots for 10 spans, %d for 10000", len(m.ring), full)
	}
	m.pop(nil, 10, 1<<20)
	if len(m.ring) > 64 {
		t.Errorf("an empty memory chan keeps %d slots", len(m.ring))
	}
}

func BenchmarkMemoryChan(b *testing.B) {
	m := memoryChan{capacity: 1000}
	s := batchOf(1, slices.Repeat([]string{"0123456789"}, 200)...).all()
	var spans []span
	b.ReportAllocs()
	for b.Loop() {
		m.push(s)
		spans, _ = m.pop(spans[:0], 200, 1<<20)
	}
}
