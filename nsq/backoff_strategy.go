package nsq

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"time"
)

// BackoffStrategy says how long a Consumer pauses. Consumers that share one
// call it at the same time.
type BackoffStrategy interface {
	// Calculate returns the pause at level attempt, which is 1 after the first
	// failure. It may be called more than once for one pause.
	Calculate(attempt int) time.Duration
}

// ExponentialStrategy pauses for BackoffMultiplier times 2 to the power of the
// level. The multiplier is that of the Config or Consumer the strategy belongs
// to, 1s for a strategy that belongs to none.
type ExponentialStrategy struct {
	cfg *Config
}

// Calculate returns the pause at level attempt.
func (s *ExponentialStrategy) Calculate(attempt int) time.Duration {
	return exponential(s.cfg, attempt)
}

// FullJitterStrategy pauses for a random time below that of
// ExponentialStrategy, so that consumers which failed together do not all come
// back at once.
type FullJitterStrategy struct {
	cfg *Config
}

// Calculate returns a pause at level attempt.
func (s *FullJitterStrategy) Calculate(attempt int) time.Duration {
	longest := exponential(s.cfg, attempt)
	if longest <= 0 {
		return 0
	}
	return rand.N(longest)
}

// defaultMultiplier is for strategies without a Config.
const defaultMultiplier = time.Second

// exponential returns the multiplier of cfg times 2 to the power of attempt, or
// the longest time there is.
func exponential(cfg *Config, attempt int) time.Duration {
	multiplier := defaultMultiplier
	if cfg != nil {
		multiplier = cfg.BackoffMultiplier
	}
	attempt = min(max(-64, attempt), 64) // shifts everything out as it is
	if d := math.Ldexp(float64(multiplier), attempt); d < math.MaxInt64 {
		return time.Duration(d)
	}
	return math.MaxInt64
}

// strategyFor returns s for the use with cfg: a strategy of this package as one
// that goes by the options of cfg, wherever it came from. The strategy for nil
// is exponential.
func strategyFor(s BackoffStrategy, cfg *Config) BackoffStrategy {
	switch s.(type) {
	case nil, *ExponentialStrategy:
		return &ExponentialStrategy{cfg}
	case *FullJitterStrategy:
		return &FullJitterStrategy{cfg}
	}
	return s
}

var strategyType = reflect.TypeFor[BackoffStrategy]()

func coerceStrategy(v any) (any, error) {
	switch v := v.(type) {
	case BackoffStrategy:
		return v, nil
	case string:
		switch v {
		case "", "exponential":
			return &ExponentialStrategy{}, nil
		case "full_jitter":
			return &FullJitterStrategy{}, nil
		}
		return nil, fmt.Errorf("unknown backoff strategy %q", v)
	}
	return nil, fmt.Errorf("invalid value type %T", v)
}
