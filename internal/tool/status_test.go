package tool

import (
	"fmt"
	"log"
	"math"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// statusLines returns what a Status logs of requests, which take a millisecond
// more each and go to the addresses in turn.
func statusLines(every, requests int, addresses ...string) []string {
	var logged strings.Builder
	s := NewStatus(every, addresses, log.New(&logged, "", 0))
	for i := range requests {
		s.Took(i%len(addresses), time.Duration(i+1)*time.Millisecond)
	}
	return strings.Split(strings.TrimSuffix(logged.String(), "\n"), "\n")
}

func TestStatusLines(t *testing.T) {
	type line struct {
		name          string
		finished      int
		p99, p95, avg float64
		warning       int // about so few values, in place of all that
	}
	for name, c := range map[string]struct {
		every, requests int
		addresses       []string
		want            []line
	}{
		"not enough requests": {100, 99, []string{"a"}, nil},
		"one address":         {100, 250, []string{"a"}, []line{{"aggregate", 100, 99, 95, 50.5, 0}, {"aggregate", 100, 199, 195, 150.5, 0}}},
		"several addresses": {100, 200, []string{"a", "http://b/%s"}, []line{
			{"aggregate", 100, 99, 95, 50.5, 0}, {"a", 100, 197, 189, 100, 0}, {"http://b/%s", 100, 198, 190, 101, 0}, {"aggregate", 100, 199, 195, 150.5, 0}}},
		"few values": {2, 4, []string{"a"}, []line{{warning: 2}, {"aggregate", 2, 2, 2, 1.5, 0}, {"aggregate", 2, 4, 4, 3.5, 0}}},
		"off":        {0, 1000, []string{"a"}, nil},
	} {
		lines := statusLines(c.every, c.requests, c.addresses...)
		if len(c.want) == 0 {
			lines = lines[1:] // the end of an empty text
		}
		if len(lines) != len(c.want) {
			t.Errorf("%s: %d lines, want %d:\n%s", name, len(lines), len(c.want), strings.Join(lines, "\n"))
			continue
		}
		for i, want := range c.want {
			if want.warning > 0 {
				if text := fmt.Sprintf("Warning: use more than 100 status values for accurate percentiles (configured with %d)", want.warning); lines[i] != text {
					t.Errorf("%s: %q, want %q", name, lines[i], text)
				}
				continue
			}
			var got line
			rest, ok := strings.CutPrefix(lines[i], "["+want.name+"]: ")
			_, err := fmt.Sscanf(rest, "finished %d - 99th: %fms - 95th: %fms - avg: %fms", &got.finished, &got.p99, &got.p95, &got.avg)
			near := func(got, want float64) bool { return math.Abs(got-want) <= 0.011*want }
			if !ok || err != nil || got.finished != want.finished || !near(got.p99, want.p99) || !near(got.p95, want.p95) || got.avg != want.avg {
				t.Errorf("%s: %q, %v, want %+v", name, lines[i], err, want)
			}
		}
	}
}

func TestStatusLineHasTwoDecimals(t *testing.T) {
	var logged strings.Builder
	s := NewStatus(100, []string{"a"}, log.New(&logged, "", 0))
	for range 100 {
		s.Took(0, 123456789)
	}
	want := regexp.MustCompile(`^\[aggregate\]: finished 100 - 99th: 12\d\.\d\dms - 95th: 12\d\.\d\dms - avg: 123\.46ms\n$`)
	if !want.MatchString(logged.String()) {
		t.Errorf("%q, want %s", logged.String(), want)
	}
}

func TestStatusCountsEveryRequest(t *testing.T) {
	var logged strings.Builder
	s := NewStatus(100, []string{"a", "b"}, log.New(&logged, "", 0))
	var running sync.WaitGroup
	for i := range 4 {
		running.Go(func() {
			for range 1000 {
				s.Took(i%2, time.Millisecond)
			}
		})
	}
	running.Wait()
	for name, want := range map[string]int{"[aggregate]: finished 100 ": 40, "[a]: finished 100 ": 20, "[b]: finished 100 ": 20} {
		if got := strings.Count(logged.String(), name); got != want {
			t.Errorf("%d lines with %q, want %d", got, name, want)
		}
	}
}
