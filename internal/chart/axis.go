package chart

import (
	"math"
	"time"
)

// beyond is where numbers are taken for unknown: nothing that is counted gets
// there, and differences of what is below cannot overflow.
const beyond = 1e30

func known(v float64) bool { return math.Abs(v) <= beyond }

// A span is what is to be said of a series in words.
type span struct {
	known            bool // otherwise there is nothing
	least, most, now float64
}

// spanOf returns the span of a series. Its present value is the last point, also
// when that is not known.
func spanOf(points []float64) span {
	s := span{now: math.NaN()}
	for _, v := range points {
		if known(v) {
			s.join(span{known: true, least: v, most: v})
		}
	}
	if len(points) > 0 && known(points[len(points)-1]) {
		s.now = points[len(points)-1]
	}
	return s
}

// join widens s to what other spans as well.
func (s *span) join(other span) {
	switch {
	case !other.known:
	case !s.known:
		s.known, s.least, s.most = true, other.least, other.most
	default:
		s.least, s.most = min(s.least, other.least), max(s.most, other.most)
	}
}

func (s span) describe(unit string) string {
	if !s.known {
		return "nothing known yet"
	}
	return "now " + Format(s.now, unit) + ", least " + Format(s.least, unit) + ", most " + Format(s.most, unit)
}

// An axis goes from low to high, both multiples of step.
type axis struct{ low, high, step float64 }

// intervals is into how many an axis is divided at most.
const intervals = 4

// newAxis returns an axis that holds a span and zero.
func newAxis(s span, unit string) axis {
	low, high := min(s.least, 0), max(s.most, 0)
	step := niceStep((high-low)/intervals, unit)
	a := axis{low: step * math.Floor(low/step), high: step * math.Ceil(high/step), step: step}
	if a.high == a.low {
		a.high = a.low + step
	}
	return a
}

// ticks returns the values that have a line and a label, at most two more than
// intervals.
func (a axis) ticks() []float64 {
	n := int(math.Round((a.high - a.low) / a.step))
	ticks := make([]float64, 0, n+1)
	for i := range n + 1 {
		ticks = append(ticks, a.low+float64(i)*a.step)
	}
	return ticks
}

// position returns where a value is on the axis: 0 for low, 1 for high.
func (a axis) position(v float64) float64 { return (v - a.low) / (a.high - a.low) }

// niceStep returns the next round number that is not below least: for times
// and sizes what is round in their units.
func niceStep(least float64, unit string) float64 {
	if least <= 0 { // there is nothing but zero
		return 1
	}
	least = max(least, 1e-9)
	switch unit {
	case Bytes:
		return math.Exp2(math.Ceil(math.Log2(max(least, 1))))
	case Messages, "":
		return decimalStep(max(least, 1)) // there is no half of a message
	case Seconds:
		if least > 1 {
			return niceSeconds(least)
		}
	}
	return decimalStep(least)
}

// decimalStep returns 1, 2 or 5 times a power of ten.
func decimalStep(least float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= least*(1-1e-9) { // a power of ten is not always exact
			return m * power
		}
	}
	return 10 * power
}

func niceSeconds(least float64) float64 {
	for _, step := range roundTimes {
		if step.Seconds() >= least {
			return step.Seconds()
		}
	}
	const day = 24 * 60 * 60
	return day * decimalStep(least/day)
}

// roundTimes are steps between points of time that are easily read.
var roundTimes = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour,
}

// timeIntervals is into how many a time axis is divided at most.
const timeIntervals = 6

// timeTicks returns the round times of day between two times that get a label.
func timeTicks(from, until time.Time) []time.Time {
	whole := until.Sub(from)
	if whole <= 0 {
		return nil
	}
	step := time.Minute // the labels are no finer
	for _, s := range roundTimes {
		step = max(step, s)
		if whole/step < timeIntervals {
			break
		}
	}
	_, offset := from.Zone()
	east := time.Duration(offset) * time.Second
	first := from.Add(east).Truncate(step).Add(-east)
	var ticks []time.Time
	for t := first; !t.After(until) && len(ticks) < 2*timeIntervals; t = t.Add(step) {
		if !t.Before(from) {
			ticks = append(ticks, t)
		}
	}
	return ticks
}
