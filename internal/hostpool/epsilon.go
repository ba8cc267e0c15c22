package hostpool

import "time"

// With EpsilonGreedy, a share of the messages goes to hosts in turn, to find out
// how fast they are: firstShare at first, less by shareDecay with each of those
// messages, but never below lastShare.
const (
	firstShare = 0.3
	shareDecay = 0.9
	lastShare  = 0.01
)

// fasterLocked draws a usable host, one that is twice as fast with twice the
// chance. It returns -1 if it is time to take hosts in turn instead, or if nothing
// is known of them. A host that nothing is known of counts as fast as the fastest.
func (p *Pool) fasterLocked(now time.Time) int {
	if p.random() < p.share {
		p.share = max(lastShare, p.share*shareDecay)
		return -1
	}
	fastest := p.fastestLocked(now)
	if fastest == 0 {
		return -1
	}
	speed := func(i int) float64 {
		if s := p.hosts[i].speed.speed(now); s > 0 {
			return s
		}
		return fastest
	}
	sum := 0.0
	for i := range p.hosts {
		if p.hosts[i].usable(now) {
			sum += speed(i)
		}
	}
	drawn, last := p.random()*sum, -1
	for i := range p.hosts {
		if !p.hosts[i].usable(now) {
			continue
		}
		last = i
		if drawn -= speed(i); drawn < 0 {
			break
		}
	}
	return last
}

// fastestLocked returns the speed of the fastest usable host, 0 if it is of none
// known.
func (p *Pool) fastestLocked(now time.Time) (fastest float64) {
	for i := range p.hosts {
		if p.hosts[i].usable(now) {
			fastest = max(fastest, p.hosts[i].speed.speed(now))
		}
	}
	return fastest
}

// A host's times are kept for parts*partLength, which is five minutes.
const (
	parts      = 10
	partLength = 30 * time.Second
)

// times are how long messages took lately: a mean for each part of the last few
// minutes. The zero value is empty.
type times struct {
	began time.Time   // the latest part
	parts [parts]part // the latest first
	rate  float64     // what follows from them: messages in a second, 0 if that is not known
}

// part is a sum of times.
type part struct {
	sum   time.Duration
	count int
}

// add adds what a message took that is done now.
func (t *times) add(now time.Time, took time.Duration) {
	t.moveOn(now)
	t.parts[0].sum += max(took, 1)
	t.parts[0].count++
	t.rate = t.newRate()
}

// speed returns how many messages there are in a second, one after the other, 0 if
// that is not known.
func (t *times) speed(now time.Time) float64 {
	t.moveOn(now)
	return t.rate
}

// newRate works out the rate. A part counts the more the younger it is, and however
// many messages were in it: so a host that becomes slow, and gets less done from
// then on, is soon found out.
func (t *times) newRate() float64 {
	var seconds, weights float64
	for age, p := range t.parts {
		if p.count > 0 {
			weight := float64(parts - age)
			weights += weight
			seconds += weight * p.sum.Seconds() / float64(p.count)
		}
	}
	if weights == 0 {
		return 0
	}
	return weights / seconds
}

// moveOn begins a new part if it is time.
func (t *times) moveOn(now time.Time) {
	n := int(min(parts, now.Sub(t.began)/partLength))
	if n <= 0 {
		return
	}
	copy(t.parts[n:], t.parts[:parts-n])
	clear(t.parts[:n])
	t.rate = t.newRate()
	if n == parts {
		t.began = now
	} else {
		t.began = t.began.Add(time.Duration(n) * partLength)
	}
}
