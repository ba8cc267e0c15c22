package interop_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/bench/interop"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

var backingOff = regexp.MustCompile(`backing off for .*`)

// A handler that fails makes its consumer pause for the multiplier times two to
// the power of the failures, as far as the maximum allows; 0 switches it off. How long
// it means to pause is in its log; by the clock it is not less, and on a busy machine more.
func TestBackoff(t *testing.T) {
	const multiplier = 100 * time.Millisecond
	for _, c := range []struct {
		name, maximum string
		pauses        [3]time.Duration // before each attempt
		want          string
	}{
		{"growing", "2m", [3]time.Duration{0, 2 * multiplier, 4 * multiplier}, `
backing off for 200ms (backoff level 1), setting all to RDY 0
backing off for 400ms (backoff level 2), setting all to RDY 0
backing off for 200ms (backoff level 1), setting all to RDY 0`},
		{"up to a maximum", "250ms", [3]time.Duration{0, 2 * multiplier, 2 * multiplier}, `
backing off for 200ms (backoff level 1), setting all to RDY 0
backing off for 200ms (backoff level 1), setting all to RDY 0`},
		{"switched off", "0", [3]time.Duration{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			inEveryPair(t, "attempt 1\nattempt 2\nattempt 3"+c.want, func(s *scenario) {
				d := nsqtest.Start(s, nil)
				between := record(s, d.TCPAddr())
				log := &logged{}
				var last time.Time // by the only handler
				r, err := s.consumer.NewConsumer("backoff", "ch", interop.Setup{Log: log.add, Options: map[string]any{
					"backoff_multiplier":    multiplier,
					"max_backoff_duration":  c.maximum,
					"default_requeue_delay": 0,
				}}, interop.Handler{Handle: func(m interop.Message) error {
					attempt := m.Delivery().Attempts
					s.note("attempt %d", attempt)
					if took := time.Since(last); took < c.pauses[attempt-1] {
						s.Errorf("attempt %d came after %v, not %v", attempt, took, c.pauses[attempt-1])
					}
					// go-nsq ignores a failure while it is still ending the pause before, and
					// does not tell when it has.
					<-time.After(200 * time.Millisecond)
					last = time.Now()
					if attempt < 3 {
						return errors.New("not yet")
					}
					return nil
				}}, 1)
				must(s, err)
				s.Cleanup(func() { s.stop(r) })
				must(s, r.ConnectToNSQD(between.addr()))
				must(s, s.newProducer(d.TCPAddr()).Publish("backoff", []byte("x")))
				s.await(3)
				awaitEmpty(s, d, "backoff")
				lines := func() []string { return backingOff.FindAllString(strings.Join(log.all(), "\n"), -1) }
				nsqtest.Eventually(s, "all pauses are in the log", func() bool { return len(lines()) >= strings.Count(c.want, "\n") })
				for _, line := range lines() {
					s.note("%s", line)
				}
				if paused := slices.Contains(between.noted(), "RDY 0"); paused != (c.want != "") {
					s.Errorf("the consumer sent %q", between.noted())
				}
			})
		})
	}
}
