package auth

import (
	"context"
	"sync"
	"sync/atomic"
)

// A Session keeps the answer for one client until it expires. It is safe for
// concurrent use: callers that need a new answer at the same time share one
// query.
type Session struct {
	client *Client
	last   atomic.Pointer[expiring] // nil before the first answer

	mu      sync.Mutex // running, and changes of last
	running *query     // nil when none is
}

// expiring is an answer and the time from which it may not be relied on.
type expiring struct {
	*Answer
	expires int64
}

// A query is one that is under way. The results are there when done is closed.
type query struct {
	done      chan struct{}
	answer    *Answer
	err       error
	abandoned bool // its caller went away, which says nothing to others
}

// Session returns a session without an answer.
func (c *Client) Session() *Session { return &Session{client: c} }

// Last returns the most recent answer, expired or not; nil before the first.
func (s *Session) Last() *Answer {
	if last := s.last.Load(); last != nil {
		return last.Answer
	}
	return nil
}

// Expires returns the time, on the client's clock, from which the most recent
// answer is no longer valid; 0 before the first.
func (s *Session) Expires() int64 {
	if last := s.last.Load(); last != nil {
		return last.expires
	}
	return 0
}

// Valid returns the answer if it has not expired, else nil. It takes no lock.
func (s *Session) Valid() *Answer {
	if last := s.last.Load(); last != nil && s.client.now() < last.expires {
		return last.Answer
	}
	return nil
}

// Renew returns the answer, asking for a new one if it has expired. The error
// is that of Client.Ask.
func (s *Session) Renew(ctx context.Context, r Request) (*Answer, error) {
	for {
		s.mu.Lock()
		if answer := s.Valid(); answer != nil {
			s.mu.Unlock()
			return answer, nil
		}
		q := s.running
		if q == nil {
			q = &query{done: make(chan struct{})}
			s.running = q
			s.mu.Unlock()
			return s.ask(ctx, r, q)
		}
		s.mu.Unlock()
		select {
		case <-q.done:
			if !q.abandoned {
				return q.answer, q.err
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// ask makes the query q and ends it, whatever happens.
func (s *Session) ask(ctx context.Context, r Request, q *query) (*Answer, error) {
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		q.abandoned = q.answer == nil && q.err == nil || ctx.Err() != nil // by a panic, or by its caller
		if q.answer != nil {
			s.last.Store(&expiring{q.answer, s.client.now() + int64(q.answer.TTL)})
		}
		s.running = nil
		close(q.done)
	}()
	q.answer, q.err = s.client.Ask(ctx, r)
	return q.answer, q.err
}
