package nsq

import (
	"testing"
	"time"
)

func TestLookupSchedule(t *testing.T) {
	start := time.Now()
	s := &lookupSchedule{interval: time.Minute, jitter: 10 * time.Second, canWatch: true}
	for i, step := range []struct {
		after     time.Duration // since the step before
		outcome   lookupOutcome
		watchable bool
		pause     time.Duration // the longest
		watch     bool
	}{
		{0, askFailed, false, firstAgain, false},
		{0, askFailed, false, 2 * firstAgain, false},
		{0, askFailed, true, 4 * firstAgain, false},
		{0, askAnswered, false, 70 * time.Second, false},
		{0, askAnswered, false, time.Minute, false},
		{0, askFailed, false, firstAgain, false}, // an answer ends a row of failures
		{0, askAnswered, true, 0, true},
		{0, watchTold, true, 0, true},
		{0, watchRefused, true, 0, false},
		{0, askAnswered, true, firstAgain, false},
		{firstAgain, askAnswered, true, 0, true},
		{0, watchRefused, true, 0, false},
		{0, askAnswered, true, 2 * firstAgain, false},
		{firstAgain, askAnswered, true, firstAgain, false},
		{firstAgain, askAnswered, true, 0, true},
		{0, watchTold, false, time.Minute, false}, // and no tag to go on from
		{0, askAnswered, true, 0, true},
		{0, watchRefused, true, 0, false}, // a watch that told something ends a row of refusals
		{0, askAnswered, true, firstAgain, false},
	} {
		start = start.Add(step.after)
		pause, watch := s.next(start, step.outcome, step.watchable)
		least := step.pause
		if step.outcome == askFailed {
			least /= 2
		}
		if pause < least || pause > step.pause || watch != step.watch {
			t.Errorf("step %d: pause %v, watch %v, want %v, %v", i, pause, watch, step.pause, step.watch)
		}
	}
}

func TestLookupPausesGrowUpToALimit(t *testing.T) {
	now := time.Now()
	for _, interval := range []time.Duration{10 * time.Millisecond, 2 * time.Second, 5 * time.Minute} {
		s := &lookupSchedule{interval: interval, canWatch: true}
		for range 100 {
			if pause, _ := s.next(now, askFailed, false); pause > min(interval, maxFailurePause) || pause < min(interval, firstAgain)/2 {
				t.Fatalf("with an interval of %v, a failure makes for a pause of %v", interval, pause)
			}
			s.next(now, watchRefused, true)
			if again := s.watchAfter.Sub(now); again > maxWatchPause || again < firstAgain {
				t.Fatalf("watched again after %v", again)
			}
		}
	}
}

func TestWithoutAWatchThereIsNone(t *testing.T) {
	s := &lookupSchedule{interval: time.Minute}
	if pause, watch := s.next(time.Now(), askAnswered, true); watch || pause != time.Minute {
		t.Errorf("pause %v, watch %v", pause, watch)
	}
}

// Whatever makes for requests without a pause, there are not many of them.
func TestRequestsArePaced(t *testing.T) {
	for _, tt := range []struct{ interval, pause time.Duration }{
		{time.Minute, requestPause},
		{10 * time.Millisecond, 10 * time.Millisecond}, // who wants more gets more
	} {
		s := &lookupSchedule{interval: tt.interval}
		now := time.Now()
		for range 2 {
			start := now
			for i := range 10 * requestBurst {
				pause := s.begin(now)
				if i < requestBurst && pause != 0 {
					t.Fatalf("request %d has to wait %v", i, pause)
				}
				now = now.Add(pause)
			}
			if took, want := now.Sub(start), 9*requestBurst*tt.pause; took != want {
				t.Errorf("%d requests at an interval of %v took %v, want %v", 10*requestBurst, tt.interval, took, want)
			}
			now = now.Add(time.Hour)
		}
	}
}
