package nsq

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestGrants(t *testing.T) {
	for _, tt := range []struct {
		name   string
		limit  int
		claims []claim // want, rdy, inFlight
		want   []int
	}{
		{"nobody", 1, nil, []int{}},
		{"all that is wanted", 10, []claim{{5, 10, 4}, {5, 0, 0}}, []int{5, 5}},
		{"a turn that nothing came in", 1, []claim{{1, 0, 0}, {0, 1, 0}}, []int{1, 0}},
		{"a turn whose message is still handled", 1, []claim{{1, 0, 0}, {0, 1, 1}}, []int{0, 0}},
		{"that is answered", 1, []claim{{1, 0, 0}, {0, 0, 0}}, []int{1, 0}},
		{"a slot for the first in line", 2, []claim{{1, 0, 0}, {1, 0, 0}, {0, 0, 1}}, []int{1, 0, 0}},
		{"who has a turn keeps it", 2, []claim{{1, 0, 0}, {1, 1, 0}, {0, 0, 1}}, []int{0, 1, 0}},
		{"unless a message comes late", 1, []claim{{1, 1, 0}, {0, 0, 1}}, []int{0, 0}},
		{"a new connection while all is in flight", 10, []claim{{5, 10, 10}, {5, 0, 0}}, []int{5, 0}},
		{"three of these are answered", 10, []claim{{5, 5, 7}, {5, 0, 0}}, []int{5, 3}},
		{"two new ones", 9, []claim{{3, 3, 4}, {3, 0, 0}, {3, 0, 0}}, []int{3, 3, 2}},
		{"what one has is not taken for another", 9, []claim{{3, 3, 6}, {3, 2, 0}, {3, 0, 0}}, []int{3, 2, 1}},
		{"lowered by four", 6, []claim{{3, 5, 5}, {3, 5, 5}}, []int{1, 1}},
		{"three more to answer", 6, []claim{{3, 1, 4}, {3, 1, 5}}, []int{1, 2}},
		{"none more", 6, []claim{{3, 1, 1}, {3, 2, 5}}, []int{1, 3}},
		{"one more slot free", 6, []claim{{3, 1, 1}, {3, 2, 4}}, []int{2, 3}},
		{"lowered with one connection", 3, []claim{{3, 10, 8}}, []int{3}},
		{"paused", 0, []claim{{0, 5, 5}, {0, 5, 0}}, []int{0, 0}},
		{"after a pause", 1, []claim{{1, 0, 0}, {0, 0, 2}}, []int{0, 0}},
	} {
		if got := grants(tt.claims, tt.limit); !slices.Equal(got, tt.want) {
			t.Errorf("%s: of %d, %v get %v, want %v", tt.name, tt.limit, tt.claims, got, tt.want)
		}
	}
}

func TestGrantsKeepTheLimit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(0, 20).Draw(t, "limit")
		idle := rapid.SliceOfN(rapid.Bool(), 1, 8).Draw(t, "idle")
		inFlight, wanted := 0, 0
		claims := make([]claim, len(idle))
		for i, want := range shares(idle, limit) {
			c := claim{want, rapid.IntRange(0, 10).Draw(t, "rdy"), rapid.IntRange(0, 10).Draw(t, "in flight")}
			claims[i] = c
			inFlight += c.inFlight
			wanted += max(c.want, c.inFlight)
		}
		all := grants(claims, limit)
		slots := 0
		for i, c := range claims {
			slots += max(all[i], c.inFlight)
			if all[i] < 0 || all[i] > c.want {
				t.Fatalf("%v get %v", claims, all)
			}
			// When others have answered nothing yet, and c something.
			if total := inFlight - c.inFlight + all[i]; all[i] > 0 && total > limit {
				t.Fatalf("%v get %v: connection %d makes it %d in flight", claims, all, i, total)
			}
		}
		if want := max(inFlight, min(limit, wanted)); slots != want {
			t.Fatalf("%v get %v: %d slots, want %d", claims, all, slots, want)
		}
		for i, c := range claims {
			claims[i].rdy = all[i]
			if inFlight <= limit && c.inFlight < all[i] {
				claims[i].inFlight = rapid.IntRange(c.inFlight, all[i]).Draw(t, "arrived")
			}
		}
		if again := grants(claims, limit); inFlight <= limit && !slices.Equal(again, all) {
			t.Fatalf("%v get %v although what they have is %v", claims, again, all)
		}
	})
}
