package nsq

import "time"

const (
	// firstAgain is the pause after a first failure; every further one is twice
	// as long as the one before.
	firstAgain = 250 * time.Millisecond

	// maxFailurePause is the longest pause after a failure, unless
	// LookupdPollInterval is shorter.
	maxFailurePause = 10 * time.Second

	// maxWatchPause is the longest time without an attempt to watch.
	maxWatchPause = 10 * time.Minute

	// So many requests may follow each other at once, and then one in every
	// requestPause: neither changes in quick succession nor something that
	// answers a watch at once, always, make for more.
	requestBurst = 20
	requestPause = 250 * time.Millisecond
)

// lookupSchedule decides when an nsqlookupd is asked, and how. It has no clock:
// callers pass the time.
type lookupSchedule struct {
	interval time.Duration
	jitter   time.Duration // by which the first pause of interval is longer
	canWatch bool

	failures   int       // requests in a row that failed
	refusals   int       // watches in a row that were of no use
	watchAfter time.Time // when to try the next one
	paid       time.Time // up to when past and future requests have used up the time
}

// lookupOutcome is how a request ended.
type lookupOutcome int

const (
	askFailed    lookupOutcome = iota // there was no answer to a question
	askAnswered                       // there was
	watchTold                         // a watch told of a change, or after all its time that there was none
	watchRefused                      // a watch did anything else
)

// next returns what to do after a request: how long to pause, and whether to
// watch then or to ask. An answer is watchable if it had a tag.
func (s *lookupSchedule) next(now time.Time, outcome lookupOutcome, watchable bool) (pause time.Duration, watch bool) {
	switch outcome {
	case askFailed:
		s.failures++
		pause = growing(firstAgain, s.failures, min(s.interval, maxFailurePause))
		return jittered(pause), false
	case watchRefused:
		s.refusals++
		s.watchAfter = now.Add(growing(firstAgain, s.refusals, maxWatchPause))
		return 0, false
	case watchTold:
		s.refusals = 0
	}
	s.failures = 0
	watchable = watchable && s.canWatch
	if watchable && !now.Before(s.watchAfter) {
		return 0, true
	}
	pause, s.jitter = s.interval+s.jitter, 0
	if watchable {
		pause = min(pause, s.watchAfter.Sub(now))
	}
	return pause, false
}

// begin counts a request, and returns how long to wait before it is made.
func (s *lookupSchedule) begin(now time.Time) time.Duration {
	pause := min(requestPause, s.interval)
	if full := now.Add(-requestBurst * pause); s.paid.Before(full) {
		s.paid = full
	}
	s.paid = s.paid.Add(pause)
	return max(0, s.paid.Sub(now))
}
