package nsqd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/logging"
)

// sessionWorkers is how many queries run at a time on one nsqlookupd, each on
// a connection that is kept.
const sessionWorkers = 4

// sessionRetry is how soon an nsqlookupd that did not answer is asked again.
const sessionRetry = 2 * time.Second

// A lookupSession asks one nsqlookupd while it is connected.
type lookupSession struct {
	l        *lookupChannels
	address  string          // of its HTTP API
	direct   string          // where else that may be
	isDirect atomic.Bool     // it is there
	ctx      context.Context // ends when the connection is lost, or with l
	failed   chan struct{}   // a token when it has become late

	// guarded by l.mu
	queue   []question
	workers int
	late    bool // its last query was not answered; it holds no topic, and is asked but now and then
	failing bool // which was logged
}

// A question is an inquiry for one session.
type question struct {
	*inquiry
	waited bool // it counts in waits
}

func (l *lookupChannels) openSessionLocked(h lookupHTTP) *lookupSession {
	s := &lookupSession{l: l, address: h.address, direct: h.direct, failed: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(h.ctx)
	s.ctx = ctx
	l.sessions[h] = s
	unbind := context.AfterFunc(l.ctx, cancel)
	l.running.Go(func() {
		defer cancel()
		defer unbind()
		s.run()
		l.closeSession(h, s)
	})
	return s
}

func (l *lookupChannels) closeSession(h lookupHTTP, s *lookupSession) {
	l.mu.Lock()
	delete(l.sessions, h)
	released := s.dropLocked()
	closed := l.closed
	l.mu.Unlock()
	if !closed {
		release(released)
	}
}

// run returns when the connection is lost. It has an nsqlookupd that is late
// asked again.
func (s *lookupSession) run() {
	var retry <-chan time.Time // nil while it answers
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.failed:
			retry = time.After(sessionRetry)
		case <-retry:
			retry = nil
			if !s.retry() {
				retry = time.After(sessionRetry)
			}
		}
	}
}

// retry asks about one of the open topics, and about all others if there is an
// answer.
func (s *lookupSession) retry() (answers bool) {
	s.l.mu.Lock()
	q := question{}
	for _, in := range s.l.open {
		if !slices.Contains(in.answered, s.address) {
			in.pending++
			q.inquiry = in
			break
		}
	}
	s.l.mu.Unlock()
	answers = q.inquiry == nil || s.answer(q)
	if answers {
		s.l.mu.Lock()
		s.late = false
		s.pushOpenLocked()
		s.l.mu.Unlock()
	}
	return answers
}

// pushOpenLocked asks about all topics that the nsqlookupd has not answered.
// They do not wait for it any more.
func (s *lookupSession) pushOpenLocked() {
	for _, in := range s.l.open {
		if !slices.Contains(in.answered, s.address) {
			s.pushLocked(in, false)
		}
	}
}

func (s *lookupSession) pushLocked(in *inquiry, waited bool) {
	in.pending++
	if waited {
		in.waits++
	}
	s.queue = append(s.queue, question{in, waited})
	if s.workers < sessionWorkers {
		s.workers++
		s.l.running.Go(s.work)
	}
}

// dropLocked drops all questions and returns the topics that need not wait for
// anybody else.
func (s *lookupSession) dropLocked() (released []*topic) {
	for _, q := range s.queue {
		if q.doneLocked() {
			released = append(released, q.topic)
		}
	}
	s.queue = nil
	return released
}

// doneLocked takes a question out of its inquiry. It reports whether the topic
// has waited for nothing else.
func (q question) doneLocked() (release bool) {
	q.pending--
	if !q.waited {
		return false
	}
	q.waits--
	return q.waits == 0
}

// work asks until there are no more questions.
func (s *lookupSession) work() {
	for {
		q, ok := s.next()
		if !ok {
			return
		}
		s.answer(q)
	}
}

// next returns the next question, or ends the worker.
func (s *lookupSession) next() (question, bool) {
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	if len(s.queue) == 0 || s.ctx.Err() != nil {
		s.workers--
		return question{}, false
	}
	q := s.queue[0]
	s.queue[0] = question{}
	s.queue = s.queue[1:]
	return q, true
}

// answer has the nsqlookupd answer a question, creates the channels it tells,
// and releases the topic if it waited for nobody else. It reports whether there
// was an answer.
func (s *lookupSession) answer(q question) bool {
	err := error(nil)
	if !q.topic.isExiting() {
		ctx, cancel := context.WithCancel(s.ctx)
		unbind := context.AfterFunc(q.topic.life, cancel)
		var channels []string
		channels, err = s.query(ctx, q.topic.name)
		unbind()
		cancel()
		if err == nil {
			s.l.create(q.topic, channels)
		}
	}
	return s.finish(q, err)
}

// query asks at the address that the nsqlookupd tells of itself. Where nothing
// can be reached by that, as a container's host name often means nothing to
// others, it asks at the address that it is connected by.
func (s *lookupSession) query(ctx context.Context, topic string) ([]string, error) {
	if s.isDirect.Load() {
		return s.l.query(ctx, s.direct, topic)
	}
	channels, err := s.l.query(ctx, s.address, topic)
	if e, ok := errors.AsType[*net.OpError](err); !ok || e.Op != "dial" || s.direct == s.address {
		return channels, err
	}
	channels, directErr := s.l.query(ctx, s.direct, topic)
	if !isAnswer(directErr) {
		return nil, err
	}
	if !s.isDirect.Swap(true) {
		s.l.log.Info("an nsqlookupd is queried at the address that it is connected by, not at its broadcast address",
			"nsqlookupd", s.address, "address", s.direct, "error", err)
	}
	return channels, directErr
}

// finish enters the outcome of a query and reports whether it was answered.
func (s *lookupSession) finish(q question, err error) (answered bool) {
	answered = isAnswer(err) || q.topic.isExiting()
	connected, complete := s.l.lookups.connected()
	var released []*topic
	s.l.mu.Lock()
	if q.doneLocked() {
		released = append(released, q.topic)
	}
	if answered {
		q.answered = append(q.answered, s.address)
	}
	if complete {
		s.l.settleLocked(q.inquiry, connected)
	}
	lost, closed := s.ctx.Err() != nil, s.l.closed
	if !lost && (!answered || q.waited && time.Since(q.since) > longestHold) {
		released = append(released, s.lateLocked()...)
	}
	news := !lost && !q.topic.isExiting() && s.failing != (err != nil)
	if news {
		s.failing = err != nil
	}
	s.l.mu.Unlock()
	if !closed {
		release(released)
	}
	if news {
		s.note(q.topic, err)
	}
	return answered
}

// lateLocked has the nsqlookupd hold no more topics, and returns those that
// need not wait for anybody else.
func (s *lookupSession) lateLocked() (released []*topic) {
	if s.late {
		return nil
	}
	s.late = true
	giveToken(s.failed)
	return s.dropLocked()
}

// note logs that queries begin to fail, or succeed again.
func (s *lookupSession) note(t *topic, err error) {
	if err == nil {
		s.l.log.Info("an nsqlookupd can be queried for channels again", "nsqlookupd", s.address)
		return
	}
	s.l.log.Warn(fmt.Sprintf("failed to query nsqlookupd for channels to pre-create for topic %s", t.name), "topic", logging.Said(t.name), "nsqlookupd", s.address, "error", err)
}
