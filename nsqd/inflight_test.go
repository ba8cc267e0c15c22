package nsqd

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The table against a map: every message has exactly one fate.
func TestInflightAgainstMap(t *testing.T) {
	const timeout, limit = 100, 250
	type flying struct{ sent, deadline int64 }
	rapid.Check(t, func(t *rapid.T) {
		var table inflight
		model := make(map[guid]flying)
		now, next := int64(1), guid(1)
		scheduled := int64(0) // when the scan would come
		arm := func(due int64) {
			if due != 0 && (scheduled == 0 || due < scheduled) {
				scheduled = due
			}
		}
		pick := func(t *rapid.T) guid {
			ids := append(slices.Sorted(maps.Keys(model)), next+1000)
			return rapid.SampledFrom(ids).Draw(t, "id")
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				n := rapid.IntRange(1, 10).Draw(t, "n")
				// Ids of single publishes differ in the high bits only.
				first := next << rapid.SampledFrom([]int{0, 22}).Draw(t, "shift")
				if _, taken := model[first]; taken {
					return
				}
				arm(table.add([]span{batchOf(first, slices.Repeat([]string{"x"}, n)...).all()}, now, timeout))
				for i := range guid(n) {
					model[first+i] = flying{now, now + timeout}
				}
				next += guid(n)
			},
			"remove": func(t *rapid.T) {
				id := pick(t)
				s, ok := table.remove(id)
				_, want := model[id]
				if ok != want || ok && (s.id() != id || s.attempts != 1) {
					t.Fatalf("remove(%d) = %v, %v, want %v", id, s, ok, want)
				}
				delete(model, id)
			},
			"touch": func(t *rapid.T) {
				id := pick(t)
				f, want := model[id]
				if ok := table.touch(id, now, timeout, limit); ok != want {
					t.Fatalf("touch(%d) = %v, want %v", id, ok, want)
				}
				if want {
					f.deadline = max(f.deadline, min(now+timeout, f.sent+limit))
					model[id] = f
				}
			},
			"expire": func(t *rapid.T) {
				now += rapid.Int64Range(0, 120).Draw(t, "step")
				expired, due := table.expire(nil, now)
				scheduled = 0
				arm(due)
				var got, want []guid
				for _, s := range expired {
					got = append(got, s.id())
				}
				for id, f := range model {
					if f.deadline <= now {
						want = append(want, id)
						delete(model, id)
					}
				}
				slices.Sort(got)
				slices.Sort(want)
				if !slices.Equal(got, want) {
					t.Fatalf("at %d expired %v, want %v", now, got, want)
				}
			},
			"drain": func(t *rapid.T) {
				if got := len(table.drain()); got != len(model) {
					t.Fatalf("drain returned %d messages of %d", got, len(model))
				}
				clear(model)
			},
			"": func(t *rapid.T) {
				if table.len() != len(model) {
					t.Fatalf("%d messages, want %d", table.len(), len(model))
				}
				for id, f := range model {
					if !table.has(id) {
						t.Fatalf("message %d is missing", id)
					}
					if scheduled == 0 || scheduled > f.deadline {
						t.Fatalf("message %d times out at %d, the scan comes at %d", id, f.deadline, scheduled)
					}
				}
			},
		})
	})
}

func TestSameIDTwiceInFlight(t *testing.T) {
	var table inflight
	for range 3 {
		table.add([]span{batchOf(5, "x").all()}, 1, 100)
	}
	for i := range 3 {
		if _, ok := table.remove(5); !ok {
			t.Fatalf("copy %d is missing", i)
		}
	}
	if _, ok := table.remove(5); ok || table.len() != 0 {
		t.Error("a fourth copy appeared")
	}
}

func TestAttemptsStayAtTheirLargestValue(t *testing.T) {
	var table inflight
	s := batchOf(1, "x").all()
	s.attempts = maxAttempts
	table.add([]span{s}, 1, 100)
	if got, _ := table.remove(1); got.attempts != maxAttempts {
		t.Errorf("attempts went from %d to %d", maxAttempts, got.attempts)
	}
}

// Ids of a batch are consecutive; those of single publishes differ only above
// the sequence bits. Neither may make the index slow.
func BenchmarkInflight(b *testing.B) {
	for name, stride := range map[string]guid{"batch": 1, "single": 1 << 22} {
		for _, n := range []int{1, 200, 2500} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				var table inflight
				one := batchOf(1, "x")
				spans := make([]span, n)
				next := guid(1 << 40)
				b.ReportAllocs()
				for b.Loop() {
					first := next
					for i := range spans {
						same := *one
						same.first = next
						spans[i] = span{b: &same, count: 1}
						next += stride
					}
					table.add(spans, 1, 100)
					for i := range guid(n) {
						table.remove(first + i*stride)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/message")
			})
		}
	}
}
