package nsq_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsq"
)

var chaosSeed = flag.Uint64("chaos.seed", 0, "where TestChaos cuts connections; 0 for somewhere else each time")

// chaos is what publishers and consumers remember while their connections are
// cut.
type chaos struct {
	t         *testing.T
	stop      chan struct{} // closed when publishers are to end
	longest   atomic.Int64  // time a call took, in nanoseconds
	refused   atomic.Int64  // calls that failed
	late      atomic.Int64  // of these, because their context ended
	published atomic.Int64  // calls that did not fail

	mu       sync.Mutex
	accepted int             // messages that nsqd was said to have
	missing  map[string]bool // those of them that did not arrive yet
	arrived  map[string]int  // how often
}

// body returns one that no other message has: mostly small, some of them larger
// than what is written or read at a time.
func (c *chaos) body(rnd *rand.Rand, name string, i int) []byte {
	size := rnd.IntN(500)
	if rnd.IntN(200) == 0 {
		size = rnd.IntN(200_000)
	}
	return fmt.Appendf(nil, "%s %d %0*d", name, i, size, 0)
}

// called notes how a call went that began at start.
func (c *chaos) called(start time.Time, err error, bodies ...[]byte) {
	took := int64(time.Since(start))
	for longest := c.longest.Load(); took > longest && !c.longest.CompareAndSwap(longest, took); {
		longest = c.longest.Load()
	}
	c.result(err, bodies...)
}

// result notes what became of a call.
func (c *chaos) result(err error, bodies ...[]byte) {
	if err != nil {
		c.refused.Add(1)
		return
	}
	c.published.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, body := range bodies {
		c.accepted++
		if c.arrived[string(body)] == 0 {
			c.missing[string(body)] = true
		}
	}
}

func (c *chaos) HandleMessage(m *nsq.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.arrivedLocked(m)
	return nil
}

func (c *chaos) HandleMessages(messages []*nsq.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range messages {
		c.arrivedLocked(m)
	}
	return nil
}

func (c *chaos) arrivedLocked(m *nsq.Message) {
	c.arrived[string(m.Body)]++
	delete(c.missing, string(m.Body))
	if m.Attempts == 1 && len(c.arrived)%100 == 0 {
		m.RequeueWithoutBackoff(0)
	}
}

func (c *chaos) allArrived() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.missing) == 0
}

func (c *chaos) duplicates() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, times := range c.arrived {
		n += times - 1
	}
	return n
}

// publish calls f, with a random number generator of its own, about every two
// milliseconds until the publishers are to end.
func (c *chaos) publish(seed uint64, f func(rnd *rand.Rand, i int)) {
	rnd := rand.New(rand.NewPCG(seed, seed))
	pace := time.NewTicker(2 * time.Millisecond)
	defer pace.Stop()
	for i := 0; ; i++ {
		select {
		case <-pace.C:
			f(rnd, i)
		case <-c.stop:
			return
		}
	}
}

func (c *chaos) sync(p nsq.Publisher, name string) func(*rand.Rand, int) {
	return func(rnd *rand.Rand, i int) {
		body, start := c.body(rnd, name, i), time.Now()
		c.called(start, p.Publish("chaos", body), body)
	}
}

func (c *chaos) multi(p nsq.Publisher, name string) func(*rand.Rand, int) {
	return func(rnd *rand.Rand, i int) {
		var bodies [][]byte
		for j := range 1 + rnd.IntN(5) {
			bodies = append(bodies, c.body(rnd, fmt.Sprint(name, j), i))
		}
		start := time.Now()
		c.called(start, p.MultiPublish("chaos", bodies), bodies...)
	}
}

func (c *chaos) deferred(p nsq.Publisher, name string) func(*rand.Rand, int) {
	return func(rnd *rand.Rand, i int) {
		body, start := c.body(rnd, name, i), time.Now()
		c.called(start, p.DeferredPublish("chaos", time.Duration(rnd.IntN(100))*time.Millisecond, body), body)
	}
}

// impatient gives calls less time than connections may stall.
func (c *chaos) impatient(p nsq.Publisher, name string) func(*rand.Rand, int) {
	return func(rnd *rand.Rand, i int) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rnd.IntN(50_000))*time.Microsecond)
		defer cancel()
		body, start := c.body(rnd, name, i), time.Now()
		err := p.PublishContext(ctx, "chaos", body)
		if errors.Is(err, context.DeadlineExceeded) {
			c.late.Add(1)
		}
		c.called(start, err, body)
	}
}

// async publishes without waiting, with up to a hundred answers on their way.
func (c *chaos) async(p nsq.Publisher, name string, seed uint64) {
	done := make(chan *nsq.ProducerTransaction, 100)
	open := make(chan struct{}, cap(done))
	var results sync.WaitGroup
	results.Go(func() {
		for tx := range done {
			c.result(tx.Error, tx.Args[0].([]byte))
			<-open
		}
	})
	c.publish(seed, func(rnd *rand.Rand, i int) {
		body, start := c.body(rnd, name, i), time.Now()
		open <- struct{}{}
		if err := p.PublishAsync("chaos", body, done, body); err != nil {
			c.called(start, err)
			<-open
		}
	})
	for range cap(open) { // until every transaction has ended
		open <- struct{}{}
	}
	close(done)
	results.Wait()
}

// consume starts a consumer through a proxy. The first connection may need
// several attempts.
func (c *chaos) consume(addr string, addHandler func(*nsq.Consumer)) *nsq.Consumer {
	cfg := nsq.NewConfig()
	cfg.MaxInFlight = 100
	cfg.MaxAttempts = 0
	cfg.MsgTimeout = 2 * time.Second // of what nsqd wrote to a connection that was cut
	cfg.LookupdPollInterval = 200 * time.Millisecond
	r, err := nsq.NewConsumer("chaos", "ch", cfg)
	must(c.t, err)
	r.SetLogger(nil, nsq.LogLevelInfo)
	addHandler(r)
	nsqtest.Eventually(c.t, "a consumer's first connection", func() bool { return r.ConnectToNSQD(addr) == nil })
	return r
}

// chaosProxy returns a proxy that cuts every connection, some only after long, so
// that large messages come through.
func chaosProxy(t *testing.T, d *nsqtest.NSQD, seed uint64) *nsqtest.Proxy {
	rnd := rand.New(rand.NewPCG(seed, 0))
	return nsqtest.NewProxy(t, d.TCPAddr(), func() nsqtest.Cut {
		if rnd.IntN(16) == 0 {
			return nsqtest.RandomCut(rnd, 2<<20)
		}
		return nsqtest.RandomCut(rnd, 1<<14)
	})
}

// While connections are cut at random bytes, in both directions and in many
// manners, every message arrives that a call or a transaction said nsqd has; no
// call lasts, and nothing is left at the end.
func TestChaos(t *testing.T) {
	nsqtest.Parallel(t)
	length := 20 * time.Second
	if testing.Short() {
		length = 3 * time.Second
	}
	seed := *chaosSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-chaos.seed=%d", seed)
	opts := nsqtest.Options(t)
	opts.Logger = slog.New(slog.DiscardHandler) // every cut is a warning
	d := nsqtest.Start(t, opts)
	proxy, other := chaosProxy(t, d, seed), chaosProxy(t, d, seed+1)
	c := &chaos{t: t, stop: make(chan struct{}), missing: map[string]bool{}, arrived: map[string]int{}}

	consumers := []*nsq.Consumer{
		c.consume(proxy.Addr, func(r *nsq.Consumer) { r.AddConcurrentHandlers(c, 4) }),
		c.consume(proxy.Addr, func(r *nsq.Consumer) {
			r.AddBatchHandler(c, 2, nsq.BatchOptions{MaxMessages: 30, MaxWait: 10 * time.Millisecond})
		}),
	}
	multi, err := nsq.NewMultiProducer([]string{proxy.Addr, other.Addr}, nsq.NewConfig())
	must(t, err)
	multi.SetLogger(nil, nsq.LogLevelInfo)
	producers := []nsq.Publisher{multi}
	for range 3 {
		p, err := nsq.NewProducer(proxy.Addr, nsq.NewConfig())
		must(t, err)
		p.SetLogger(nil, nsq.LogLevelInfo)
		producers = append(producers, p)
	}
	var publishers sync.WaitGroup
	for i, p := range producers { // each is shared by calls of every kind
		n := seed + 10*uint64(i)
		publishers.Go(func() { c.publish(n, c.sync(p, fmt.Sprint("sync", i))) })
		publishers.Go(func() { c.publish(n+1, c.multi(p, fmt.Sprint("multi", i))) })
		publishers.Go(func() { c.publish(n+2, c.deferred(p, fmt.Sprint("deferred", i))) })
		publishers.Go(func() { c.publish(n+4, c.impatient(p, fmt.Sprint("impatient", i))) })
		publishers.Go(func() { c.async(p, fmt.Sprint("async", i), n+3) })
	}
	over := time.NewTimer(length)
	<-over.C
	close(c.stop)
	nsqtest.Within(t, "the publishers' last calls", publishers.Wait)
	proxy.Heal()
	other.Heal()
	nsqtest.EventuallyWithin(t, 3*nsqtest.Patience, "every message that was taken", c.allArrived)
	for _, p := range producers {
		nsqtest.Within(t, "Producer.Stop", p.Stop)
	}
	for _, r := range consumers {
		r.Stop()
		nsqtest.Receive(t, "StopChan", r.StopChan)
	}
	t.Logf("%d calls succeeded with %d messages, %d failed, %d of these by their context, the longest took %v", c.published.Load(), c.accepted, c.refused.Load(), c.late.Load(), time.Duration(c.longest.Load()))
	t.Logf("%d messages arrived, %d duplicates of them; %v; %v", len(c.arrived), c.duplicates(), proxy, other)
	if proxy.Cuts() < 20 || other.Cuts() == 0 || c.published.Load() < 100 {
		t.Error("that was no chaos")
	}
}
