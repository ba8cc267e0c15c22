package nsqd

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed893f581e/nsq/internal/latency"
	"github.com/seed893f581e/nsq/internal/store"
	"github.com/seed893f581e/nsq/internal/wire"
)

// groupsOf returns spans as they are entered in flight.
func groupsOf(spans ...span) (groups []span) {
	for _, s := range spans {
		_, groups = s.appendFrames(nil, groups)
	}
	return groups
}

// fins returns the commands that finish messages.
func fins(ids ...guid) (lines []byte) {
	for _, id := range ids {
		lines = wire.AppendFin(lines, [wire.MessageIDLen]byte(wire.AppendID(nil, uint64(id))))
	}
	return lines
}

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
				n := rapid.OneOf(rapid.IntRange(1, 10), rapid.IntRange(60, 200)).Draw(t, "n")
				// Ids of single publishes may differ in the high bits only.
				first := next << rapid.SampledFrom([]int{0, 22}).Draw(t, "shift")
				if _, taken := model[first]; taken {
					return
				}
				s := batchOf(first, slices.Repeat([]string{"x"}, n)...).all()
				if skip := rapid.IntRange(0, n-1).Draw(t, "cursor"); skip > 0 {
					for range skip {
						s.pop()
					}
				}
				arm(table.add(groupsOf(s), now, timeout))
				for s.count > 0 {
					m := s.pop()
					model[m.id()] = flying{now, now + timeout}
				}
				next += guid(n)
			},
			"finish": func(t *rapid.T) {
				ids := slices.Sorted(maps.Keys(model))
				if len(ids) > 0 {
					from := rapid.IntRange(0, len(ids)-1).Draw(t, "from")
					ids = ids[from:rapid.IntRange(from, len(ids)).Draw(t, "to")]
				}
				if rapid.Bool().Draw(t, "backwards") {
					slices.Reverse(ids)
				}
				var done latency.Batch
				lines := append(fins(ids...), fins(next+1000)...) // the last is not in flight
				for left := lines; ; {
					n, full := table.finish(left, &done, nil)
					left = left[n*wire.FinLen:]
					if !full {
						if want := wire.FinLen; len(left) != want {
							t.Fatalf("finish left %d bytes of %d, want %d", len(left), len(lines), want)
						}
						break
					}
					done = latency.Batch{}
				}
				for _, id := range ids {
					delete(model, id)
				}
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
		table.add(groupsOf(batchOf(5, "x").all()), 1, 100)
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
	table.add(groupsOf(s), 1, 100)
	if got, _ := table.remove(1); got.attempts != maxAttempts {
		t.Errorf("attempts went from %d to %d", maxAttempts, got.attempts)
	}
}

// A message keeps its body and its attempts whatever becomes of its group.
func TestMessagesOfAGroup(t *testing.T) {
	bodies := make([]string, 200)
	for i := range bodies {
		bodies[i] = fmt.Sprint("body ", i)
	}
	s := batchOf(1000, bodies...).all()
	s.attempts = 6
	var table inflight
	table.add(groupsOf(s), 1, 100)
	check := func(what string, got span, i int) {
		t.Helper()
		if string(got.body()) != bodies[i] || got.id() != guid(1000+i) || got.attempts != 7 || got.count != 1 {
			t.Errorf("%s: message %d is %q with %d attempts, want %q with 7", what, got.id(), got.body(), got.attempts, bodies[i])
		}
	}
	for _, i := range []int{0, 70, 199, 30} {
		got, _ := table.remove(guid(1000 + i))
		check("remove", got, i)
	}
	table.touch(1100, 50, 100, 1000)
	expired, _ := table.expire(nil, 101)
	if len(expired) != 195 {
		t.Fatalf("%d messages expired, want 195", len(expired))
	}
	for _, got := range expired {
		check("expire", got, int(got.id()-1000))
	}
	check("drain", table.drain()[0], 100)
}

// What waits for the end of everything in flight is not told of it by a TOUCH.
func TestTouchDoesNotEmptyTheTable(t *testing.T) {
	for _, bodies := range [][]string{{"alone"}, {"one", "two"}} {
		var table inflight
		table.add(groupsOf(batchOf(64, bodies...).all()), 1, 100)
		for i := range bodies[1:] {
			table.remove(guid(64 + i))
		}
		empty := table.whenEmpty()
		last := guid(64 + len(bodies) - 1)
		if !table.touch(last, 50, 100, 1000) {
			t.Fatal("touched message is missing")
		}
		select {
		case <-empty:
			t.Error("the table said that it is empty")
		default:
		}
		if table.remove(last); table.len() != 0 {
			t.Errorf("%d messages in flight", table.len())
		}
		<-empty
	}
}

// A FIN that is cut, unusual or wrong ends a run of FINs and stays.
func TestFinishStopsAtWhatIsNoFIN(t *testing.T) {
	for name, c := range map[string]struct {
		lines string
		n     int
	}{
		"nothing":          {"", 0},
		"two":              {string(fins(64, 65)), 2},
		"cut":              {string(fins(64, 65)[:2*wire.FinLen-1]), 1},
		"CR LF":            {string(fins(64)) + "FIN 0000000000000041\r\n", 1},
		"lower case":       {"fin 0000000000000040\n", 0},
		"another command":  {string(fins(64)) + "REQ 0000000000000041 0\n", 1},
		"a parameter more": {"FIN 0000000000000040 0\n", 0},
		"no id of ours":    {"FIN 000000000000004G\n", 0},
		"not in flight":    {string(fins(64, 1, 65)), 1},
		"twice":            {string(fins(64, 64, 65)), 1},
	} {
		var table inflight
		table.add(groupsOf(batchOf(64, "a", "b", "c").all()), 1, 100)
		if n, _ := table.finish([]byte(c.lines), new(latency.Batch), nil); n != c.n || table.len() != 3-c.n {
			t.Errorf("%s: %d finished, %d left, want %d", name, n, table.len(), c.n)
		}
	}
}

// Ids of a batch are consecutive; those of single publishes are, too, or differ
// only above the sequence bits. None may make the index slow, in whatever order
// messages are finished.
func BenchmarkInflight(b *testing.B) {
	for name, c := range map[string]struct {
		batch  int // messages
		stride guid
	}{"batch": {200, 200}, "single": {1, 1}, "sparse": {1, 1 << 22}, "pairs": {2, 2}} {
		for _, n := range []int{200, 2500} {
			for order, reorder := range map[string]func([]guid){
				"as sent":   func([]guid) {},
				"backwards": slices.Reverse[[]guid],
				"random":    func(ids []guid) { rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] }) },
			} {
				b.Run(fmt.Sprintf("%s/%d/%s", name, n, order), func(b *testing.B) {
					var table inflight
					var groups []span
					var ids []guid
					var done latency.Batch
					one := batchOf(1, slices.Repeat([]string{"x"}, c.batch)...)
					for next := guid(1 << 40); len(ids) < n; next += c.stride {
						same := *one
						same.first = next
						groups = append(groups, groupsOf(same.all())...)
						for i := range c.batch {
							ids = append(ids, next+guid(i))
						}
					}
					reorder(ids)
					lines := fins(ids...)
					b.ReportAllocs()
					for b.Loop() {
						table.add(groups, 1, 100)
						table.finish(lines, &done, nil)
					}
					if table.len() != 0 {
						b.Fatalf("%d messages left", table.len())
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(ids)), "ns/message")
				})
			}
		}
	}
}

// A FIN of a message of a log costs next to nothing more.
func BenchmarkInflightKept(b *testing.B) {
	one := batchOf(1<<40, slices.Repeat([]string{"x"}, 200)...)
	one.kept = &store.Batch{First: 1}
	groups := groupsOf(one.all())
	var ids []guid
	for i := range guid(200) {
		ids = append(ids, one.first+i)
	}
	lines := fins(ids...)
	var table inflight
	var done latency.Batch
	var runs []store.Run
	b.ReportAllocs()
	for b.Loop() {
		table.add(groups, 1, 100)
		runs = runs[:0]
		table.finish(lines, &done, &runs)
	}
	if len(runs) != 1 || runs[0] != (store.Run{First: 1, Count: 200}) {
		b.Fatalf("got %v", runs)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(ids)), "ns/message")
}
