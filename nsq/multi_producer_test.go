package nsq

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// startPublishers calls publish with bodies of their own from several goroutines until
// stop is called, which returns the bodies that were acknowledged and how long the
// slowest call took.
func startPublishers(t testing.TB, goroutines int, publish func(body []byte) error) (stop func() (acknowledged []string, slowest time.Duration), count *atomic.Int64) {
	t.Helper()
	var mu sync.Mutex // acknowledged, slowest
	var acknowledged []string
	var slowest time.Duration
	var over atomic.Bool
	var publishers sync.WaitGroup
	count = &atomic.Int64{}
	for g := range goroutines {
		publishers.Go(func() {
			for i := 0; !over.Load(); i++ {
				body := fmt.Sprintf("%d-%d", g, i)
				start := time.Now()
				err := publish([]byte(body))
				took := time.Since(start)
				mu.Lock()
				slowest = max(slowest, took)
				if err == nil {
					acknowledged = append(acknowledged, body)
					count.Add(1)
				} else {
					t.Errorf("%s: %v", body, err)
				}
				mu.Unlock()
			}
		})
	}
	t.Cleanup(func() {
		over.Store(true)
		publishers.Wait()
	})
	return func() ([]string, time.Duration) {
		over.Store(true)
		nsqtest.Within(t, "publishers", publishers.Wait)
		return acknowledged, slowest
	}, count
}

func atLeast(t testing.TB, count *atomic.Int64, n int64) {
	t.Helper()
	n += count.Load()
	nsqtest.Eventually(t, "publishing goes on", func() bool { return count.Load() >= n })
}

// kept fails the test for every body that no store has.
func kept(t testing.TB, bodies []string, stores ...*storeNSQD) {
	t.Helper()
	times, twice := storedBy(stores...), 0
	for _, body := range bodies {
		if times[body] == 0 {
			t.Errorf("%s is lost", body)
		}
		if times[body] > 1 {
			twice++
		}
	}
	t.Logf("%d messages were acknowledged, %d of them are there twice", len(bodies), twice)
}

// Equal nsqds get equal shares. That they are equal means here that they take the
// same time for a message, more than what the test itself does with it.
func TestMultiProducerBalances(t *testing.T) {
	for publishers, messages := range map[int]int64{1: 300, 30: 3000} {
		stores, addrs := startStores(t, 3)
		for _, s := range stores {
			s.set(func(s *storeNSQD) { s.takes = time.Millisecond })
		}
		p := newTestMulti(t, append(addrs, addrs[0]), nil)
		if err := p.Ping(); err != nil {
			t.Fatal(err)
		}
		p.connectedTo(t, addrs...)
		var left atomic.Int64
		left.Store(messages)
		var calls sync.WaitGroup
		for range publishers {
			calls.Go(func() {
				for left.Add(-1) >= 0 {
					if err := p.Publish("t", []byte("x")); err != nil {
						t.Error(err)
					}
				}
			})
		}
		calls.Wait()
		var shares []float64
		for _, s := range stores {
			shares = append(shares, float64(len(s.bodies()))/float64(messages)*100)
		}
		t.Logf("shares of equal nsqds, with %d publishers: %.1f %%", publishers, shares)
		if slices.Max(shares)-slices.Min(shares) > 5 {
			t.Error("they differ by more than 5 %")
		}
	}
}

func TestMultiProducerGivesLessToASlowNSQD(t *testing.T) {
	const messages = 1000
	stores, addrs := startStores(t, 3)
	for i, s := range stores {
		s.set(func(s *storeNSQD) { s.takes = time.Duration(i/2*49+1) * time.Millisecond })
	}
	p := newTestMulti(t, addrs, nil)
	if err := p.Ping(); err != nil {
		t.Fatal(err)
	}
	p.connectedTo(t, addrs...)
	done := make(chan *ProducerTransaction, 30)
	for i := range messages {
		if err := p.PublishAsync("t", []byte("x"), done); err != nil {
			t.Fatal(err)
		}
		if i >= cap(done) {
			if tx := nsqtest.Receive(t, "a transaction", done); tx.Error != nil {
				t.Fatal(tx.Error)
			}
		}
	}
	var got []int
	for _, s := range stores {
		got = append(got, len(s.bodies()))
	}
	t.Logf("nsqds that take 1, 1 and 50 ms for a message got %d", got)
	if got[2]*3 > got[0] || got[2]*3 > got[1] || got[2] == 0 {
		t.Error("that is no fair share")
	}
}

func TestMultiProducerSurvivesAnNSQD(t *testing.T) {
	stores, addrs := startStores(t, 3)
	p := newTestMulti(t, addrs, nil)
	stop, count := startPublishers(t, 20, func(body []byte) error { return p.Publish("t", body) })
	p.connectedTo(t, addrs...)
	atLeast(t, count, 500)
	stores[1].kill()
	atLeast(t, count, 500)

	back := startStore(t, addrs[1])
	p.connectedTo(t, addrs...)
	before, got := count.Load(), 0
	nsqtest.Eventually(t, "its share", func() bool { got = len(back.bodies()); return got > 300 })
	share := float64(got) / float64(count.Load()-before) * 100
	acknowledged, slowest := stop()
	kept(t, acknowledged, append(stores, back)...)
	t.Logf("no call took longer than %v; the nsqd that is back gets %.0f %%", slowest, share)
	if slowest > 5*time.Second {
		t.Error("calls did not go on at once")
	}
}

func TestMultiProducerSurvivesAnNSQDAsync(t *testing.T) {
	const messages = 3000
	stores, addrs := startStores(t, 3)
	p := newTestMulti(t, addrs, nil)
	if err := p.Ping(); err != nil {
		t.Fatal(err)
	}
	p.connectedTo(t, addrs...)
	done := make(chan *ProducerTransaction)
	var publisher sync.WaitGroup
	publisher.Go(func() {
		body := make([]byte, 0, 10)
		for i := range messages {
			if i == messages/2 {
				stores[1].hang() // so that it dies with messages to answer
			}
			if i == messages*3/4 {
				stores[1].kill()
			}
			body = fmt.Append(body[:0], i) // the same memory
			var err error
			switch i % 3 {
			case 0:
				err = p.PublishAsync("t", body, done, i, "arg")
			case 1:
				err = p.MultiPublishAsync("t", [][]byte{body}, done, i, "arg")
			case 2:
				err = p.DeferredPublishAsync("t", time.Second, body, done, i, "arg")
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	answers := make([]int, messages)
	for range messages {
		tx := nsqtest.Receive(t, "a transaction", done)
		if len(tx.Args) != 2 || tx.Args[1] != "arg" || tx.Error != nil {
			t.Fatalf("got a transaction with %v and %v", tx.Args, tx.Error)
		}
		answers[tx.Args[0].(int)]++
	}
	publisher.Wait()
	times := storedBy(stores...)
	for i, n := range answers {
		body := fmt.Sprint(i)
		if i%3 == 1 {
			body = fmt.Sprintf("\x00\x00\x00\x01\x00\x00\x00%c%s", len(body), body)
		}
		if n != 1 || times[body] == 0 {
			t.Errorf("message %d: %d transactions, is there %d times", i, n, times[body])
		}
	}
}

func TestMultiProducerWithAHungNSQD(t *testing.T) {
	const goroutines = 8
	stores, addrs := startStores(t, 2)
	p := newTestMulti(t, addrs, nil)
	stop, count := startPublishers(t, goroutines, func(body []byte) error { return p.Publish("t", body) })
	p.connectedTo(t, addrs...)
	stores[0].hang()
	atLeast(t, count, 1000)
	hung, _ := findMember(*p.members.Load(), addrs[0]).producer.load()
	if hung >= goroutines {
		t.Errorf("%d calls wait for the nsqd that hangs, of %d", hung, goroutines)
	}
	// Who does not want to wait so long need not.
	late := 0
	for range 100 {
		ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errTooLate)
		start := time.Now()
		err := p.PublishContext(ctx, "t", []byte("impatient"))
		cancel()
		if err == nil {
			continue
		}
		late++
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, errTooLate) || time.Since(start) > time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	}
	t.Logf("%d of %d calls wait for the nsqd that hangs, %d of 100 with a limit met it", hung, goroutines, late)
	stores[0].goOn()
	acknowledged, _ := stop()
	kept(t, acknowledged, stores...)
}

var errTooLate = errors.New("too late")

func TestMultiProducerWithNobodyThere(t *testing.T) {
	stores, addrs := startStores(t, 2)
	for _, s := range stores {
		s.kill()
	}
	p := newTestMulti(t, addrs, nil)
	done := make(chan *ProducerTransaction, 1)
	for name, call := range map[string]func() error{
		"Ping":         p.Ping,
		"Publish":      func() error { return p.Publish("t", nil) },
		"PublishAsync": func() error { return p.PublishAsync("t", nil, done) },
	} {
		err := call()
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if failed := (*net.OpError)(nil); !errors.As(err, &failed) || failed.Op != "dial" {
			t.Errorf("%s: no error of the network in %v", name, err)
		}
		for _, addr := range addrs {
			if want := addr + ": dial tcp " + addr; !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not have %s", name, err, want)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.PublishContext(ctx, "t", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if len(done) != 0 {
		t.Error("a transaction of a call that failed")
	}

	startStore(t, addrs[1])
	nsqtest.Eventually(t, "one is there", func() bool { return p.Publish("t", nil) == nil })
}

func TestMultiProducerMetrics(t *testing.T) {
	_, addrs := startStores(t, 2)
	p := newTestMulti(t, addrs, nil)
	for range 10 {
		if err := p.Publish("t", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	nsqds, messages := map[string]bool{}, 0.0
	for m := range p.Metrics() {
		nsqds[m.Labels[0].Value] = true
		if m.Name == "nsq_producer_messages_published_total" {
			messages += m.Value
		}
	}
	if len(nsqds) != 2 || messages != 10 {
		t.Errorf("metrics of %v, which have %v messages", nsqds, messages)
	}
}

func TestMultiProducerWithoutNSQDs(t *testing.T) {
	p := newTestMulti(t, nil, nil)
	if err := p.Publish("t", nil); !errors.Is(err, ErrNoNSQD) {
		t.Errorf("got %v", err)
	}
	if _, err := NewMultiProducer(nil, &Config{}); !errors.Is(err, ErrNoNewConfig) {
		t.Errorf("got %v", err)
	}
}

// What one nsqd cannot store another can, and it is not bothered with every
// message.
func TestMultiProducerAndAFullDisk(t *testing.T) {
	stores, addrs := startStores(t, 2)
	stores[0].set(func(s *storeNSQD) { s.refuses = "E_PUB_FAILED PUB failed no space left on device" })
	p := newTestMulti(t, addrs, nil)
	if err := p.Ping(); err != nil {
		t.Fatal(err)
	}
	p.connectedTo(t, addrs...)
	const messages = 500
	start := time.Now()
	for range messages {
		if err := p.Publish("t", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	refused := 0
	stores[0].set(func(s *storeNSQD) { refused = s.refused })
	if got := len(stores[1].bodies()); got != messages {
		t.Errorf("%d messages arrived of %d", got, messages)
	}
	if limit := 1 + int(time.Since(start)/restTime); refused > limit || refused == 0 {
		t.Errorf("%d were refused in %v", refused, time.Since(start))
	}

	stores[1].set(func(s *storeNSQD) { s.refuses = "E_MPUB_FAILED MPUB failed" })
	err := p.MultiPublish("t", [][]byte{nil})
	if !errors.Is(err, CodePubFailed) || !errors.Is(err, CodeMPubFailed) {
		t.Errorf("when all are full: %v", err)
	}
	t.Log(err)
}

func TestMultiProducerTellsOfRefusals(t *testing.T) {
	const refusal = `E_BAD_TOPIC PUB topic name "?" is not valid`
	stores, addrs := startStores(t, 3)
	for _, s := range stores {
		s.set(func(s *storeNSQD) { s.refuses = refusal })
	}
	p := newTestMulti(t, addrs, nil)
	if err := p.Publish("?", nil); err != (ErrProtocol{refusal}) {
		t.Errorf("got %v", err)
	}
	done := make(chan *ProducerTransaction, 1)
	if err := p.PublishAsync("?", nil, done); err != nil {
		t.Fatal(err)
	}
	if tx := nsqtest.Receive(t, "the transaction", done); tx.Error != (ErrProtocol{refusal}) {
		t.Errorf("got %v", tx.Error)
	}
	if err := p.Publish("a\nb", nil); !errors.Is(err, ErrInvalidTopicName) {
		t.Errorf("a topic of two lines: %v", err)
	}
	refused := 0
	for _, s := range stores {
		s.set(func(s *storeNSQD) { refused += s.refused })
	}
	if refused != 2 {
		t.Errorf("nsqds were asked %d times for 2 messages", refused)
	}
}

// Calls that come to a standstill before they are pending count as well: not all
// follow each other there.
func TestMultiProducerDoesNotQueueUp(t *testing.T) {
	_, addrs := startStores(t, 2)
	p := newTestMulti(t, addrs, nil)
	stop, count := startPublishers(t, 8, func(body []byte) error { return p.Publish("t", body) })
	p.connectedTo(t, addrs...)
	atLeast(t, count, 100) // all calls may have waited for the first that was connected
	stuck := findMember(*p.members.Load(), addrs[0]).producer.conn.Load()
	func() {
		stuck.mu.Lock() // so that nobody queues a command
		defer stuck.mu.Unlock()
		atLeast(t, count, 1000)
	}()
	stop()
}
