package nsq_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsq"
)

type testLog struct{ tb testing.TB }

func (l testLog) Output(_ int, s string) error {
	l.tb.Log(s)
	return nil
}

func newProducer(t *testing.T, addr string) *nsq.Producer {
	t.Helper()
	p, err := nsq.NewProducer(addr, nsq.NewConfig())
	if err != nil {
		t.Fatal(err)
	}
	p.SetLogger(testLog{t}, nsq.LogLevelInfo)
	t.Cleanup(p.Stop)
	return p
}

func newConsumer(t *testing.T, topic string, maxInFlight, concurrency int, h nsq.HandlerFunc, addrs ...string) *nsq.Consumer {
	t.Helper()
	cfg := nsq.NewConfig()
	cfg.MaxInFlight = maxInFlight
	cfg.MaxAttempts = 0
	cfg.RDYRedistributeInterval = 10 * time.Millisecond
	r, err := nsq.NewConsumer(topic, "ch", cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.SetLogger(testLog{t}, nsq.LogLevelInfo)
	r.AddConcurrentHandlers(h, concurrency)
	if err := r.ConnectToNSQDs(addrs); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Stop()
		<-r.StopChan
	})
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryPublishedMessageArrives(t *testing.T) {
	d := nsqtest.Start(t, nil)
	const publishers, each = 20, 100
	var mu sync.Mutex
	seen := map[string]int{}
	distinct := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(seen)
	}
	r := newConsumer(t, "all", 50, 4, func(m *nsq.Message) error {
		mu.Lock()
		defer mu.Unlock()
		seen[string(m.Body)]++
		if m.Attempts == 1 && len(seen)%10 == 0 {
			m.RequeueWithoutBackoff(0)
		}
		return nil
	}, d.TCPAddr())

	p := newProducer(t, d.TCPAddr())
	var publishing sync.WaitGroup
	for i := range publishers {
		publishing.Go(func() {
			for j := range each {
				if err := p.Publish("all", fmt.Append(nil, "sync ", i, j)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan *nsq.ProducerTransaction, each)
	for j := range each {
		must(t, p.MultiPublishAsync("all", [][]byte{fmt.Append(nil, "multi ", j), fmt.Append(nil, "multi too ", j)}, done))
	}
	for range each {
		must(t, (<-done).Error)
	}
	publishing.Wait()
	nsqtest.Eventually(t, "all messages", func() bool { return distinct() == publishers*each+2*each })

	nsqtest.Eventually(t, "all answers", func() bool {
		s := r.Stats()
		return s.MessagesReceived == s.MessagesFinished+s.MessagesRequeued && s.MessagesRequeued > 0 &&
			s.MessagesFinished == publishers*each+2*each
	})
}

// With handlers that fail for a while, everything arrives in the end.
func TestConsumerRecoversFromFailures(t *testing.T) {
	first, second := nsqtest.Start(t, nil), nsqtest.Start(t, nil)
	const each, failures = 50, 30
	var mu sync.Mutex
	handled, calls := map[string]bool{}, 0
	cfg := nsq.NewConfig()
	cfg.MaxInFlight = 10
	cfg.MaxAttempts = 0
	cfg.DefaultRequeueDelay = 0
	cfg.RDYRedistributeInterval = 10 * time.Millisecond
	cfg.BackoffMultiplier = time.Millisecond
	cfg.MaxBackoffDuration = 8 * time.Millisecond
	cfg.BackoffStrategy = &nsq.FullJitterStrategy{}
	r, err := nsq.NewConsumer("recover", "ch", cfg)
	must(t, err)
	r.SetLogger(testLog{t}, nsq.LogLevelInfo)
	r.AddConcurrentHandlers(nsq.HandlerFunc(func(m *nsq.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if calls++; calls <= failures {
			return errors.New("not yet")
		}
		handled[m.NSQDAddress+string(m.Body)] = true
		return nil
	}), 4)
	for _, d := range []*nsqtest.NSQD{first, second} {
		p := newProducer(t, d.TCPAddr())
		for i := range each {
			must(t, p.Publish("recover", fmt.Append(nil, i)))
		}
		must(t, r.ConnectToNSQD(d.TCPAddr()))
	}
	nsqtest.Eventually(t, "all messages", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(handled) == 2*each
	})
	r.Stop()
	<-r.StopChan
	if s := r.Stats(); s.MessagesRequeued != failures {
		t.Errorf("%+v, want %d requeued", s, failures)
	}
}

func TestDeferredPublish(t *testing.T) {
	d := nsqtest.Start(t, nil)
	arrived := make(chan time.Time, 1)
	newConsumer(t, "deferred", 1, 1, func(*nsq.Message) error { arrived <- time.Now(); return nil }, d.TCPAddr())
	start := time.Now()
	must(t, newProducer(t, d.TCPAddr()).DeferredPublish("deferred", 200*time.Millisecond, []byte("x")))
	if took := (<-arrived).Sub(start); took < 200*time.Millisecond {
		t.Errorf("arrived after %v", took)
	}
}

func TestRefusedPublish(t *testing.T) {
	d := nsqtest.Start(t, nil)
	p := newProducer(t, d.TCPAddr())
	for want, publish := range map[string]func() error{
		`E_BAD_TOPIC PUB topic name "bad$" is not valid`:        func() error { return p.Publish("bad$", []byte("x")) },
		"E_BAD_MESSAGE PUB invalid message body size 0":         func() error { return p.Publish("t", nil) },
		"E_BAD_MESSAGE PUB message too big 16777216 > 1048576":  func() error { return p.Publish("t", make([]byte, 16<<20)) },
		"E_BAD_BODY MPUB invalid message count 0":               func() error { return p.MultiPublish("t", nil) },
		"E_INVALID DPUB timeout 7200000 out of range 0-3600000": func() error { return p.DeferredPublish("t", 2*time.Hour, []byte("x")) },
		"E_BAD_MESSAGE MPUB invalid message(1) body size 0":     func() error { return p.MultiPublish("t", [][]byte{[]byte("x"), nil}) },
	} {
		var protocol nsq.ErrProtocol
		if err := publish(); !errors.As(err, &protocol) || protocol.Reason != want {
			t.Errorf("got %v, want %s", err, want)
		}
		must(t, p.Publish("t", []byte("the next one works")))
	}
}

func TestConsumerSurvivesARestart(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.TCPAddress = nsqtest.ClosedPort(t)
	d := nsqtest.Start(t, opts)
	bodies := make(chan string, 10)
	newConsumer(t, "restart", 10, 1, func(m *nsq.Message) error { bodies <- string(m.Body); return nil }, d.TCPAddr())
	p := newProducer(t, d.TCPAddr())
	must(t, p.Publish("restart", []byte("before")))
	if got := <-bodies; got != "before" {
		t.Errorf("got %q", got)
	}
	d.Restart()
	// The producer may find out about the restart only now, but not twice.
	if err := p.Publish("restart", []byte("after")); err != nil {
		must(t, p.Publish("restart", []byte("after")))
	}
	for got := range bodies { // "before" comes again if nsqd did not read its FIN
		if got == "after" {
			break
		}
	}
}

// With one message in flight for three nsqds, each gets its turn.
func TestFewerMessagesThanConnections(t *testing.T) {
	var addrs []string
	for range 3 {
		addr := nsqtest.Start(t, nil).TCPAddr()
		must(t, newProducer(t, addr).Publish("turns", []byte("x")))
		addrs = append(addrs, addr)
	}
	var handled atomic.Int64
	newConsumer(t, "turns", 1, 1, func(*nsq.Message) error { handled.Add(1); return nil }, addrs...)
	nsqtest.Eventually(t, "a message from each", func() bool { return handled.Load() == 3 })
}

// However slow handlers are and however often turns change, no more than
// MaxInFlight messages are asked for at a time, not one of each nsqd.
func TestSlowHandlersKeepMaxInFlight(t *testing.T) {
	const nsqds, each = 6, 4
	var addrs []string
	for range nsqds {
		addr := nsqtest.Start(t, nil).TCPAddr()
		p := newProducer(t, addr)
		for range each {
			must(t, p.Publish("slow1", []byte("x")))
			must(t, p.Publish("slow3", []byte("x")))
		}
		addrs = append(addrs, addr)
	}
	for _, maxInFlight := range []int{1, 3} {
		var mu sync.Mutex
		current, highest, handled := 0, 0, map[string]int{}
		counted := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			current += n
			highest = max(highest, current)
		}
		handler := func(m *nsq.Message) error {
			counted(1)
			<-time.After(30 * time.Millisecond) // several turns of 10 ms
			mu.Lock()
			handled[m.NSQDAddress]++
			mu.Unlock()
			counted(-1)
			return nil
		}
		all := func() bool {
			mu.Lock()
			defer mu.Unlock()
			n := 0
			for _, of := range handled {
				n += of
			}
			return n == nsqds*each
		}
		r := newConsumer(t, fmt.Sprint("slow", maxInFlight), maxInFlight, nsqds*each, handler, addrs...)
		nsqtest.Eventually(t, "all messages", all)
		r.Stop()
		<-r.StopChan
		t.Logf("max-in-flight %d: at most %d in flight", maxInFlight, highest)
		// Now and then nsqd sends one before it has read that its turn is over.
		if highest < maxInFlight || highest > maxInFlight+2 {
			t.Errorf("%d messages were in flight with a limit of %d", highest, maxInFlight)
		}
	}
}

func TestStopLosesNothing(t *testing.T) {
	d := nsqtest.Start(t, nil)
	p := newProducer(t, d.TCPAddr())
	var bodies [][]byte
	for i := range 500 {
		bodies = append(bodies, fmt.Append(nil, i))
	}
	must(t, p.MultiPublish("stop", bodies))

	var mu sync.Mutex
	first := map[string]uint16{} // attempts at the first delivery
	handler := func(m *nsq.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if _, ok := first[string(m.Body)]; ok {
			t.Errorf("message %s was delivered twice", m.Body)
		}
		first[string(m.Body)] = m.Attempts
		return nil
	}
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(first)
	}
	for count() < len(bodies) { // as many consumers one after the other as it takes
		before := count()
		r := newConsumer(t, "stop", 20, 1, handler, d.TCPAddr())
		nsqtest.Eventually(t, "some messages", func() bool { return count() > before })
		r.Stop()
		<-r.StopChan
	}
	for body, attempts := range first {
		if attempts != 1 {
			t.Errorf("message %s was delivered %d times", body, attempts)
		}
	}
}

// Handlers that are far too slow for what is in flight use up the attempts of
// messages that only waited, but see every one of them.
func TestSlowHandlersSeeEveryMessage(t *testing.T) {
	nsqtest.Parallel(t)
	opts := nsqtest.Options(t)
	opts.MsgTimeout = 150 * time.Millisecond
	d := nsqtest.Start(t, opts)
	const messages = 60
	var bodies [][]byte
	for i := range messages {
		bodies = append(bodies, fmt.Append(nil, i))
	}
	must(t, newProducer(t, d.TCPAddr()).MultiPublish("slow", bodies))

	cfg := nsq.NewConfig()
	cfg.MaxInFlight = messages
	r, err := nsq.NewConsumer("slow", "ch", cfg)
	must(t, err)
	r.SetLogger(testLog{t}, nsq.LogLevelInfo)
	var mu sync.Mutex
	seen := map[string]bool{}
	r.AddHandler(nsq.HandlerFunc(func(m *nsq.Message) error {
		mu.Lock()
		seen[string(m.Body)] = true
		mu.Unlock()
		<-time.After(50 * time.Millisecond)
		return nil
	}))
	must(t, r.ConnectToNSQD(d.TCPAddr()))
	t.Cleanup(func() {
		r.Stop()
		<-r.StopChan
	})
	nsqtest.Eventually(t, "every message in a handler", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == messages
	})
}

// Batches from two nsqds, of which some fail: every message is finished once.
func TestBatches(t *testing.T) {
	const messages = 500
	var addrs []string
	for range 2 {
		addr := nsqtest.Start(t, nil).TCPAddr()
		addrs = append(addrs, addr)
		var bodies [][]byte
		for i := range messages {
			bodies = append(bodies, fmt.Append(nil, addr, i))
		}
		must(t, newProducer(t, addr).MultiPublish("batches", bodies))
	}
	cfg := nsq.NewConfig()
	cfg.MaxInFlight = 200
	cfg.MaxAttempts = 0
	cfg.MaxBackoffDuration = 0
	cfg.DefaultRequeueDelay = 0
	r, err := nsq.NewConsumer("batches", "ch", cfg)
	must(t, err)
	r.SetLogger(testLog{t}, nsq.LogLevelWarning)
	var mu sync.Mutex
	finished, batches, largest := map[string]int{}, 0, 0
	r.AddBatchHandler(nsq.BatchHandlerFunc(func(batch []*nsq.Message) error {
		mu.Lock()
		defer mu.Unlock()
		batches++
		largest = max(largest, len(batch))
		if batches%5 == 0 {
			return errors.New("no")
		}
		for _, m := range batch {
			finished[string(m.Body)]++
		}
		return nil
	}), 2, nsq.BatchOptions{MaxMessages: 50, MaxWait: 10 * time.Millisecond})
	must(t, r.ConnectToNSQDs(addrs))
	nsqtest.Eventually(t, "every message is finished", func() bool { return r.Stats().MessagesFinished == 2*messages })
	must(t, r.StopContext(t.Context()))
	for body, n := range finished {
		if n != 1 {
			t.Errorf("message %s was finished %d times", body, n)
		}
	}
	if len(finished) != 2*messages || largest < 10 || largest > 50 {
		t.Errorf("%d messages in %d batches, the largest of %d", len(finished), batches, largest)
	}
}
