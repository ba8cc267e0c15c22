package statsd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func texts(packets [][]byte) []string {
	var list []string
	for _, p := range packets {
		list = append(list, string(p))
	}
	return list
}

func TestRounds(t *testing.T) {
	m := NewMetrics("p.", 1000)
	for _, round := range []struct {
		counters map[string]uint64 // a and b
		want     string
	}{
		{map[string]uint64{"a": 5, "b": 0}, "p.a:5|c\np.b:0|c\np.g:7|g\n"},
		{map[string]uint64{"a": 5, "b": 10}, "p.a:0|c\np.b:10|c\np.g:7|g\n"},
		{map[string]uint64{"b": 1<<64 - 1}, "p.b:18446744073709551605|c\np.g:7|g\n"}, // a is gone
		{map[string]uint64{"a": 6, "b": 3}, "p.a:6|c\np.b:3|c\np.g:7|g\n"},           // a is new, b has begun anew
		{map[string]uint64{"a": 8, "b": 3}, "p.a:2|c\np.b:0|c\np.g:7|g\n"},
	} {
		for _, name := range []string{"a", "b"} {
			if total, ok := round.counters[name]; ok {
				m.Counter(name, total)
			}
		}
		m.Gauge("g", 7)
		if got := strings.Join(texts(m.Flush()), "+"); got != round.want {
			t.Errorf("%v: %q, want %q", round.counters, got, round.want)
		}
	}
	if packets := m.Flush(); len(packets) != 0 {
		t.Errorf("an empty round has packets %q", packets)
	}
}

// No line is split, and no packet could take the line that follows it.
func TestPackets(t *testing.T) {
	for _, c := range []struct {
		size int
		want []string
	}{
		{1, []string{"a:1|g\n", "long.name:1|g\n", "c:1|g\n", "d:1|g\n", "e:100|g\n"}},
		{11, []string{"a:1|g\n", "long.name:1|g\n", "c:1|g\n", "d:1|g\n", "e:100|g\n"}},
		{12, []string{"a:1|g\n", "long.name:1|g\n", "c:1|g\nd:1|g\n", "e:100|g\n"}},
		{19, []string{"a:1|g\n", "long.name:1|g\n", "c:1|g\nd:1|g\n", "e:100|g\n"}},
		{20, []string{"a:1|g\nlong.name:1|g\n", "c:1|g\nd:1|g\ne:100|g\n"}},
		{508, []string{"a:1|g\nlong.name:1|g\nc:1|g\nd:1|g\ne:100|g\n"}},
	} {
		m := NewMetrics("", c.size)
		for _, name := range []string{"a", "long.name", "c", "d"} {
			m.Gauge(name, 1)
		}
		m.Gauge("e", 100)
		if got := texts(m.Flush()); !slices.Equal(got, c.want) {
			t.Errorf("%d bytes a packet: %q, want %q", c.size, got, c.want)
		}
	}
}

// A sink notes when which packet came. It fails those that are in failing.
type sink struct {
	start   time.Time
	got     []string
	failing map[string]error
}

func (s *sink) Write(p []byte) (int, error) {
	s.got = append(s.got, fmt.Sprintf("%s at %v", p, time.Since(s.start)))
	return len(p), s.failing[string(p)]
}

func TestSend(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	for name, c := range map[string]struct {
		packets string
		over    time.Duration
		failing map[string]error
		want    string
		err     error
	}{
		"none":          {"", time.Minute, nil, "", nil},
		"one":           {"a", time.Minute, nil, "a at 0s", nil},
		"spread":        {"a b c d", 59 * time.Second, nil, "a at 0s, b at 14.75s, c at 29.5s, d at 44.25s", nil},
		"at once":       {"a b c", 0, nil, "a at 0s, b at 0s, c at 0s", nil},
		"some fail":     {"a b c", 3 * time.Second, map[string]error{"a": first, "b": second}, "a at 0s, b at 1s, c at 2s", first},
		"the last does": {"a b", 2 * time.Second, map[string]error{"b": second}, "a at 0s, b at 1s", second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &sink{start: time.Now(), failing: c.failing}
				var packets [][]byte
				for _, p := range strings.Fields(c.packets) {
					packets = append(packets, []byte(p))
				}
				err := Send(t.Context(), s, packets, c.over)
				if got := strings.Join(s.got, ", "); got != c.want || !errors.Is(err, c.err) {
					t.Errorf("sent %s and returned %v, want %s and %v", got, err, c.want, c.err)
				}
			})
		})
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		s := &sink{start: time.Now()}
		err := Send(ctx, s, [][]byte{[]byte("a"), []byte("b"), []byte("c")}, 30*time.Second)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(s.start) != 15*time.Second || len(s.got) != 2 {
			t.Errorf("returned %v after %v with %s", err, time.Since(s.start), s.got)
		}
		if err := Send(ctx, s, [][]byte{[]byte("d")}, 0); !errors.Is(err, context.DeadlineExceeded) || len(s.got) != 2 {
			t.Errorf("returned %v with %s", err, s.got)
		}
	})
}
