package nsqd

import (
	"net/http"
	"time"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/httpapi"
)

// drainAnswer is what /drain tells.
type drainAnswer struct {
	State    string `json:"state"`               // serving, draining or drained
	Since    int64  `json:"since,omitempty"`     // seconds since the Unix epoch
	Until    int64  `json:"until,omitempty"`     // when it is drained at the latest
	TimedOut bool   `json:"timed_out,omitempty"` // it is, though there were messages to wait for
	Waiting  int64  `json:"waiting"`             // messages that are waited for
	drainLeft
}

func (s *httpServer) drainState(*http.Request) (any, error) { return s.drainAnswer(), nil }

func (s *httpServer) drainAnswer() drainAnswer {
	r := s.n.drain.current()
	if r == nil {
		a := drainAnswer{State: "serving", drainLeft: s.n.left(time.Now())}
		a.Staying = []staying{} // it is not known what will be there, and how long is waited for it
		return a
	}
	a := drainAnswer{
		State:     r.state(), // first: what is left can only become less
		Since:     r.since.Unix(),
		Until:     r.until.Unix(),
		TimedOut:  r.late.Load(),
		drainLeft: s.n.left(r.until),
	}
	a.Waiting = a.waits
	return a
}

// beginDrain begins a drain, or changes the time of the one that runs.
func (s *httpServer) beginDrain(r *http.Request) (any, error) {
	timeout, err := s.timeoutParam(r)
	if err != nil {
		return nil, err
	}
	if s.n.drain.start(timeout) == nil {
		return nil, httpapi.Exiting
	}
	return s.drainAnswer(), nil
}

// timeoutParam returns how long a drain is to last.
func (s *httpServer) timeoutParam(r *http.Request) (time.Duration, error) {
	q, err := httpapi.ParseQuery(r)
	if err != nil {
		return 0, err
	}
	value, ok := q.Lookup("timeout")
	if !ok {
		return s.n.drainTime(), nil
	}
	timeout, err := time.ParseDuration(value)
	if err != nil || timeout <= 0 || timeout > config.LongestDuration {
		return 0, badRequest("INVALID_TIMEOUT")
	}
	return timeout, nil
}

func (s *httpServer) cancelDrain(*http.Request) (any, error) {
	s.n.drain.cancel()
	return s.drainAnswer(), nil
}
