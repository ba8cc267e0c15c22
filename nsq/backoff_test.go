package nsq

import (
	"math"
	"sync"
	"testing"
	"time"
)

// strategyFunc is a strategy that a program might bring.
type strategyFunc func(attempt int) time.Duration

func (f strategyFunc) Calculate(attempt int) time.Duration { return f(attempt) }

// state is what follows an outcome.
type state struct {
	o     outcome
	level int
	pause time.Duration
}

func TestBackoffLevels(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	exponential := func(multiplier time.Duration) BackoffStrategy {
		return &ExponentialStrategy{&Config{BackoffMultiplier: multiplier}}
	}
	for name, tt := range map[string]struct {
		strategy BackoffStrategy
		longest  time.Duration
		states   []state
	}{
		"up to the longest pause and back": {exponential(100 * ms), 500 * ms, []state{
			{failed, 1, 200 * ms}, {failed, 2, 400 * ms}, {failed, 2, 400 * ms}, {failed, 2, 400 * ms},
			{succeeded, 1, 200 * ms}, {succeeded, 0, 0}, {succeeded, 0, 0},
		}},
		"the defaults": {exponential(s), 2 * time.Minute, []state{
			{failed, 1, 2 * s}, {failed, 2, 4 * s}, {failed, 3, 8 * s}, {failed, 4, 16 * s},
			{failed, 5, 32 * s}, {failed, 6, 64 * s}, {failed, 6, 64 * s}, {succeeded, 5, 32 * s},
		}},
		"requeued without back-off": {exponential(s), time.Minute, []state{
			{undecided, 0, 0}, {failed, 1, 2 * s}, {undecided, 1, 2 * s}, {succeeded, 0, 0}, {undecided, 0, 0},
		}},
		"a success first":                 {exponential(s), time.Minute, []state{{succeeded, 0, 0}, {failed, 1, 2 * s}}},
		"no pause is short enough":        {exponential(s), s, []state{{failed, 0, 0}, {failed, 0, 0}}},
		"exactly the longest":             {exponential(s), 2 * s, []state{{failed, 1, 2 * s}, {failed, 1, 2 * s}}},
		"no multiplier":                   {exponential(0), s, []state{{failed, 1, 0}, {succeeded, 0, 0}}},
		"a negative pause":                {strategyFunc(func(int) time.Duration { return -s }), s, []state{{failed, 1, 0}}},
		"a pause that turns out too long": {longerEachTime(), 3 * s, []state{{failed, 1, 2 * s}, {failed, 2, 3 * s}}},
	} {
		now := time.Now()
		var b backoff
		for i, want := range tt.states {
			b = b.after(want.o, now, tt.strategy, tt.longest)
			pause := time.Duration(0)
			if b.paused() {
				pause = b.until.Sub(now)
			}
			if b.level != want.level || pause != want.pause || b.paused() != (want.level > 0) {
				t.Errorf("%s: state %d is level %d with a pause of %v, want %+v", name, i, b.level, pause, want)
			}
			now = now.Add(pause)
			b = b.resumed(now)
		}
	}
}

// longerEachTime returns a strategy whose pauses are 1s, 2s and so on, whatever the
// level.
func longerEachTime() BackoffStrategy {
	calls := time.Duration(0)
	return strategyFunc(func(int) time.Duration { calls++; return calls * time.Second })
}

func TestBackoffPause(t *testing.T) {
	now := time.Now()
	paused := backoff{}.after(failed, now, &ExponentialStrategy{}, time.Minute)
	for _, o := range []outcome{failed, succeeded, undecided} {
		if got := paused.after(o, now.Add(time.Hour), nil, time.Minute); got != paused {
			t.Errorf("outcome %d in the pause leads from %v to %v", o, paused, got)
		}
	}
	if got := paused.resumed(now.Add(2*time.Second - 1)); got != paused {
		t.Errorf("%v before the end of %v", got, paused)
	}
	if got := paused.resumed(now.Add(2 * time.Second)); got != (backoff{level: 1}) {
		t.Errorf("%v at the end of %v", got, paused)
	}
	for _, tt := range []struct {
		b                 backoff
		maxInFlight, want int
	}{
		{backoff{}, 10, 10},
		{backoff{}, 0, 0},
		{paused, 10, 0},
		{backoff{level: 1}, 10, 1},
		{backoff{level: 2}, 1, 1},
		{backoff{level: 2}, 0, 0},
	} {
		if got := tt.b.limit(tt.maxInFlight); got != tt.want {
			t.Errorf("%v allows %d of %d messages, want %d", tt.b, got, tt.maxInFlight, tt.want)
		}
	}
}

func TestStrategies(t *testing.T) {
	for _, tt := range []struct {
		cfg     *Config
		attempt int
		want    time.Duration
	}{
		{nil, 1, 2 * time.Second},
		{nil, 0, time.Second},
		{&Config{}, 5, 0},
		{&Config{BackoffMultiplier: 100 * time.Millisecond}, 3, 800 * time.Millisecond},
		{&Config{BackoffMultiplier: time.Hour}, 21, 1 << 21 * time.Hour},
		{&Config{BackoffMultiplier: time.Hour}, 22, math.MaxInt64},
		{&Config{BackoffMultiplier: time.Hour}, math.MaxInt, math.MaxInt64},
		{&Config{BackoffMultiplier: time.Hour}, math.MinInt, 0},
	} {
		if got := (&ExponentialStrategy{tt.cfg}).Calculate(tt.attempt); got != tt.want {
			t.Errorf("exponential at level %d: %v, want %v", tt.attempt, got, tt.want)
		}
		jitter := FullJitterStrategy{tt.cfg}
		low, high := 0, 0
		for range 1000 {
			got := jitter.Calculate(tt.attempt)
			if got < 0 || got >= max(1, tt.want) {
				t.Fatalf("full jitter at level %d: %v, want less than %v", tt.attempt, got, tt.want)
			}
			if got < tt.want/2 {
				low++
			} else {
				high++
			}
		}
		if tt.want > 0 && (low < 300 || high < 300) {
			t.Errorf("full jitter at level %d: %d in the lower and %d in the upper half", tt.attempt, low, high)
		}
	}
}

// A strategy goes by the options of the consumer, however it came into the
// Config and whatever becomes of that.
func TestStrategyBelongsToItsConsumer(t *testing.T) {
	shared := &ExponentialStrategy{}
	for name, set := range map[string]func(*Config) error{
		"by default":       func(*Config) error { return nil },
		"by word":          func(c *Config) error { return c.Set("backoff_strategy", "exponential") },
		"by value":         func(c *Config) error { return c.Set("backoff_strategy", shared) },
		"assigned":         func(c *Config) error { c.BackoffStrategy = shared; return nil },
		"none":             func(c *Config) error { c.BackoffStrategy = nil; return nil },
		"of another":       func(c *Config) error { c.BackoffStrategy = NewConfig().BackoffStrategy; return nil },
		"a typed nil":      func(c *Config) error { c.BackoffStrategy = (*ExponentialStrategy)(nil); return nil },
		"of a copied one":  func(c *Config) error { d := NewConfig(); d.BackoffMultiplier = 5; *c = *d; return nil },
		"a program's own":  func(c *Config) error { c.BackoffStrategy = constant; return nil },
		"its own, by name": func(c *Config) error { return c.Set("backoff-strategy", constant) },
	} {
		cfg := NewConfig()
		if err := set(cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		cfg.BackoffMultiplier = 7 * time.Second
		r, err := NewConsumer("t", "c", cfg)
		if err != nil {
			t.Fatal(err)
		}
		cfg.BackoffMultiplier = time.Minute
		if got := r.config.BackoffStrategy.Calculate(1); got != 14*time.Second {
			t.Errorf("%s: a pause of %v, want twice the multiplier, 14s", name, got)
		}
		r.cancel()
	}
	if shared.cfg != nil {
		t.Error("the strategy of the program was changed")
	}
	cfg := NewConfig()
	cfg.BackoffMultiplier = 3 * time.Second
	if got := cfg.BackoffStrategy.Calculate(1); got != 6*time.Second {
		t.Errorf("the strategy of a Config pauses for %v, want 6s", got)
	}
}

var constant = strategyFunc(func(int) time.Duration { return 14 * time.Second })

// Consumers may share a Config, and strategies.
func TestStrategyIsShared(t *testing.T) {
	cfg := NewConfig()
	cfg.BackoffStrategy = &FullJitterStrategy{}
	var calculating sync.WaitGroup
	for range 4 {
		r, err := NewConsumer("t", "c", cfg)
		if err != nil {
			t.Fatal(err)
		}
		calculating.Go(func() {
			defer r.cancel()
			for range 100 {
				if got := r.config.BackoffStrategy.Calculate(1); got < 0 || got >= 2*time.Second {
					t.Errorf("a pause of %v", got)
				}
				cfg.BackoffStrategy.Calculate(1)
			}
		})
	}
	calculating.Wait()
}
