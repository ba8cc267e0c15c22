// Package watch knows a cluster as its daemons last told it: a Poller asks them
// again and again, and a View is what they said, with what follows from it: sums
// over nodes, rates, and what an operator should look at. Whoever has a view waits
// for no network.
package watch

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/history"
)

// How often daemons are asked.
const (
	WatchedPace = 2 * time.Second  // while somebody watches
	idlePace    = 10 * time.Second // otherwise
	watchFor    = 30 * time.Second // after a page was requested
	restFactor  = 2                // rounds are at least so many times as far apart as answers keep us busy, up to idlePace
	roundWait   = time.Second      // a round waits for answers so long after the last question
	firstSpread = 100 * time.Millisecond
	firstWait   = 900 * time.Millisecond // so that View has something to return within the first second
	firstView   = time.Second
	atOnce      = 16                     // answers that are read and decoded at a time, so that all come in time where there is much to do
	patience    = 250 * time.Millisecond // after which an answer that has not come does not count among these
	rememberFor = time.Hour              // nodes that are no longer registered
)

// A Poller asks all daemons again and again and makes views of what they say.
//
// Each daemon has a goroutine of its own, so that one that hangs holds up nobody.
// They are told when to ask by the goroutine of run, which alone knows the state
// of all: a round begins, everybody who is not still waiting for an answer asks
// at a moment of their own in the first quarter of it, and when those have
// answered that usually do, a view is made. Answers that come later are in the
// next one.
type Poller struct {
	client   *cluster.Client
	log      *slog.Logger
	nsqds    []string        // asked themselves, if there are no nsqlookupds
	lookupds func() []string // at present
	start    time.Time
	History  *history.Store // the last hour; may be replaced before Run

	view    atomic.Pointer[View]
	ready   chan struct{} // closed when there is a view of a round
	beat    atomic.Int64  // when run last went on, in nanoseconds from start
	watched atomic.Int64  // when a view was last wanted, in nanoseconds from start
	stirs   chan struct{} // has the next round begin as soon as it may
	asks    chan *wish
	results chan result
	stopped chan struct{} // closed when run has ended
	slots   chan struct{} // holds one for each answer that is being read
	workers sync.WaitGroup

	counts pollCounts

	pollState
}

// pollState is what the goroutine of run knows.
type pollState struct {
	nodes       map[string]*daemon // by address
	lookupNodes map[string]*daemon // the nsqlookupds
	known       map[string]*knownNode
	began       time.Time     // of the round
	open        bool          // the round waits for answers
	next        *time.Timer   // the end of the round, or the begin of the next
	first       bool          // round
	spread      time.Duration // of the questions of the round
	latest      time.Time     // answer of the round
	overrun     time.Duration // what answers of the last round took beyond the spread: reading, decoding, merging them
}

// NewPoller returns a poller that has asked nobody yet.
func NewPoller(client *cluster.Client, log *slog.Logger, nsqds []string, lookupds func() []string) *Poller {
	p := &Poller{
		client:   client,
		log:      log,
		nsqds:    nsqds,
		lookupds: lookupds,
		start:    time.Now(),
		ready:    make(chan struct{}),
		stirs:    make(chan struct{}, 1),
		asks:     make(chan *wish),
		results:  make(chan result),
		stopped:  make(chan struct{}),
		slots:    make(chan struct{}, atOnce),
		counts:   newPollCounts(),
		pollState: pollState{
			nodes:       make(map[string]*daemon),
			lookupNodes: make(map[string]*daemon),
			known:       make(map[string]*knownNode),
			first:       true,
		},
	}
	p.History = history.NewStore(p.start, 0)
	p.watched.Store(int64(-watchFor))
	p.view.Store(NewView(p.start, p.History, nil, nil))
	return p
}

// View returns the latest view and takes note that somebody watches. It waits for
// nobody, except within the first second after the start for the first answers.
func (p *Poller) View() *View {
	now := time.Since(p.start)
	if before := time.Duration(p.watched.Swap(int64(now))); now-before >= watchFor {
		p.Stir()
	}
	if now < firstView {
		soon := time.NewTimer(firstView - now)
		defer soon.Stop()
		select {
		case <-p.ready:
		case <-p.stopped:
		case <-soon.C:
		}
	}
	return p.view.Load()
}

// Stir has the next round begin as soon as it may: somebody watches, or the list
// of nsqlookupds has changed.
func (p *Poller) Stir() {
	select {
	case p.stirs <- struct{}{}:
	default:
	}
}

// stillFor is for how long nothing happens in a Poller at most, but for one that
// has come to a stop.
const stillFor = time.Minute

// IsAlive reports whether daemons are asked, or are about to be.
func (p *Poller) IsAlive() bool {
	select {
	case <-p.stopped:
		return false
	default:
		return time.Since(p.start)-time.Duration(p.beat.Load()) < stillFor
	}
}

// HasAsked reports whether the first round is over, whatever was answered.
func (p *Poller) HasAsked() bool {
	select {
	case <-p.ready:
		return true
	default:
		return false
	}
}

// pace returns the time between rounds.
func (p *Poller) pace() time.Duration {
	pace := idlePace
	if time.Since(p.start)-time.Duration(p.watched.Load()) < watchFor {
		pace = WatchedPace
	}
	return max(pace, min(restFactor*p.overrun, idlePace))
}

// A wish is that daemons are asked anew.
type wish struct {
	addresses []string // none for all
	pending   int      // answers that are still to come
	done      chan struct{}
}

func (r *wish) wants(address string) bool {
	return len(r.addresses) == 0 || slices.Contains(r.addresses, address)
}

// Refresh asks daemons now, all for none, and returns when they have answered and
// View tells what, or when ctx ends. Addresses of nobody are ignored.
func (p *Poller) Refresh(ctx context.Context, addresses ...string) {
	r := &wish{addresses: addresses, done: make(chan struct{})}
	select {
	case p.asks <- r:
	case <-ctx.Done():
		return
	case <-p.stopped:
		return
	}
	select {
	case <-r.done:
	case <-ctx.Done():
	case <-p.stopped:
	}
}

// Run asks until ctx ends. It returns when nobody is asked any more.
func (p *Poller) Run(ctx context.Context) {
	defer close(p.stopped)
	defer p.workers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.next = time.NewTimer(0)
	defer p.next.Stop()
	for {
		p.beat.Store(int64(time.Since(p.start)))
		select {
		case <-ctx.Done():
			return
		case <-p.next.C:
			if p.open {
				p.endRound()
			} else {
				p.beginRound(ctx)
			}
		case <-p.stirs:
			if !p.open {
				p.next.Reset(time.Until(p.began.Add(p.pace())))
			}
		case r := <-p.asks:
			p.refresh(ctx, r)
		case r := <-p.results:
			p.take(ctx, r)
		}
	}
}

// all calls f for every daemon.
func (p *Poller) all(f func(d *daemon)) {
	for _, d := range p.lookupNodes {
		f(d)
	}
	for _, d := range p.nodes {
		f(d)
	}
}

// beginRound has everybody asked who does not owe an answer already.
func (p *Poller) beginRound(ctx context.Context) {
	p.began, p.open = time.Now(), true
	p.latest = p.began
	p.meet(ctx)
	p.spread = p.pace() / 4
	wait := p.spread + roundWait
	if p.first {
		p.spread, wait = firstSpread, firstWait
	}
	p.all(func(d *daemon) {
		if d.idle { // who came just now is asked already
			d.awaited = d.err == nil
			d.ask(order{delay: time.Duration(d.phase * float64(p.spread))})
		}
	})
	p.next.Reset(wait)
	p.endIfComplete()
}

// endIfComplete ends the round if nobody is awaited any more.
func (p *Poller) endIfComplete() {
	awaited := false
	p.all(func(d *daemon) { awaited = awaited || d.awaited })
	if p.open && !awaited {
		p.endRound()
	}
}

// endRound makes a view of what is known now, and lets the next round come.
func (p *Poller) endRound() {
	p.open = false
	p.all(func(d *daemon) { d.awaited = false })
	now := time.Now()
	v := p.publish(now)
	p.History.Add(now, v.samples())
	p.overrun = max(0, p.latest.Sub(p.began)-p.spread) + time.Since(now) // not the wait for those that hang
	if p.first {
		p.first = false
		close(p.ready)
	}
	p.next.Reset(time.Until(p.began.Add(p.pace())))
}

// refresh has daemons asked for r. Who is being asked just now is asked once
// more: what the answer will say may be older than what r is for.
func (p *Poller) refresh(ctx context.Context, r *wish) {
	p.meet(ctx)
	p.all(func(d *daemon) {
		if !r.wants(d.address) {
			return
		}
		r.pending++
		if d.idle {
			d.ask(order{thorough: true})
			d.asking = append(d.asking, r)
		} else {
			d.again = append(d.again, r)
		}
	})
	if r.pending == 0 {
		close(r.done)
	}
}

// take notes what came of asking a daemon.
func (p *Poller) take(ctx context.Context, r result) {
	d := r.of
	if d.gone {
		return
	}
	if r.node != nil && d.awaited {
		p.latest = r.at
	}
	d.idle, d.awaited = true, false
	p.counts.note(r)
	p.report(d, r.err)
	d.note(r)
	answered := d.asking
	d.asking = nil
	if len(d.again) > 0 {
		d.asking, d.again = d.again, nil
		d.ask(order{thorough: true})
	}
	if r.lookupd != nil {
		p.meet(ctx)
	}
	p.answered(answered)
	if p.open {
		p.endIfComplete()
	}
}

// report logs when a daemon stops to answer, and when it answers again.
func (p *Poller) report(d *daemon, err error) {
	switch {
	case err != nil && d.err == nil:
		p.log.Warn("no answer", "daemon", d.address, "error", err)
	case err == nil && d.err != nil:
		p.log.Info("answers again", "daemon", d.address)
	}
}

// answered counts an answer for those who wait for it, and publishes what was
// said when somebody has all of them.
func (p *Poller) answered(waiting []*wish) {
	var done []*wish
	for _, r := range waiting {
		if r.pending--; r.pending == 0 {
			done = append(done, r)
		}
	}
	if len(done) == 0 {
		return
	}
	p.publish(time.Now())
	for _, r := range done {
		close(r.done)
	}
}

// meet starts and stops asking daemons as they come and go: nsqlookupds by the
// configuration, nsqds as nsqlookupds know them.
func (p *Poller) meet(ctx context.Context) {
	now := time.Now()
	lookupds := p.lookupds()
	for _, address := range lookupds {
		if p.lookupNodes[address] == nil {
			p.lookupNodes[address] = p.employ(ctx, address, newLookupdAsker(p.client, address).ask)
		}
	}
	for address, d := range p.lookupNodes {
		if !slices.Contains(lookupds, address) {
			delete(p.lookupNodes, address)
			p.dismiss(d)
		}
	}
	p.recognize(now)
	for address := range p.known {
		if p.nodes[address] == nil {
			p.nodes[address] = p.employ(ctx, address, newNodeAsker(p.client, address, len(p.nsqds) > 0).ask)
		}
	}
	for address, d := range p.nodes {
		if p.known[address] == nil {
			delete(p.nodes, address)
			p.dismiss(d)
		}
	}
}

// A daemon is one that is asked: the state of it, and its goroutine.
type daemon struct {
	address string
	orders  chan order // room for one, which is there while it is idle
	stop    context.CancelFunc
	phase   float64 // in [0,1): when in a round it is asked

	idle    bool    // it is not being asked
	awaited bool    // the round waits for it
	gone    bool    // it is not asked any more
	asking  []*wish // those for which it is being asked
	again   []*wish // those for which it is to be asked once more

	answered time.Time // zero for never
	took     time.Duration
	err      error // of the last question
	node     *nodeAnswer
	lookupd  *lookupdAnswer
}

// An order has a daemon asked.
type order struct {
	delay    time.Duration
	thorough bool // somebody waits for all that may have changed
}

// A result is what came of it: an error or one of the answers.
type result struct {
	of      *daemon
	at      time.Time
	took    time.Duration
	err     error
	node    *nodeAnswer
	lookupd *lookupdAnswer
}

// An asker asks one daemon.
type asker func(ctx context.Context, thorough bool) result

// employ starts the goroutine of a daemon. Whoever comes within a round is asked
// within it.
func (p *Poller) employ(ctx context.Context, address string, ask asker) *daemon {
	ctx, stop := context.WithCancel(ctx)
	d := &daemon{address: address, orders: make(chan order, 1), stop: stop, phase: rand.Float64(), idle: true}
	p.workers.Go(func() { p.work(ctx, d, ask) })
	if p.open {
		d.awaited = true
		d.ask(order{})
	}
	return d
}

// dismiss stops asking a daemon. Its goroutine ends by itself.
func (p *Poller) dismiss(d *daemon) {
	d.gone = true
	d.stop()
	p.answered(slices.Concat(d.asking, d.again))
}

// ask has an idle daemon asked.
func (d *daemon) ask(o order) {
	d.idle = false
	d.orders <- o
}

// note keeps what came of asking. What a daemon said before is kept while it does
// not answer.
func (d *daemon) note(r result) {
	d.took, d.err = r.took, r.err
	if r.err != nil {
		return
	}
	d.answered, d.node, d.lookupd = r.at, r.node, r.lookupd
}

// work asks a daemon when it is told to, until ctx ends.
func (p *Poller) work(ctx context.Context, d *daemon, ask asker) {
	silent := false
	for {
		var o order
		select {
		case o = <-d.orders:
		case <-ctx.Done():
			return
		}
		if o.delay > 0 {
			wait := time.NewTimer(o.delay)
			select {
			case <-wait.C:
			case <-ctx.Done():
				wait.Stop()
				return
			}
		}
		leave := p.queue(ctx, silent)
		began := time.Now()
		r := ask(ctx, o.thorough)
		leave()
		silent = r.err != nil
		r.of, r.at = d, time.Now()
		r.took = r.at.Sub(began)
		select {
		case p.results <- r:
		case <-ctx.Done():
			return
		}
	}
}

// queue waits until one more may be asked, and returns what the caller calls when
// it has the answer. Daemons that hang keep nobody from being asked: those that
// were silent the last time do not count, others not for long.
func (p *Poller) queue(ctx context.Context, silent bool) (leave func()) {
	if silent {
		return func() {}
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return func() {}
	}
	free := sync.OnceFunc(func() { <-p.slots })
	timer := time.AfterFunc(patience, free)
	return func() {
		timer.Stop()
		free()
	}
}
