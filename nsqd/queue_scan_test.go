package nsqd

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// startScan runs a scan until stop.
func startScan() (e *env, stop func()) {
	e = &env{opts: NewOptions(), log: slog.New(slog.DiscardHandler), start: time.Now()}
	e.scan = newQueueScan(e)
	ctx, cancel := context.WithCancel(context.Background())
	var loop sync.WaitGroup
	loop.Go(func() { e.scan.queueScanLoop(ctx) })
	return e, func() { cancel(); loop.Wait() }
}

func TestScanMeetsEveryDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, stop := startScan()
		defer stop()
		const items = 10000
		var mu sync.Mutex
		fired, late := 0, time.Duration(0)
		for i := range items {
			due := e.now() + int64(time.Duration(i%997)*time.Millisecond)
			e.scan.schedule(&scanItem{fire: func(now int64) int64 {
				mu.Lock()
				defer mu.Unlock()
				fired++
				late = max(late, time.Duration(now-due))
				if now < due {
					t.Errorf("fired %v early", time.Duration(due-now))
				}
				return 0
			}}, due)
		}
		<-time.After(2 * time.Second) // of the fake clock
		mu.Lock()
		defer mu.Unlock()
		if fired != items || late > 50*time.Millisecond {
			t.Errorf("%d of %d fired, at most %v late", fired, items, late)
		}
	})
}

func TestScanTakesTheEarlierTimeAndComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, stop := startScan()
		defer stop()
		start := e.now()
		var at []time.Duration
		it := &scanItem{}
		it.fire = func(now int64) int64 {
			at = append(at, time.Duration(now-start))
			if len(at) < 3 {
				return now + int64(time.Second)
			}
			return 0
		}
		e.scan.schedule(it, start+int64(time.Minute))
		e.scan.schedule(it, start+int64(time.Second))
		e.scan.schedule(it, start+int64(time.Hour))
		<-time.After(2 * time.Hour) // of the fake clock
		synctest.Wait()
		want := []time.Duration{time.Second, 2 * time.Second, 3 * time.Second}
		if len(at) != 3 || at[0] != want[0] || at[1] != want[1] || at[2] != want[2] {
			t.Errorf("fired at %v, want %v", at, want)
		}
	})
}

func TestForgottenItemDoesNotFire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, stop := startScan()
		defer stop()
		it := &scanItem{fire: func(int64) int64 { t.Error("fired"); return 0 }}
		e.scan.schedule(it, e.now()+int64(time.Second))
		e.scan.forget(it)
		e.scan.forget(it)
		<-time.After(time.Minute) // of the fake clock
	})
}

// A panic ends neither the scan nor the item's own deadlines.
func TestPanicInOneItemDoesNotStopTheScan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, stop := startScan()
		defer stop()
		start := e.now()
		var mu sync.Mutex
		var at []time.Duration
		fire := func(now int64) int64 {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Duration(now-start).Round(100*time.Millisecond))
			if len(at) == 1 {
				panic("for the test")
			}
			return 0
		}
		e.scan.schedule(&scanItem{fire: fire}, start)
		e.scan.schedule(&scanItem{fire: fire}, start+int64(500*time.Millisecond))
		<-time.After(5 * time.Second) // of the fake clock
		mu.Lock()
		defer mu.Unlock()
		if want := []time.Duration{0, 500 * time.Millisecond, time.Second}; !slices.Equal(at, want) || e.panics.Load() != 1 {
			t.Errorf("fired at %v, want %v; %d panics counted", at, want, e.panics.Load())
		}
	})
}

// Heartbeats wait for no disk: while every worker does, and more is due for them,
// what is brief is on time.
func TestBriefItemsWaitForNoWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, stop := startScan()
		defer stop()
		start := e.now()
		hung := make(chan struct{})
		var slow atomic.Int32
		items := 3 * e.opts.QueueScanWorkerPoolMax
		for range items {
			e.scan.schedule(&scanItem{fire: func(int64) int64 {
				<-hung
				slow.Add(1)
				return 0
			}}, start)
		}
		var at time.Duration // written by the loop, before it waits
		e.scan.schedule(&scanItem{brief: true, fire: func(now int64) int64 {
			at = time.Duration(now - start)
			return 0
		}}, start+int64(time.Second))
		<-time.After(10 * time.Second) // of the fake clock
		synctest.Wait()
		if at < time.Second || at > time.Second+2*scanPause {
			t.Errorf("while the disk hung, what is brief fired after %v, want 1s", at)
		}
		close(hung)
		synctest.Wait()
		if n := slow.Load(); int(n) != items {
			t.Errorf("%d of %d others fired in the end", n, items)
		}
	})
}
