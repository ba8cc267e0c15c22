package nsq

import (
	"sync"
	"time"
)

// abandonAfter is how long a doneChan is waited for once the producer stops.
const abandonAfter = time.Second

// results hands finished transactions to their doneChans without ever waiting
// for one: what a doneChan has no room for is kept, in order, by a goroutine of
// its own. Its methods are safe for concurrent use.
type results struct {
	mu      sync.Mutex                                           // waiting
	waiting map[chan *ProducerTransaction][]*ProducerTransaction // what the goroutines have yet to send

	senders sync.WaitGroup
	closing chan struct{}
}

func newResults() results {
	return results{
		waiting: map[chan *ProducerTransaction][]*ProducerTransaction{},
		closing: make(chan struct{}),
	}
}

// deliver passes the transaction to its doneChan, now or later.
func (r *results) deliver(t *ProducerTransaction) {
	ch := t.doneChan
	if ch == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if before, ok := r.waiting[ch]; ok {
		r.waiting[ch] = append(before, t)
		return
	}
	select {
	case ch <- t:
	default:
		r.waiting[ch] = []*ProducerTransaction{t}
		r.senders.Go(func() { r.send(ch) })
	}
}

// send sends what waits for ch until nothing does.
func (r *results) send(ch chan *ProducerTransaction) {
	closing := r.closing
	var abandon <-chan time.Time
	for {
		r.mu.Lock()
		batch := r.waiting[ch]
		if len(batch) == 0 {
			delete(r.waiting, ch)
		} else {
			r.waiting[ch] = nil
		}
		r.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		for len(batch) > 0 {
			select {
			case ch <- batch[0]:
				batch = batch[1:]
				if abandon != nil {
					abandon = time.After(abandonAfter)
				}
			case <-closing:
				closing, abandon = nil, time.After(abandonAfter)
			case <-abandon:
				return // nobody receives any more
			}
		}
	}
}

// close returns when every doneChan has what it is due, or nobody has received
// from it for a second. deliver must not be called any more.
func (r *results) close() {
	close(r.closing)
	r.senders.Wait()
}
