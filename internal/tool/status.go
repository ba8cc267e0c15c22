package tool

import (
	"log"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/latency"
)

// Status logs how long requests took: a line after so many of all of them, and, if
// they go to several addresses, one after so many of each. It is safe for
// concurrent use. A nil Status logs nothing.
type Status struct {
	all       *series
	addresses []*series // nil if there is one
}

// NewStatus returns a Status for requests to these addresses, with lines that are
// written to l after every so many requests. With 0 for that it returns nil.
func NewStatus(every int, addresses []string, l *log.Logger) *Status {
	if every == 0 {
		return nil
	}
	if every < 100 {
		l.Printf("Warning: use more than 100 status values for accurate percentiles (configured with %d)", every)
	}
	s := &Status{all: &series{name: "aggregate", every: every, log: l}}
	if len(addresses) > 1 {
		for _, a := range addresses {
			s.addresses = append(s.addresses, &series{name: a, every: every, log: l})
		}
	}
	return s
}

// Took adds a request to one of the addresses, by its position, that was done
// within that time.
func (s *Status) Took(address int, d time.Duration) {
	if s == nil {
		return
	}
	if s.addresses != nil {
		s.addresses[address].add(d)
	}
	s.all.add(d)
}

// series is what is shown in one kind of line.
type series struct {
	name  string
	every int
	log   *log.Logger

	mu    sync.Mutex // what follows, since the last line
	times latency.Distribution
	sum   time.Duration
}

// add adds a request, and logs the line if there are enough.
func (s *series) add(d time.Duration) {
	s.mu.Lock()
	s.times.Add(int64(d), 1)
	s.sum += d
	if s.times.Count() < uint64(s.every) {
		s.mu.Unlock()
		return
	}
	times, sum := s.times, s.sum
	s.times, s.sum = latency.Distribution{}, 0
	s.mu.Unlock()

	s.log.Printf("[%s]: finished %d - 99th: %.02fms - 95th: %.02fms - avg: %.02fms", s.name, times.Count(),
		times.Quantile(0.99)/1e6, times.Quantile(0.95)/1e6, sum.Seconds()*1e3/float64(times.Count()))
}
