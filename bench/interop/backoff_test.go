package interop_test

import (
	"errors"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/bench/interop"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// A handler that fails makes its consumer pause for the multiplier times two to
// the power of the failures, as far as the maximum allows; 0 switches it off.
func TestBackoff(t *testing.T) {
	const multiplier = 100 * time.Millisecond
	for _, c := range []struct {
		name, maximum, want string
	}{
		{"growing", "2m", "1 at once\n2 after 200ms\n3 after 400ms"},
		{"up to a maximum", "250ms", "1 at once\n2 after 200ms\n3 after 200ms"},
		{"switched off", "0", "1 at once\n2 at once\n3 at once"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inEveryPair(t, c.want, func(s *scenario) {
				d := nsqtest.Start(s, nil)
				var last time.Time // by the only handler
				r := s.newConsumer("backoff", map[string]any{
					"backoff_multiplier":    multiplier,
					"max_backoff_duration":  c.maximum,
					"default_requeue_delay": 0,
				}, interop.Handler{Handle: func(m interop.Message) error {
					attempt := m.Delivery().Attempts
					if took := time.Since(last).Truncate(2 * multiplier); attempt == 1 || took == 0 {
						s.note("%d at once", attempt)
					} else {
						s.note("%d after %v", attempt, took)
					}
					// go-nsq ignores a failure while it is still ending the pause before.
					<-time.After(30 * time.Millisecond)
					last = time.Now()
					if attempt < 3 {
						return errors.New("not yet")
					}
					return nil
				}})
				must(s, r.ConnectToNSQD(d.TCPAddr()))
				must(s, s.newProducer(d.TCPAddr()).Publish("backoff", []byte("x")))
				s.await(3)
				awaitEmpty(s, d, "backoff")
			})
		})
	}
}
