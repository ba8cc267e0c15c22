package nsq

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"strings"
)

const (
	// maxCompared bounds how many connected members are looked at for one message.
	maxCompared = 16

	// maxBehind is how many messages a member, such as one that was away, is given
	// to catch up with others.
	maxBehind = 16
)

// choose returns the member that a message is published to after those in tried
// have failed. While none is connected it waits for one. If it fails, the error
// says why nobody can take the message, or what ended the waiting.
func (p *MultiProducer) choose(ctx context.Context, tried failures) (*member, error) {
	if m := p.pick(tried); m != nil {
		return m, nil
	}
	return p.awaitMember(ctx, tried)
}

// pick returns the connected member with the fewest unanswered messages, of those
// that are about equal the one that got fewest, or nil if none is connected.
// The caller takes it off chosen when its producer has been called.
func (p *MultiProducer) pick(tried failures) *member {
	members := *p.members.Load()
	if len(members) == 0 {
		return nil
	}
	var best candidate
	most, compared := int64(0), 0
	start := rand.N(len(members))
	for i := range members {
		m := members[(start+i)%len(members)]
		pending, connected := m.producer.load()
		if !connected || tried.has(m) {
			continue
		}
		// Those that are about to be sent count as well: many calls at once would
		// choose an nsqd that hangs before the first of them is pending.
		busy := bits.Len64(uint64(int64(pending) + m.chosen.Load()))
		c := candidate{m, m.resting.Load(), busy, m.got.Load()}
		most = max(most, c.got)
		if best.member == nil || c.better(&best) {
			best = c
		}
		if compared++; compared >= maxCompared && !best.resting {
			break
		}
	}
	m := best.member
	if m == nil {
		return nil
	}
	m.chosen.Add(1)
	if m.got.Add(1) < most-maxBehind {
		m.got.Store(most - maxBehind)
	}
	return m
}

// candidate is a member that may get a message.
type candidate struct {
	member  *member
	resting bool
	busy    int // the order of magnitude of its unanswered messages: their number says little, it changes by chance
	got     int64
}

func (c *candidate) better(other *candidate) bool {
	switch {
	case c.resting != other.resting:
		return other.resting
	case c.busy != other.busy:
		return c.busy < other.busy
	}
	return c.got < other.got
}

// awaitMember waits until a member that was not tried is connected, or every one
// could not be connected to.
func (p *MultiProducer) awaitMember(ctx context.Context, tried failures) (*member, error) {
	attempts := map[*member]*connectTry{}
	for {
		changed := p.changes()
		if m := p.pick(tried); m != nil {
			return m, nil
		}
		if p.ctx.Err() != nil {
			return nil, tried.join(ErrStopped)
		}
		waiting := false
		for _, m := range *p.members.Load() {
			if tried.has(m) {
				continue
			}
			if attempts[m] == nil {
				attempts[m] = p.connect(m)
			}
			waiting = waiting || !attempts[m].over.Load()
		}
		if !waiting {
			return nil, p.unreachable(tried)
		}
		select {
		case <-changed:
		case <-p.ctx.Done():
		case <-ctx.Done():
			return nil, tried.join(interrupted(ctx, "connecting to an nsqd"))
		}
	}
}

// unreachable returns why no member takes a message.
func (p *MultiProducer) unreachable(tried failures) error {
	for _, m := range *p.members.Load() {
		if !tried.has(m) {
			tried = append(tried, failure{m, m.whyNotConnected()})
		}
	}
	if len(tried) == 0 {
		return ErrNoNSQD
	}
	return tried.join(nil)
}

// failures are the members that could not take a message, and why.
type failures []failure

type failure struct {
	member *member
	err    error
}

func (f failures) has(m *member) bool {
	return slices.ContainsFunc(f, func(one failure) bool { return one.member == m })
}

// join returns the error that consists of all failures and, if it is not nil, of
// last.
func (f failures) join(last error) error {
	if len(f) == 0 {
		return last
	}
	joined := &failedEverywhere{}
	for _, one := range f {
		joined.errs = append(joined.errs, fmt.Errorf("%s: %w", one.member.addr, one.err))
	}
	if last != nil {
		joined.errs = append(joined.errs, last)
	}
	return joined
}

// failedEverywhere is what several nsqds failed with.
type failedEverywhere struct{ errs []error }

// Error returns the texts of all in one line.
func (e *failedEverywhere) Error() string {
	texts := make([]string, len(e.errs))
	for i, err := range e.errs {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns what each of them failed with.
func (e *failedEverywhere) Unwrap() []error { return e.errs }

// elsewhere reports whether another nsqd may take a message that one could not
// take.
func elsewhere(err error) bool {
	if errors.Is(err, ErrInvalidTopicName) {
		return false
	}
	refused, ok := err.(ErrProtocol) //nolint:errorlint // inside another error it is about the connection
	return !ok || isStoreFailure(refused)
}

// isStoreFailure reports whether nsqd could not keep what it was sent.
func isStoreFailure(err error) bool {
	return errors.Is(err, CodePubFailed) || errors.Is(err, CodeMPubFailed) || errors.Is(err, CodeDPubFailed)
}
