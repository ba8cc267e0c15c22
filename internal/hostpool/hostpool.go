// Package hostpool chooses which of several hosts a message is sent to, by what
// became of the messages before it.
package hostpool

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// The modes of a Pool.
const (
	RoundRobin    = "round-robin"    // every host in turn, from the second on
	FailOver      = "hostpool"       // in turn, without those that failed lately
	EpsilonGreedy = "epsilon-greedy" // the faster a host the more often, without those that failed lately
	All           = "all"            // every message to every host
)

// Modes are the names that New knows.
var Modes = []string{RoundRobin, FailOver, EpsilonGreedy, All}

// A host that failed is left out for firstPause. Then it gets one message: if
// that fails as well, the pause is twice as long, up to longestPause.
const (
	firstPause   = 30 * time.Second
	longestPause = 15 * time.Minute
)

// A Pool chooses among hosts, which it knows by their numbers from 0. It is safe
// for concurrent use.
type Pool struct {
	mode    string
	numbers []int          // of all hosts; parts of it are what Choose returns
	random  func() float64 // in [0,1)

	mu    sync.Mutex // what follows
	hosts []host
	next  int     // the host whose turn it is
	share float64 // of messages for which EpsilonGreedy does not look at speed
}

// host is what a Pool knows of one.
type host struct {
	pause  time.Duration // 0 while it works
	paused time.Time     // when the pause ends
	speed  times
}

// New returns a Pool of so many hosts, of which there must be one at least.
func New(mode string, hosts int) (*Pool, error) {
	if !slices.Contains(Modes, mode) {
		return nil, fmt.Errorf("unknown mode %q: must be one of %s", mode, strings.Join(Modes, ", "))
	}
	p := &Pool{mode: mode, random: rand.Float64, hosts: make([]host, hosts), share: firstShare}
	for i := range hosts {
		p.numbers = append(p.numbers, i)
	}
	if mode == RoundRobin {
		p.next = 1 % hosts
	}
	return p, nil
}

// Choose returns the hosts that get a message which is sent now: all of them in
// the mode All, otherwise one. The caller must not change the slice, and should
// Report for every host in it.
func (p *Pool) Choose(now time.Time) []int {
	if p.mode == All {
		return p.numbers
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.chooseLocked(now)
	return p.numbers[i : i+1]
}

// Report says what became of a message that a host was chosen for: it failed
// now, or was delivered within that time.
func (p *Pool) Report(host int, now time.Time, took time.Duration, failed bool) {
	if p.mode == RoundRobin || p.mode == All {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	h := &p.hosts[host]
	switch {
	case !failed:
		h.pause = 0
		if p.mode == EpsilonGreedy {
			h.speed.add(now, took)
		}
	case h.pause == 0: // else the pause has begun: many messages can fail together
		h.pause, h.paused = firstPause, now.Add(firstPause)
	}
}

func (p *Pool) chooseLocked(now time.Time) int {
	if p.mode == RoundRobin {
		return p.takeTurnLocked(now)
	}
	if !slices.ContainsFunc(p.hosts, func(h host) bool { return h.usable(now) }) {
		for i := range p.hosts {
			p.hosts[i].pause = 0 // none is worse than the others
		}
	}
	chosen := -1
	if p.mode == EpsilonGreedy {
		chosen = p.fasterLocked(now)
	}
	if chosen < 0 {
		chosen = p.takeTurnLocked(now)
	}
	p.hosts[chosen].tryAgain(now)
	return chosen
}

// takeTurnLocked returns the usable host whose turn it is. There must be one,
// which in the mode RoundRobin every host is.
func (p *Pool) takeTurnLocked(now time.Time) int {
	for {
		i := p.next
		p.next = (i + 1) % len(p.hosts)
		if p.hosts[i].usable(now) {
			return i
		}
	}
}

// usable reports whether the host works, as far as is known, or may be tried
// again.
func (h *host) usable(now time.Time) bool { return h.pause == 0 || !now.Before(h.paused) }

// tryAgain begins the pause after next, if the host is not known to work: until
// it does, no other message goes there.
func (h *host) tryAgain(now time.Time) {
	if h.pause > 0 {
		h.pause = min(2*h.pause, longestPause)
		h.paused = now.Add(h.pause)
	}
}
