package hostpool

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func newPool(t *testing.T, mode string, hosts int) *Pool {
	t.Helper()
	p, err := New(mode, hosts)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// chooseOne returns the one host that gets a message.
func chooseOne(t *testing.T, p *Pool, now time.Time) int {
	t.Helper()
	hosts := p.Choose(now)
	if len(hosts) != 1 {
		t.Fatalf("chose %v, want one host", hosts)
	}
	return hosts[0]
}

func chooseN(t *testing.T, p *Pool, now time.Time, n int) (chosen []int) {
	t.Helper()
	for range n {
		chosen = append(chosen, chooseOne(t, p, now))
	}
	return chosen
}

func TestUnknownMode(t *testing.T) {
	for _, mode := range []string{"", "Hostpool", "random", " all"} {
		_, err := New(mode, 1)
		if err == nil || !strings.Contains(err.Error(), "round-robin, hostpool, epsilon-greedy, all") {
			t.Errorf("New(%q): %v, want an error that names the modes", mode, err)
		}
	}
}

func TestEveryHostInTurn(t *testing.T) {
	for mode, want := range map[string][]int{
		RoundRobin:    {1, 2, 0, 1, 2, 0, 1},
		FailOver:      {0, 1, 2, 0, 1, 2, 0},
		EpsilonGreedy: {0, 1, 2, 0, 1, 2, 0}, // nothing is known of any
	} {
		if got := chooseN(t, newPool(t, mode, 3), start, 7); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", mode, got, want)
		}
		if got := chooseN(t, newPool(t, mode, 1), start, 3); !slices.Equal(got, []int{0, 0, 0}) {
			t.Errorf("%s of one host: %v", mode, got)
		}
	}
}

func TestAll(t *testing.T) {
	p := newPool(t, All, 3)
	for i := range 3 {
		p.Report(i, start, time.Second, true)
		if got := p.Choose(start); !slices.Equal(got, []int{0, 1, 2}) {
			t.Errorf("%v after %d failures, want all hosts", got, i+1)
		}
	}
}

func TestRoundRobinIgnoresFailures(t *testing.T) {
	p := newPool(t, RoundRobin, 2)
	p.Report(1, start, 0, true)
	if got, want := chooseN(t, p, start, 4), []int{1, 0, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// tries returns when a host is tried that always fails, beside one that works.
func tries(t *testing.T, p *Pool, bad int, during time.Duration) (at []time.Duration) {
	t.Helper()
	for d := time.Duration(0); d <= during; d += time.Second {
		now := start.Add(d)
		for range 20 {
			i := chooseOne(t, p, now)
			p.Report(i, now, time.Millisecond, i == bad)
			if i == bad {
				at = append(at, d)
			}
		}
	}
	return at
}

func TestPausesAfterFailure(t *testing.T) {
	want := []time.Duration{0}
	for _, pause := range []time.Duration{30, 60, 120, 240, 480, 900, 900} { // seconds
		want = append(want, want[len(want)-1]+pause*time.Second)
	}
	if got := tries(t, newPool(t, FailOver, 3), 1, 50*time.Minute); !slices.Equal(got, want) {
		t.Errorf("a host that fails is tried after %v, want %v", got, want)
	}
	// This mode does not try at the first opportunity, but soon.
	got := tries(t, newPool(t, EpsilonGreedy, 3), 1, 50*time.Minute)
	if len(got) < len(want)-2 || len(got) > len(want) {
		t.Fatalf("%s: a host that fails is tried after %v, want about %v", EpsilonGreedy, got, want)
	}
	for i := 1; i < len(got); i++ {
		if least := want[i] - want[i-1]; got[i]-got[i-1] < least {
			t.Errorf("%s: a host that fails is tried after %v, want a pause of %v after try %d", EpsilonGreedy, got, least, i)
		}
	}
}

func TestFailuresAtTheSameTimeCountOnce(t *testing.T) {
	p := newPool(t, FailOver, 2)
	for i := range 100 {
		p.Report(0, start.Add(time.Duration(i)*time.Millisecond), 0, true)
	}
	now := start.Add(firstPause)
	if got := chooseN(t, p, now.Add(-1), 4); slices.Contains(got, 0) {
		t.Errorf("%v, want only 1 before the end of the pause", got)
	}
	if got := chooseN(t, p, now, 4); !slices.Equal(got, []int{0, 1, 1, 1}) {
		t.Errorf("%v after the pause, want a single try of 0", got)
	}
}

func TestSuccessEndsPauses(t *testing.T) {
	p := newPool(t, FailOver, 2)
	p.Report(0, start, 0, true)
	now := start.Add(firstPause)
	if got := chooseOne(t, p, now); got != 0 {
		t.Fatalf("chose %d, want the host whose pause is over", got)
	}
	p.Report(0, now, time.Millisecond, false)
	if got := chooseN(t, p, now, 4); !slices.Equal(got, []int{1, 0, 1, 0}) {
		t.Errorf("%v, want both in turn", got)
	}
	p.Report(0, now, 0, true) // begins with the first pause again
	if got := chooseOne(t, p, now.Add(firstPause)); got != 1 {
		t.Errorf("chose %d, want the host whose turn it is", got)
	}
	if got := chooseOne(t, p, now.Add(firstPause)); got != 0 {
		t.Errorf("chose %d, want the other", got)
	}
}

func TestAllFailed(t *testing.T) {
	for _, mode := range []string{FailOver, EpsilonGreedy} {
		p := newPool(t, mode, 3)
		for i := range 3 {
			p.Report(i, start, 0, true)
		}
		if got := chooseN(t, p, start, 6); !slices.Equal(got, []int{0, 1, 2, 0, 1, 2}) {
			t.Errorf("%s: %v, want all in turn again", mode, got)
		}
	}
}

// simulate sends messages to hosts that take a fixed time each, one every
// 10 ms, and returns how many each of them got.
func simulate(t *testing.T, p *Pool, from time.Time, messages int, took ...time.Duration) []int {
	t.Helper()
	counts := make([]int, len(took))
	for m := range messages {
		now := from.Add(time.Duration(m) * 10 * time.Millisecond)
		i := chooseOne(t, p, now)
		counts[i]++
		p.Report(i, now.Add(took[i]), took[i], false)
	}
	return counts
}

func TestFasterHostsGetMore(t *testing.T) {
	p := newPool(t, EpsilonGreedy, 3)
	const n = 20_000
	got := simulate(t, p, start, n, time.Millisecond, 10*time.Millisecond, 100*time.Millisecond)
	// By speed 1000:100:10 of 1110, and a little to all in turn.
	for i, want := range []float64{0.901, 0.090, 0.009} {
		if share := float64(got[i]) / n; share < want-0.05 || share > want+0.05 {
			t.Errorf("host %d got %d of %d messages, want about %v of them", i, got[i], n, want)
		}
	}
	if got[2] < n/500 {
		t.Errorf("the slowest host got %d of %d messages", got[2], n)
	}
}

// A host that was the fastest for long is given up soon after it became slow.
func TestSlowedDownHost(t *testing.T) {
	p := newPool(t, EpsilonGreedy, 2)
	simulate(t, p, start, 30_000, time.Millisecond, 10*time.Millisecond)
	now := start.Add(5 * time.Minute)
	simulate(t, p, now, 6000, time.Second, 10*time.Millisecond)
	got := simulate(t, p, now.Add(time.Minute), 1000, time.Second, 10*time.Millisecond)
	if got[0] > 200 {
		t.Errorf("one minute after it became slow, a host gets %d of 1000 messages", got[0])
	}
}

// A host that nothing is known of is taken for a fast one, so that more becomes
// known of it.
func TestUnknownHostCountsAsTheFastest(t *testing.T) {
	p := newPool(t, EpsilonGreedy, 3)
	p.Report(0, start, 10*time.Millisecond, false)
	p.Report(1, start, 20*time.Millisecond, false)
	counts := make([]float64, 3)
	const n = 10_000
	for range n {
		counts[chooseOne(t, p, start)]++
	}
	for i, want := range []float64{0.4, 0.2, 0.4} {
		if share := counts[i] / n; share < want-0.05 || share > want+0.05 {
			t.Errorf("host %d got %v of the messages, want about %v", i, share, want)
		}
	}
}

func TestTimesAreForgottenAfterFiveMinutes(t *testing.T) {
	var s times
	s.add(start, time.Second)
	for after, want := range map[time.Duration]float64{0: 1, 299 * time.Second: 1, 300 * time.Second: 0, 24 * time.Hour: 0} {
		c := s
		if got := c.speed(start.Add(after)); got != want {
			t.Errorf("speed %v after %v, want %v", got, after, want)
		}
	}
	s.add(start.Add(270*time.Second), 2*time.Second) // ten times the weight
	if got, want := s.speed(start.Add(270*time.Second)), 11/21.0; got != want {
		t.Errorf("speed %v, want %v", got, want)
	}
	if got := s.speed(start.Add(301 * time.Second)); got != 0.5 {
		t.Errorf("speed %v, want that of the younger part alone", got)
	}
	s.add(start.Add(-time.Hour), time.Second) // a clock that was set back
	if got := s.speed(start.Add(-time.Hour)); got <= 0.5 || got >= 1 {
		t.Errorf("speed %v after the clock was set back", got)
	}
}

func TestExplorationBecomesRare(t *testing.T) {
	p := newPool(t, EpsilonGreedy, 2)
	p.random = func() float64 { return 0.0099 } // below any share
	for range 32 {
		chooseOne(t, p, start)
	}
	if p.share < lastShare || p.share > 0.0104 {
		t.Errorf("share %v after 32 hosts in turn", p.share)
	}
	chooseN(t, p, start, 1000)
	if p.share != lastShare {
		t.Errorf("share %v in the end, want %v", p.share, lastShare)
	}
}

// A Pool is used by many goroutines.
func TestConcurrentUse(t *testing.T) {
	for _, mode := range Modes {
		p := newPool(t, mode, 3)
		var running sync.WaitGroup
		for g := range 4 {
			running.Go(func() {
				for m := range 1000 {
					now := start.Add(time.Duration(m) * time.Second)
					for _, i := range p.Choose(now) {
						p.Report(i, now, time.Millisecond, (m+g)%3 == i)
					}
				}
			})
		}
		running.Wait()
	}
}

func BenchmarkChooseAndReport(b *testing.B) {
	for _, mode := range Modes {
		b.Run(mode, func(b *testing.B) {
			p, err := New(mode, 3)
			if err != nil {
				b.Fatal(err)
			}
			now := start
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(time.Millisecond)
				for _, i := range p.Choose(now) {
					p.Report(i, now, time.Millisecond, false)
				}
			}
		})
	}
}
