package nsq

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

func TestMultiProducerStopDrains(t *testing.T) {
	stores, addrs := startStores(t, 2)
	p := newTestMulti(t, addrs, nil)
	p.connectedToListed(t, addrs...) // a stop ends what still connects
	for _, s := range stores {
		s.hang()
	}
	const messages = 100
	done := make(chan *ProducerTransaction, messages)
	for i := range messages {
		if err := p.PublishAsync("t", []byte("x"), done, i); err != nil {
			t.Fatal(err)
		}
	}
	stopped := make(chan error, 1)
	go func() { stopped <- p.StopContext(t.Context()) }()
	nsqtest.Eventually(t, "calls are refused", p.open.stopping.Load)
	if err := p.Publish("t", nil); !errors.Is(err, ErrStopped) {
		t.Errorf("Publish: %v", err)
	}
	stores[0].kill() // what it has not answered goes to the other
	stores[1].goOn()
	if err := nsqtest.Receive(t, "StopContext", stopped); err != nil {
		t.Error(err)
	}
	seen := map[any]bool{}
	for range messages {
		tx := nsqtest.Receive(t, "a transaction", done)
		if seen[tx.Args[0]] || tx.Error != nil {
			t.Errorf("transaction %v: %v, seen before: %t", tx.Args, tx.Error, seen[tx.Args[0]])
		}
		seen[tx.Args[0]] = true
	}
	if len(stores[1].bodies()) < messages {
		t.Errorf("%d messages arrived of %d", len(stores[1].bodies()), messages)
	}
}

func TestMultiProducerStopWaitsOnlySoLong(t *testing.T) {
	stores, addrs := startStores(t, 2)
	p := newTestMulti(t, addrs, nil)
	for _, s := range stores {
		s.hang()
	}
	const messages = 20
	done := make(chan *ProducerTransaction, messages)
	for i := range messages {
		if err := p.PublishAsync("t", []byte("x"), done, i); err != nil {
			t.Fatal(err)
		}
	}
	waits := make(chan error, 1)
	go func() { waits <- p.Publish("t", []byte("x")) }()
	nsqtest.Eventually(t, "the call waits", func() bool { return p.open.n.Load() == messages+1 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := p.StopContext(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("StopContext: %v", err)
	}
	nsqtest.Within(t, "Stop", p.Stop)
	if took := time.Since(start); took > 900*time.Millisecond {
		t.Errorf("stopping took %v", took)
	}
	if err := nsqtest.Receive(t, "Publish", waits); !errors.Is(err, ErrNotConnected) {
		t.Errorf("Publish: %v", err)
	}
	if len(done) != messages {
		t.Errorf("%d transactions for %d messages", len(done), messages)
	}
	for range len(done) {
		if tx := <-done; !errors.Is(tx.Error, ErrNotConnected) {
			t.Errorf("transaction %v: %v", tx.Args, tx.Error)
		}
	}
	for name, call := range map[string]func() error{
		"Ping":                p.Ping,
		"Publish":             func() error { return p.Publish("t", nil) },
		"PublishAsync":        func() error { return p.PublishAsync("t", nil, done) },
		"ConnectToNSQLookupd": func() error { return p.ConnectToNSQLookupd("127.0.0.1:1") },
	} {
		if err := call(); !errors.Is(err, ErrStopped) {
			t.Errorf("%s after Stop: %v", name, err)
		}
	}
}

func TestMultiProducerStopEndsConnecting(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestMulti(t, []string{f.Addr}, nil)
	published := make(chan error, 2)
	go func() { published <- p.Publish("t", nil) }()
	go func() { published <- p.PublishAsync("t", nil, nil) }()
	c := f.Raw()
	c.Magic()
	c.Expect("IDENTIFY") // and no answer
	nsqtest.Within(t, "Stop", p.Stop)
	for range cap(published) {
		if err := nsqtest.Receive(t, "Publish", published); !errors.Is(err, ErrStopped) {
			t.Errorf("got %v", err)
		}
	}
}

// Publishing, nsqds that die and are back, and Stop may meet in any way: every call
// returns, and every transaction ends.
func TestMultiProducerStopRaces(t *testing.T) {
	for round := range 10 {
		stores, addrs := startStores(t, 3)
		p := newTestMulti(t, addrs, nil)
		p.SetLogger(nil, LogLevelInfo)
		var open, ended atomic.Int64
		done := make(chan *ProducerTransaction)
		var publishers, receiver sync.WaitGroup
		receiver.Go(func() {
			for range done {
				ended.Add(1)
			}
		})
		for range 4 {
			publishers.Go(func() {
				for {
					err := p.PublishAsync("t", []byte("async"), done)
					if err == nil {
						open.Add(1)
					}
					if stopped := p.Publish("t", []byte("sync")); errors.Is(stopped, ErrStopped) {
						return
					}
				}
			})
		}
		nsqtest.Eventually(t, "publishing", func() bool { return open.Load() > int64(round*20) })
		stores[0].kill()
		stores[1].hang()
		if round%2 == 0 {
			stores[1].kill()
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(round)*time.Millisecond)
		nsqtest.Within(t, "Stop", func() { p.StopContext(ctx) })
		cancel()
		nsqtest.Within(t, "Stop", p.Stop)
		nsqtest.Within(t, "publishers", publishers.Wait)
		close(done)
		receiver.Wait()
		if open.Load() != ended.Load() {
			t.Errorf("round %d: %d transactions for %d messages", round, ended.Load(), open.Load())
		}
	}
}

// A program that forgets to stop a producer it never used has lost nothing: main
// looks for goroutines that are left.
func TestMultiProducerThatIsNotUsed(t *testing.T) {
	if _, err := NewMultiProducer([]string{"127.0.0.1:1", "127.0.0.1:2"}, NewConfig()); err != nil {
		t.Fatal(err)
	}
}
