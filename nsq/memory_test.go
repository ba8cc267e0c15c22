package nsq

import (
	"bufio"
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// memoryPer returns how many allocations of how many bytes each of n messages
// costs the process while work runs. Unlike testing.AllocsPerRun it does not
// round: work may be spread over goroutines.
func memoryPer(n int, work func()) (allocs, bytes float64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(n), float64(after.TotalAlloc-before.TotalAlloc) / float64(n)
}

// A message and its body take no more than one object without pointers of both
// their sizes does, but for the step between two sizes.
func TestNewMessageMemory(t *testing.T) {
	const step = 48
	var kept *Message
	var object []byte
	for n := range maxRoom + 1 {
		allocs, size := leastMemory(func() { kept = newMessage(n) })
		_, plain := leastMemory(func() { object = make([]byte, int(besidesLarge)+n) })
		if allocs != 1 || size > plain+step {
			t.Errorf("body of %d bytes: %v allocations of %v bytes, want one of %v and %d at most", n, allocs, size, plain, step)
		}
		if len(kept.Body) != n || cap(kept.Body) != n || kept.Body == nil || len(object) == 0 {
			t.Errorf("body of %d bytes has length %d and capacity %d", n, len(kept.Body), cap(kept.Body))
		}
	}
}

// leastMemory returns what allocate costs when nothing else allocates meanwhile.
func leastMemory(allocate func()) (allocs, bytes float64) {
	allocs, bytes = memoryPer(1, allocate)
	for range 4 {
		a, b := memoryPer(1, allocate)
		allocs, bytes = min(allocs, a), min(bytes, b)
	}
	return allocs, bytes
}

// A consumed message costs one allocation.
func TestConsumeMemory(t *testing.T) {
	const n, most = 20_000, 1.1 // something goes on beside the messages
	for _, handlers := range []int{1, 4} {
		t.Run(fmt.Sprint(handlers, " handlers"), func(t *testing.T) {
			r := newTestConsumer(t, func(c *Config) { c.MaxInFlight = 200 })
			handled := make(chan struct{}) // no more is counted than was received here
			r.AddConcurrentHandlers(HandlerFunc(func(*Message) error {
				handled <- struct{}{}
				return nil
			}), handlers)
			addr := benchNSQD(t, func(nc net.Conn, br *bufio.Reader) { pushMessages(nc, br, 200) })
			if err := r.ConnectToNSQD(addr); err != nil {
				t.Fatal(err)
			}
			wait := func() {
				for range n {
					<-handled
				}
			}
			wait() // buffers grow
			if allocs, bytes := memoryPer(n, wait); allocs > most {
				t.Errorf("%.3f allocations of %.0f bytes for each message, want 1", allocs, bytes)
			} else {
				t.Logf("%.3f allocations of %.0f bytes for each message", allocs, bytes)
			}
			go func() { // handlers must not wait for the test
				for range handled {
				}
			}()
			r.Stop()
			<-r.StopChan
			close(handled)
		})
	}
}

// A message published asynchronously costs its transaction, and one that is
// waited for nothing.
func TestPublishMemory(t *testing.T) {
	const n, beside = 20_000, 0.1
	body := make([]byte, 200)
	for _, tt := range []struct {
		name       string
		goroutines int
		async      bool
		want       float64
	}{
		{"Publish", 1, false, 0},
		{"Publish, 50 goroutines", 50, false, 0},
		{"PublishAsync", 1, true, 1},
		{"PublishAsync, 50 goroutines", 50, true, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if nsqtest.RaceEnabled && !tt.async {
				t.Skip("with the race detector, sync.Pool forgets on purpose some of what it is given")
			}
			p := benchProducer(t, benchNSQD(t, skipNop(answerPublications(len(body)))))
			publish := func(n int) {
				for range n {
					if err := p.Publish("topic", body); err != nil {
						t.Error(err)
						return
					}
				}
			}
			if tt.async {
				publish = func(n int) { publishAsync(t, p, body, n) }
			}
			work := func() {
				var publishing sync.WaitGroup
				for range tt.goroutines {
					publishing.Go(func() { publish(n / tt.goroutines) })
				}
				publishing.Wait()
			}
			work() // buffers grow
			if allocs, bytes := memoryPer(n, work); allocs > tt.want+beside {
				t.Errorf("%.3f allocations of %.0f bytes for each message, want %v", allocs, bytes, tt.want)
			} else {
				t.Logf("%.3f allocations of %.0f bytes for each message", allocs, bytes)
			}
		})
	}
}

// publishAsync publishes n messages with up to 100 of them unanswered.
func publishAsync(t *testing.T, p *Producer, body []byte, n int) {
	done := make(chan *ProducerTransaction, 100)
	under := 0
	receive := func() {
		if tx := <-done; tx.Error != nil {
			t.Error(tx.Error)
		}
		under--
	}
	for range n {
		if under == cap(done) {
			receive()
		}
		if err := p.PublishAsync("topic", body, done); err != nil {
			t.Error(err)
			return
		}
		under++
	}
	for under > 0 {
		receive()
	}
}

// Publishers at the same time share writes, also when each waits for its
// answer.
func TestPublishersShareWrites(t *testing.T) {
	const goroutines, each = 50, 400
	body := make([]byte, 200)
	p := benchProducer(t, benchNSQD(t, skipNop(answerPublications(len(body)))))
	var publishing sync.WaitGroup
	for range goroutines {
		publishing.Go(func() {
			for range each {
				if err := p.Publish("topic", body); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	publishing.Wait()
	c := p.conn.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Logf("%d messages in %d writes", goroutines*each, c.taken)
	if c.taken > goroutines*each/4 {
		t.Errorf("%d messages in %d writes", goroutines*each, c.taken)
	}
}
