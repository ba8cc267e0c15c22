package nsqadmin

import (
	"math"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/history"
)

func TestChartsBeginWhereSomethingIsKnown(t *testing.T) {
	from := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	series := func(known func(i int) bool) history.Series {
		s := history.Series{From: from, Step: history.Step}
		for _, c := range []*[]float64{&s.Depth, &s.InFlight, &s.Deferred, &s.Publish, &s.Finish} {
			for i := range history.Steps {
				v := math.NaN()
				if known(i) {
					v = 1
				}
				*c = append(*c, v)
			}
		}
		return s
	}
	for _, c := range []struct {
		name  string
		known func(i int) bool
		want  int // the first point
	}{
		{"all of the hour", func(int) bool { return true }, 0},
		{"a hole in the middle", func(i int) bool { return i < 10 || i > 200 }, 0},
		{"the last half hour", func(i int) bool { return i >= 180 }, 180},
		{"the last minute", func(i int) bool { return i >= 354 }, history.Steps - leastShown},
		{"nothing", func(int) bool { return false }, history.Steps - leastShown},
	} {
		for _, picture := range historyCharts(series(c.known)) {
			if got := len(picture.Lines[0].Points); got != history.Steps-c.want || !picture.From.Equal(from.Add(time.Duration(c.want)*history.Step)) {
				t.Errorf("%s: %s has %d points from %s on", c.name, picture.Title, got, picture.From)
			}
		}
	}
	s := series(func(int) bool { return false })
	s.Finish[100] = 1
	if got := historyCharts(s)[0].Lines[0].Points; len(got) != history.Steps-100 {
		t.Errorf("with one line that is known earlier: %d points", len(got))
	}
}
