package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/load"
)

// uncounted is a channel of every topic that is emptied now and then.
const uncounted = "uncounted"

// A soak is one run of the program.
type soak struct {
	options
	progress io.Writer  // what say writes to
	saying   sync.Mutex // serializes it

	dir      string
	dataPath string
	log      *os.File // of nsqd
	ctx      context.Context
	ledgers  []*ledger
	calm     atomic.Bool // consumers finish what is left

	last *instance // that was started

	mu      sync.Mutex // what follows
	current *instance  // nil while nsqd is restarted
	inside  int        // who uses it, or the one before
	changed chan struct{}
	rnd     *rand.Rand
}

// run runs everything and returns the report. When it returns, no process is left;
// nor are files, unless something is wrong.
func (s *soak) run(ctx context.Context) (rep *report, err error) {
	if s.dir, err = os.MkdirTemp(s.tempDir, "nsq_soak"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.cleanUp(rep, err)) }()
	s.dataPath = filepath.Join(s.dir, "data")
	if err := os.Mkdir(s.dataPath, 0o755); err != nil {
		return nil, err
	}
	if s.log, err = os.Create(filepath.Join(s.dir, "nsqd.log")); err != nil {
		return nil, err
	}
	s.changed = make(chan struct{})
	s.rnd = rand.New(rand.NewPCG(s.seed, 2))
	b := newBodies(s.seed)
	for i := range s.topics {
		s.ledgers = append(s.ledgers, newLedger(fmt.Sprintf("soak%d", i), i, b, "steady", "rough", "slow"))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.ctx = ctx
	defer s.kill() // before cancel
	return s.phases(ctx)
}

func (s *soak) kill() {
	if s.last != nil {
		s.last.server.Kill()
	}
}

// cleanUp removes the data, and nsqd's log unless somebody will want to read it.
func (s *soak) cleanUp(rep *report, err error) error {
	var errs []error
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	remove := s.dataPath
	if err == nil && rep.ok() {
		remove = s.dir
	} else {
		s.say("the log of nsqd is kept: %s\n", filepath.Join(s.dir, "nsqd.log"))
	}
	return errors.Join(append(errs, os.RemoveAll(remove))...)
}

// phases are: a third of the time with restarts, if there are any, a sixth as a
// warm-up, which shows what nsqd needs at rest, and the rest to see that it needs no
// more later. All end with nothing left in nsqd.
func (s *soak) phases(ctx context.Context) (*report, error) {
	rep := &report{options: s.options, ledgers: s.ledgers}
	if err := s.start(ctx, 0); err != nil {
		return nil, err
	}
	start := now()
	defer func() { rep.took = time.Duration(now() - start) }()
	left, warmUp := s.length, s.length/6
	if s.restarts > 0 {
		left -= s.length / 3
		if err := s.phase(ctx, rep, "with restarts", s.length/3, s.restarts); err != nil || !rep.ok() {
			return rep, err
		}
	}
	if err := s.phase(ctx, rep, "warm-up", warmUp, 0); err != nil || !rep.ok() {
		return rep, err
	}
	var err error
	if rep.before, err = s.last.rest(ctx, nil); err != nil {
		return rep, err
	}
	if err := s.phase(ctx, rep, "soak", left-warmUp, 0); err != nil || !rep.ok() {
		return rep, err
	}
	if rep.after, err = s.last.rest(ctx, rep.before); err != nil {
		return rep, err
	}
	rep.compare()
	if err := s.last.server.Stop(ctx); err != nil {
		return rep, err
	}
	return rep, nil
}

// phase loads nsqd for a while, has everything drained, and compares what nsqd has
// counted with what we have.
func (s *soak) phase(ctx context.Context, rep *report, name string, length time.Duration, restarts int) (err error) {
	s.say("%s for %v\n", name, length)
	g := load.NewGroup(ctx)
	defer func() { err = errors.Join(g.Stop(), err) }()
	g.Run(s.watch)
	g.Run(s.tell)
	s.calm.Store(false)
	consumers := s.consume(g.Context())
	busy := load.NewGroup(g.Context())
	s.publish(busy)
	s.operate(busy)
	busy.Run(func(ctx context.Context) error { return s.restartNow(ctx, length, restarts) })
	err = load.Sleep(busy.Context(), length)
	if stopErr := busy.Stop(); stopErr != nil {
		err = stopErr
	}
	if err == nil {
		s.calm.Store(true)
		s.say("%s: draining\n", name)
		err = s.drain(g.Context())
	}
	consumersErr := consumers.stop()
	if err = errors.Join(err, consumersErr); err != nil {
		return errors.Join(s.last.server.Died(100*time.Millisecond), err)
	}
	for _, l := range s.ledgers {
		l.close()
	}
	return rep.audit(g.Context(), s.last)
}

// watch returns when nsqd has ended by itself.
func (s *soak) watch(ctx context.Context) error {
	for {
		in, leave := s.enter(ctx)
		if in == nil {
			return nil
		}
		leave()
		select {
		case <-in.server.Done:
			if !in.isStopping() {
				return in.server.Died(0)
			}
			if load.Sleep(ctx, tick) != nil {
				return nil
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// tell tells every now and then how far things are.
func (s *soak) tell(ctx context.Context) error {
	for load.Sleep(ctx, s.every) == nil {
		var published, finished, again int64
		for _, l := range s.ledgers {
			p, _ := l.totals()
			published += p.acked
			for _, a := range l.channels {
				t := a.totals()
				finished += t.finishes
				for _, n := range t.again {
					again += n
				}
			}
		}
		s.say("%v: %d published, %d finished, %d delivered again\n", time.Duration(now()).Round(time.Second), published, finished, again)
	}
	return nil
}

// say writes a line about how far things are.
func (s *soak) say(format string, args ...any) {
	s.saying.Lock()
	defer s.saying.Unlock()
	fmt.Fprintf(s.progress, format, args...)
}

func (s *soak) publish(g *load.Group) {
	rate := s.rate / float64(len(s.ledgers))
	for _, l := range s.ledgers {
		for _, w := range ways {
			p := &publisher{soak: s, ledger: l, way: w, rate: rate * w.share, rnd: s.random()}
			g.Run(p.run)
		}
	}
}

// random returns a source of its own for a goroutine.
func (s *soak) random() *rand.Rand {
	s.mu.Lock()
	defer s.mu.Unlock()
	return rand.New(rand.NewPCG(s.rnd.Uint64(), s.rnd.Uint64()))
}

// restartNow restarts nsqd several times within a while.
func (s *soak) restartNow(ctx context.Context, length time.Duration, restarts int) error {
	for range restarts {
		if load.Sleep(ctx, length/time.Duration(restarts+1)) != nil {
			return nil
		}
		if err := s.restart(context.WithoutCancel(ctx)); err != nil { // not broken off
			return err
		}
	}
	return nil
}

// drain waits until nsqd holds nothing any more, for as long as it becomes less.
func (s *soak) drain(ctx context.Context) error {
	in := s.last
	if err := s.tidy(ctx, in); err != nil {
		return err
	}
	best, since := int64(-1), time.Now()
	for {
		all, err := in.stats(ctx)
		if err != nil {
			return err
		}
		left, what := int64(0), ""
		for _, t := range all.Topics {
			left += t.Depth
			what += fmt.Sprintf(" %s: depth %d;", t.Name, t.Depth)
			for _, ch := range t.Channels {
				left += ch.Depth + int64(ch.InFlight) + int64(ch.Deferred)
				what += fmt.Sprintf(" %s/%s: depth %d, in flight %d, deferred %d;", t.Name, ch.Name, ch.Depth, ch.InFlight, ch.Deferred)
			}
			if err := in.post(ctx, "/channel/empty?topic="+t.Name+"&channel="+uncounted); err != nil {
				return err
			}
		}
		if left == 0 {
			return nil
		}
		if best < 0 || left < best {
			best, since = left, time.Now()
		}
		if time.Since(since) > patience {
			return fmt.Errorf("nothing has drained for %v:%s", patience, what)
		}
		if err := load.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}
