package main

import (
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// two samples, an interval of 2 s apart.
var (
	before = sample{channelStats{Depth: 3, BackendDepth: 1, Messages: 5}, noon, 1}
	after  = sample{channelStats{
		Depth: 13, BackendDepth: 6, InFlight: 7, Deferred: 8, Requeued: 9, TimedOut: 10, Messages: 106, Clients: 11,
	}, noon.Add(2*time.Second + 3*time.Millisecond), 2}
)

func TestRowIsTheSameToTheByte(t *testing.T) {
	huge := sample{channelStats{1e9, 1e8, 1e6, 1e6, 1e8, 1e8, 1e13, 1e8}, after.at, 1}
	for name, c := range map[string]struct {
		polls     int
		now, last sample
		want      string
	}{
		"the first poll":           {0, after, sample{}, header},
		"a row":                    {1, after, before, "     50      45 |      13       7       6     7     8 |       9      10          106      11\n"},
		"nothing has changed":      {2, before, before, "      0       0 |       3       2       1     0     0 |       0       0            5       0\n"},
		"emptied and started anew": {3, sample{at: after.at}, before, "     -2      -1 |       0       0       0     0     0 |       0       0            0       0\n"},
		"more than fits":           {24, huge, before, "4999999999997 4999499999999 | 1000000000 900000000 100000000 1000000 1000000 | 100000000 100000000 10000000000000 100000000\n"},
		"the header again":         {25, after, before, header + "     50      45 |      13       7       6     7     8 |       9      10          106      11\n"},
	} {
		var b strings.Builder
		if err := printText(&b, &options{interval: 2 * time.Second}, c.polls, c.now, c.last); err != nil || b.String() != c.want {
			t.Errorf("%s: %v, got\n%swant\n%s", name, err, b.String(), c.want)
		}
	}
}

// A daemon that is slow makes a poll skip intervals, but no rate wrong.
func TestRatesAreThoseOfTheTimeThatPassed(t *testing.T) {
	for elapsed, want := range map[time.Duration]float64{
		time.Millisecond:        50, // the first poll took almost an interval
		2 * time.Second:         50,
		2100 * time.Millisecond: 50,
		4010 * time.Millisecond: 25,
		6 * time.Second:         100. / 6,
	} {
		last := sample{at: noon}
		now := sample{channelStats{Messages: 100, Depth: 100}, noon.Add(elapsed), 1}
		if ingress, egress := now.rates(last, 2*time.Second); ingress != want || egress != 0 {
			t.Errorf("100 messages in %v: %v, %v a second, want %v, 0", elapsed, ingress, egress, want)
		}
	}
}

func TestJSONRow(t *testing.T) {
	o := &options{topic: "orders", channel: "billing", interval: 2 * time.Second}
	var b strings.Builder
	for polls := range 2 {
		if err := printJSON(&b, o, polls, after, before); err != nil {
			t.Fatal(err)
		}
	}
	want := `{"time":"2026-11-22T12:00:02.003Z","topic":"orders","channel":"billing","nsqds":2,"ingress":50.5,"egress":45.5,"memory_depth":7,` +
		`"depth":13,"backend_depth":6,"in_flight_count":7,"deferred_count":8,"requeue_count":9,"timeout_count":10,"message_count":106,"client_count":11}` + "\n"
	if b.String() != want {
		t.Errorf("got %swant %s", b.String(), want)
	}
}
