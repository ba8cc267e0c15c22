package history

import "math"

// A point is the values of one step. A float32 is exact to seven digits, more
// than a chart shows.
type point [values]float32

var unknown = func() (p point) {
	for i := range p {
		p[i] = float32(math.NaN())
	}
	return p
}()

// series is the ring of one key: the point of a step is at its distance from
// origin, modulo Steps.
type series struct {
	origin      int
	first, last int // steps it has points of, and of all between them
	points      []point
	rates       [3]mean // of publish, finish and requeue within the last step
}

func newSeries(step int) *series { return &series{origin: step, first: step, last: step - 1} }

// mean is that of the samples of one step.
type mean struct {
	sum float64
	n   int
}

func (m *mean) add(v float64) float32 {
	if !math.IsNaN(v) && !math.IsInf(v, 0) {
		m.sum, m.n = m.sum+v, m.n+1
	}
	return float32(m.sum / float64(m.n)) // NaN for none
}

// add adds a sample to a step, or to the last one if the clock went back.
func (s *series) add(step int, sample Sample) {
	if step > s.last {
		s.extend(step)
		s.rates = [3]mean{}
	}
	*s.point(s.last) = point{
		float32(sample.Depth), float32(sample.InFlight), float32(sample.Deferred),
		s.rates[0].add(sample.Publish), s.rates[1].add(sample.Finish), s.rates[2].add(sample.Requeue),
	}
}

// extend makes step the last one. Nothing is known of those it skips.
func (s *series) extend(step int) {
	if step-s.last >= Steps {
		*s = series{origin: step, first: step, last: step - 1, points: s.points[:0]}
	}
	for s.last < step {
		s.last++
		if len(s.points) < Steps {
			s.grow()
		}
		s.first = max(s.first, s.last-Steps+1)
		*s.point(s.last) = unknown
	}
}

// grow makes room for one more point, and for no more of them than there can be.
func (s *series) grow() {
	n := len(s.points)
	if n == cap(s.points) {
		larger := make([]point, n, min(max(8, 2*n), Steps))
		copy(larger, s.points)
		s.points = larger
	}
	s.points = s.points[:n+1]
}

// point returns the place of a step between first and last.
func (s *series) point(step int) *point { return &s.points[(step-s.origin)%Steps] }

// at returns what is known of a step, also of a nil series.
func (s *series) at(step int) point {
	if s == nil || step < s.first || step > s.last {
		return unknown
	}
	return *s.point(step)
}
