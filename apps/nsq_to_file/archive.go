package main

import (
	"context"
	"fmt"
	"time"

	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/nsq"
)

// requeueDelay is how long messages stay away that could not be written. The pause
// of the consumer's backoff is added to it.
const requeueDelay = time.Second

// consumer is what an archive needs of a consumer.
type consumer interface {
	tool.Consumer
	IsStarved() bool
}

// archive writes the messages of one topic to files. They are finished after a sync,
// and requeued if anything fails before it. All is done by the goroutine of run; the
// consumer's only passes messages to it.
type archive struct {
	o        *options
	label    string // [topic/channel]
	consumer consumer
	out      *output

	batches chan []*nsq.Message // for run, which sends to taken when it is done with them
	taken   chan struct{}
	ended   chan struct{} // closed when run has returned
	hangups chan struct{}

	pending  []*nsq.Message // appended and not finished
	due      time.Time      // when the first of them may be about to time out; zero if none will
	early    *time.Timer    // tells when that is
	fresh    bool           // no sync yet since the file was opened
	failing  bool           // since the last sync
	stopping bool           // every message may be the last
	err      error          // ends the program
}

func newArchive(d disk, o *options, topic string) (*archive, error) {
	label := fmt.Sprintf("[%s/%s]", topic, o.channel)
	out, err := newOutput(d, o, topic, label)
	if err != nil {
		return nil, err
	}
	a := &archive{
		o: o, label: label, out: out,
		batches: make(chan []*nsq.Message), taken: make(chan struct{}), ended: make(chan struct{}),
		hangups: make(chan struct{}, 1),
		early:   time.NewTimer(time.Hour),
	}
	a.early.Stop()
	return a, nil
}

// HandleMessages implements nsq.BatchHandler.
func (a *archive) HandleMessages(messages []*nsq.Message) error {
	for _, m := range messages {
		m.DisableAutoResponse()
	}
	select {
	case a.batches <- messages:
		<-a.taken
	case <-a.ended: // without them: nobody waits for an answer any more
	}
	return nil
}

// hangUp makes run close the file, so that it can be taken away.
func (a *archive) hangUp() {
	select {
	case a.hangups <- struct{}{}:
	default: // it will
	}
}

// run writes messages until ctx ends and the consumer has stopped. It returns early,
// in the same way, with an error that will not go away.
func (a *archive) run(ctx context.Context) error {
	defer close(a.ended)
	a.out.recover(time.Now())
	tick := time.NewTicker(a.o.syncInterval)
	defer tick.Stop()
	var stopped <-chan struct{} // nil until we stop
	stop := ctx.Done()
	for {
		select {
		case messages := <-a.batches:
			a.write(messages, time.Now())
			a.taken <- struct{}{}
		case <-tick.C:
			a.tick(time.Now()) // later than what was written: names do not go back
		case <-a.early.C:
			a.sync()
		case <-a.hangups:
			a.reopen()
		case <-stop:
			stop = nil
		case <-stopped:
			a.close()
			return a.err
		}
		if stopped == nil && (stop == nil || a.err != nil) {
			a.stopping = true
			stopped = tool.NewConsumers(a.consumer).Stop()
			a.sync()
		}
	}
}

// write appends messages, and finishes them if it is time to sync.
func (a *archive) write(messages []*nsq.Message, now time.Time) {
	for i, m := range messages {
		if err := a.append(m, now); err != nil {
			a.fail(err, messages[i:])
			return
		}
		if len(a.pending) >= a.o.maxInFlight && !a.sync() {
			a.requeue(messages[i+1:])
			return
		}
	}
	if err := a.out.flush(); err != nil {
		a.fail(err, nil)
		return
	}
	if a.fresh || a.failing || a.stopping || a.consumer.IsStarved() {
		a.sync()
	}
}

func (a *archive) append(m *nsq.Message, now time.Time) error {
	if a.err != nil {
		return a.err
	}
	if err := a.rotate(now); err != nil {
		return err
	}
	if !a.out.isOpen() {
		if err := a.open(now); err != nil {
			return err
		}
	}
	if err := a.out.append(m.Body); err != nil {
		return err
	}
	a.pending = append(a.pending, m)
	a.noteTimeout(m, now)
	return nil
}

// noteTimeout makes run sync when half the time is over that nsqd waits for an answer.
func (a *archive) noteTimeout(m *nsq.Message, now time.Time) {
	timeout := m.Timeout()
	if timeout <= 0 {
		return
	}
	if due := now.Add(timeout / 2); a.due.IsZero() || due.Before(a.due) {
		a.due = due
		a.early.Reset(timeout / 2)
	}
}

// rotate closes the file if it is full.
func (a *archive) rotate(now time.Time) error {
	if !a.out.isFull(now) {
		return nil
	}
	if err := a.trySync(); err != nil {
		return err
	}
	return a.out.rotate(now)
}

func (a *archive) open(now time.Time) error {
	err := a.out.open(now)
	a.fresh = err == nil
	return err
}

// tick is what there is to do every now and then, also without messages.
func (a *archive) tick(now time.Time) {
	if a.err != nil {
		return
	}
	err := a.rotate(now)
	if err == nil && !a.out.isOpen() && !a.o.skipEmptyFiles && !a.stopping {
		err = a.open(now)
	}
	if err == nil {
		err = a.trySync()
	}
	if err != nil {
		a.fail(err, nil)
	}
}

// reopen closes the file, also one that could not be written to. The next message, or
// the next tick, opens one.
func (a *archive) reopen() {
	a.o.log.infof("%s closing the file after SIGHUP", a.label)
	a.sync()
	a.close()
}

func (a *archive) close() {
	if err := a.out.close(); err != nil {
		a.fail(err, nil)
	}
}

// sync is trySync that deals with failures. It reports whether there was none.
func (a *archive) sync() bool {
	err := a.trySync()
	if err != nil {
		a.fail(err, nil)
	}
	return err == nil
}

// trySync finishes all messages that were appended, once they are on disk.
func (a *archive) trySync() error {
	if len(a.pending) > 0 {
		a.o.log.infof("%s syncing %d records to disk", a.label, len(a.pending))
	}
	if err := a.out.sync(); err != nil {
		return err
	}
	if len(a.pending) > 0 {
		a.fresh = false
		if a.failing {
			a.failing = false
			a.o.log.infof("%s files can be written again", a.label)
		}
	}
	for _, m := range a.pending {
		m.Finish()
	}
	a.forgetPending()
	return nil
}

// fail gives nsqd everything back that is not on disk, with messages that were not
// even appended.
func (a *archive) fail(err error, messages []*nsq.Message) {
	a.out.rollback()
	n := len(a.pending) + len(messages)
	a.requeue(a.pending)
	a.requeue(messages)
	a.forgetPending()
	switch {
	case a.err != nil: // known
	case isPersistent(err):
		a.err = err
		a.o.log.fatalf("%s %v", a.label, err)
	default:
		a.failing = true
		a.o.log.errorf("%s cannot write, trying again until it is possible; %d messages are requeued: %v", a.label, n, err)
	}
}

func (a *archive) requeue(messages []*nsq.Message) {
	for _, m := range messages {
		m.Requeue(requeueDelay)
	}
}

func (a *archive) forgetPending() {
	clear(a.pending)
	a.pending = a.pending[:0]
	a.due = time.Time{}
	a.early.Stop()
}
