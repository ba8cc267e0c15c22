package main

import (
	"log"
	"time"

	"github.com/seed893f581e/nsq/nsq"
)

// watchInterval is how often destinations are looked at.
const watchInterval = answerTimeout / 20

// watch helps messages away from destinations that hang.
func (f *forwarder) watch() {
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			for _, from := range f.destinations {
				f.relieve(from, now)
			}
		case <-f.ctx.Done():
			return
		}
	}
}

// relieve gives what a destination does not answer to others. If there is none
// that may work, the messages wait on, but for the end of the program: then the
// sources get them back at once.
func (f *forwarder) relieve(from *destination, now time.Time) {
	f.mu.Lock()
	moved, returned := f.relieveLocked(from, now)
	f.mu.Unlock()
	if moved > 0 {
		log.Printf("ERROR: nsqd %s has not answered for %v: %d messages go to others", from.producer, answerTimeout, moved)
	}
	if len(returned) > 0 {
		log.Printf("ERROR: nsqd %s has not answered for %v: stopped without waiting any longer, %d messages are requeued", from.producer, answerTimeout, len(returned))
	}
	for _, m := range returned {
		m.RequeueWithoutBackoff(0)
	}
}

func (f *forwarder) relieveLocked(from *destination, now time.Time) (moved int, returned []*nsq.Message) {
	if !from.hangsLocked(now) {
		return 0, nil
	}
	for a := range from.open {
		switch {
		case a.abandoned || a.done || a.message.Context().Err() != nil:
		case f.failOverLocked(a.delivery, from, now):
			a.abandoned = true
			moved++
		case f.stopping:
			a.doneLocked()
			returned = append(returned, a.message)
		}
	}
	if moved > 0 {
		f.pool.Report(from.number, now, now.Sub(from.heard), true)
	}
	return moved, returned
}
