package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

const (
	// tick is how often a session does what is due.
	tick = 10 * time.Millisecond

	// barrierEvery is how often a session asks whether its answers were obeyed.
	barrierEvery = 50 * time.Millisecond

	// patience is how long nsqd may take for what takes no time.
	patience = 30 * time.Second

	readSize = 64 << 10
	maxFrame = 1 << 20
)

// A session is one connection to a channel. One goroutine runs it.
type session struct {
	holder
	account *account
	habits  habits
	rnd     *rand.Rand

	nc                   net.Conn
	in                   []byte // read and not yet parsed
	out                  []byte // to be written
	drained              int64  // when all that nsqd had sent was read
	holds                map[[wire.MessageIDLen]byte]*inHand
	postponed            []*inHand                        // to be finished later
	failed               map[[wire.MessageIDLen]byte]bool // what nsqd refused an answer about
	answered             []*inHand                        // since the last barrier
	barriers             [][]*inHand                      // that nsqd has not answered
	passed               int                              // barriers
	nextBarrier, nextRDY int64
	closing              bool // CLS was sent
	closeWait            bool // and answered
}

// inHand is a message that a session has in hand.
type inHand struct {
	*delivery
	id    [wire.MessageIDLen]byte
	at    int64 // when it is finished
	touch int64 // when it is touched next, 0 for never

	answer  act     // that was sent, or will be
	sent    bool    // the answer was
	touched bool    // TOUCH was sent
	done    bool    // nothing is to be learnt of it any more
	prev    *inHand // the same message, requeued, when that was not confirmed yet
	twin    bool    // FIN was sent for a delivery that had timed out, and so may be taken for this one's
	pledged bool    // FIN is the only answer that leaves no doubt
}

// dial connects to nsqd and negotiates; the connection is closed when ctx ends.
func dial(ctx context.Context, addr string, settings map[string]any) (net.Conn, error) {
	nc, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { nc.Close() })
	settings["user_agent"] = "nsq_soak"
	request, err := json.Marshal(settings)
	if err == nil {
		_, err = nc.Write(wire.AppendIdentify([]byte(wire.MagicV2), request))
	}
	if err == nil {
		err = expectOK(nc)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return nc, nil
}

// expectOK reads one response and nothing beyond it.
func expectOK(nc net.Conn) error {
	if err := nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	t, data, err := wire.ReadFrame(nc, nil, maxFrame)
	if err == nil && (t != wire.FrameResponse || string(data) != wire.OK) {
		err = fmt.Errorf("nsqd answered %q, not OK", data)
	}
	return err
}

// newSession connects and subscribes.
func newSession(ctx context.Context, addr string, a *account, h holder, habits habits, rnd *rand.Rand) (*session, error) {
	nc, err := dial(ctx, addr, map[string]any{"msg_timeout": h.timeout.Milliseconds()})
	if err != nil {
		return nil, err
	}
	_, err = nc.Write(wire.AppendSub(nil, a.ledger.topic, a.name))
	if err == nil {
		err = expectOK(nc)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return &session{
		holder: h, account: a, habits: habits, rnd: rnd, nc: nc, in: make([]byte, 0, readSize), drained: now(),
		holds: make(map[[wire.MessageIDLen]byte]*inHand), failed: make(map[[wire.MessageIDLen]byte]bool),
	}, nil
}

// run takes messages until the connection ends, the session's time is over, or stop
// is closed; with politely it then takes leave before it ends the connection. It
// returns why the connection ended, nil if that was our wish.
func (s *session) run(until int64, politely bool, stop <-chan struct{}) error {
	defer s.nc.Close()
	defer s.letGo()
	for {
		if err := s.read(); err != nil {
			return err
		}
		at := now()
		select {
		case <-stop:
			until, politely = at, true
		default:
		}
		if at >= until && !s.closing {
			if !politely {
				return nil
			}
			s.takeLeave()
		}
		s.doWhatIsDue(at)
		if err := s.flush(); err != nil {
			return err
		}
		if s.closing && s.closeWait && s.settled() || s.closing && at > until+int64(patience) {
			return nil
		}
	}
}

// takeLeave sends CLS and finishes what was postponed.
func (s *session) takeLeave() {
	s.closing = true
	s.out = wire.AppendCls(s.out)
	for _, h := range s.postponed {
		h.at, h.touch = 0, 0
	}
}

// settled reports whether nothing is left that the session will answer or wants to
// know.
func (s *session) settled() bool {
	return len(s.postponed) == 0 && len(s.answered) == 0 && len(s.barriers) == 0
}

// letGo tells the account what ends with the connection.
func (s *session) letGo() {
	var all []*delivery
	for _, h := range s.holds {
		for ; h != nil; h = h.prev {
			if !h.done {
				all = append(all, h.delivery)
			}
		}
	}
	s.account.end(all, now())
}

// read reads once, for a tick at most, and handles what came.
func (s *session) read() error {
	if len(s.in) == cap(s.in) {
		s.in = append(s.in, make([]byte, cap(s.in))...)[:len(s.in)]
	}
	if err := s.nc.SetReadDeadline(time.Now().Add(tick)); err != nil {
		return err
	}
	room := s.in[len(s.in):cap(s.in)]
	n, err := s.nc.Read(room)
	at := now()
	s.in = s.in[:len(s.in)+n]
	if err := s.frames(at); err != nil {
		return err
	}
	if n < len(room) {
		s.drained = at
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// frames handles every frame that is there whole.
func (s *session) frames(at int64) error {
	rest := s.in
	for {
		t, data, next, err := wire.ParseFrame(rest, maxFrame)
		if errors.Is(err, wire.ErrShort) {
			s.in = s.in[:copy(s.in[:cap(s.in)], rest)]
			return nil
		}
		if err != nil {
			return err
		}
		rest = next
		switch t {
		case wire.FrameMessage:
			err = s.message(data, at)
		case wire.FrameError:
			err = s.refused(wire.ParseError(data), at)
		default:
			err = s.response(string(data))
		}
		if err != nil {
			return err
		}
	}
}

func (s *session) response(text string) error {
	switch text {
	case wire.Heartbeat:
		s.out = wire.AppendNop(s.out)
	case wire.CloseWait:
		s.closeWait = true
	default:
		return fmt.Errorf("nobody waits for the response %q", text)
	}
	return nil
}

// message takes a message and decides what to do with it.
func (s *session) message(data []byte, at int64) error {
	m, err := wire.ParseMessage(data)
	if err != nil {
		return err
	}
	d := s.account.receive(s.holder, m.Body, m.Attempts, s.drained, at)
	if d == nil {
		s.out = wire.AppendFin(s.out, m.ID)
		return nil
	}
	h := &inHand{delivery: d, id: m.ID}
	if old := s.holds[m.ID]; old != nil && !old.done {
		s.again(old, h)
	}
	s.holds[m.ID] = h
	what := s.habits.choose(s.rnd)
	if s.closing || h.pledged {
		what = choice{}
	}
	h.answer = what.act
	switch what.act {
	case actFinish:
		s.finish(h)
	case actRequeue:
		s.account.requeue(h.delivery, now()+int64(what.delay.Truncate(time.Millisecond)))
		h.sent = true
		s.out = wire.AppendReq(s.out, h.id, what.delay)
		s.answered = append(s.answered, h)
	case actPostpone:
		h.at = at + int64(what.delay)
		h.touch = at + int64(s.timeout/3)
		s.postponed = append(s.postponed, h)
	case actForget: // it times out
	}
	return nil
}

// again takes a message that this connection has had, when it is not known yet what
// became of that delivery. nsqd cannot tell an answer to the one from an answer to the
// other.
func (s *session) again(old, h *inHand) {
	state, mayHaveTimedOut := s.account.sameConnection(old.delivery)
	switch state {
	case requeuing:
		h.prev, h.pledged = old, mayHaveTimedOut
	case finishing: // for no reason: the account will tell when it is confirmed
	default:
		old.done = true
		h.twin, h.pledged = old.sent, old.sent
		s.failed[h.id] = s.failed[h.id] || old.touched
	}
}

func (s *session) finish(h *inHand) {
	h.answer, h.sent = actFinish, true
	s.account.finish(h.delivery)
	s.out = wire.AppendFin(s.out, h.id)
	s.answered = append(s.answered, h)
}

// barrierPrefix begins the ids that no message has: nsqd answers to TOUCH of such a
// one, when it has dealt with all that was sent before.
const barrierPrefix = "barrier:"

// refused takes an error.
func (s *session) refused(e *wire.Error, at int64) error {
	words := strings.Fields(e.Desc)
	if e.Fatal() || len(words) < 2 || len(words[1]) != wire.MessageIDLen {
		return e
	}
	id := [wire.MessageIDLen]byte([]byte(words[1]))
	if strings.HasPrefix(words[1], barrierPrefix) {
		return s.pass(words[1])
	}
	h := s.oldest(id, e.Code)
	switch {
	case h == nil:
		if !s.failed[id] { // TOUCH and FIN of one message fail both
			s.account.odd(e.Error())
		}
	case e.Code == wire.FinFailed && h.twin: // of two FINs one fails
		h.twin = false
	case e.Code == wire.FinFailed && h.prev != nil && !h.prev.done && h.pledged:
		s.account.swap(h.prev.delivery, h.delivery) // REQ was taken for this one's
		s.isDone(h.prev)
	default:
		s.account.fail(h.delivery, at, e.Error())
		s.failed[id] = true
		s.isDone(h)
	}
	return nil
}

// oldest returns the oldest delivery of a message that a command which nsqd has refused
// was for, if something is to be learnt of it.
func (s *session) oldest(id [wire.MessageIDLen]byte, code string) (oldest *inHand) {
	for h := s.holds[id]; h != nil; h = h.prev {
		isIt := h.touched
		switch code {
		case wire.FinFailed:
			isIt = h.sent && h.answer == actFinish
		case wire.ReqFailed:
			isIt = h.sent && h.answer == actRequeue
		}
		if isIt && !h.done {
			oldest = h
		}
	}
	return oldest
}

// isDone forgets a delivery.
func (s *session) isDone(h *inHand) {
	h.done = true
	if h.prev != nil && h.prev.done {
		h.prev = nil
	}
	if s.holds[h.id] == h {
		delete(s.holds, h.id)
	}
}

// pass takes the answer to a barrier.
func (s *session) pass(id string) error {
	if len(s.barriers) == 0 || id != barrierID(s.passed) {
		return fmt.Errorf("the answer about %s came out of order", id)
	}
	var all []*delivery
	for _, h := range s.barriers[0] {
		if !h.done {
			all = append(all, h.delivery)
			s.isDone(h)
		}
	}
	s.account.confirm(all)
	s.barriers = s.barriers[1:]
	s.passed++
	return nil
}

func barrierID(n int) string { return fmt.Sprintf("%s%08x", barrierPrefix, uint32(n)) }

// doWhatIsDue finishes and touches what was postponed, changes RDY, and asks what has
// become of the answers.
func (s *session) doWhatIsDue(at int64) {
	s.postponed = filter(s.postponed, func(h *inHand) bool {
		if h.done { // it has timed out
			return false
		}
		if at >= h.at {
			s.finish(h)
			return false
		}
		if h.touch != 0 && at >= h.touch {
			s.out = wire.AppendTouch(s.out, h.id)
			h.touched = true
			h.touch = at + int64(s.timeout/3)
		}
		return true
	})
	if at >= s.nextRDY && !s.closing {
		rdy, next := s.habits.ready(s.rnd)
		s.out = wire.AppendRdy(s.out, rdy)
		s.nextRDY = at + int64(next)
	}
	if at >= s.nextBarrier && len(s.answered) > 0 {
		id := [wire.MessageIDLen]byte([]byte(barrierID(s.passed + len(s.barriers))))
		s.out = wire.AppendTouch(s.out, id)
		s.barriers = append(s.barriers, s.answered)
		s.answered = nil
		s.nextBarrier = at + int64(barrierEvery)
		if len(s.failed) > 10_000 {
			clear(s.failed)
		}
	}
}

// filter keeps the elements for which keep says so, in place.
func filter[T any](all []T, keep func(T) bool) []T {
	kept := all[:0]
	for _, v := range all {
		if keep(v) {
			kept = append(kept, v)
		}
	}
	clear(all[len(kept):])
	return kept
}

func (s *session) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	if err := s.nc.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := s.nc.Write(s.out)
	s.out = s.out[:0]
	return err
}
