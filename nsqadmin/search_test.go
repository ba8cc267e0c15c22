package nsqadmin

import (
	"slices"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		name, query string
		want        int
	}{
		{"orders", "orders", matchExact},
		{"Orders", "orders", matchExact},
		{"orders.eu", "orders", matchPrefix},
		{"eu.orders", "orders", matchWord},
		{"euorders.orders", "orders", matchWord},
		{"reorders", "orders", matchInside},
		{"orders#ephemeral", "ephemeral", matchWord},
		{"orders-of-eu", "eu orders", matchAllWords},
		{"orders", "eu orders", matchNone},
		{"orders", "x", matchNone},
		{"", "x", matchNone},
		{"a/b", "a/b", matchExact},
		{"100%", "%", matchInside},
	} {
		if got := match(c.name, c.query); got != c.want {
			t.Errorf("match(%q, %q) = %d, want %d", c.name, c.query, got, c.want)
		}
	}
}

func TestSearchRanks(t *testing.T) {
	s := search{query: "pay"}
	for _, h := range []hit{
		{Kind: "channel", Name: "orders/pay"},
		{Kind: "topic", Name: "repay"},
		{Kind: "topic", Name: "payments"},
		{Kind: "node", Name: "pay"},
		{Kind: "topic", Name: "pay"},
		{Kind: "topic", Name: "paying"},
		{Kind: "topic", Name: "orders"},
	} {
		s.offer(h)
	}
	s.offer(hit{Kind: "consumer", Name: "10.0.0.1:5"}, "host-1", "pay")
	var got []string
	for _, h := range s.ranked() {
		got = append(got, h.Kind+" "+h.Name)
	}
	want := []string{"topic pay", "node pay", "consumer 10.0.0.1:5", "topic paying", "topic payments", "channel orders/pay", "topic repay"}
	if !slices.Equal(got, want) {
		t.Errorf("ranked %q, want %q", got, want)
	}
}
