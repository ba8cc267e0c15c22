package main

import (
	"errors"
	"fmt"
	"math"
)

// least is what a figure may always be worse by: less is not worth a search.
const least = 0.03

// guarded are the metrics of which none may be worse in B.
var guarded = []metric{serverCPU, rate}

// regressions compares B with A. A metric that got worse by more than noise explains
// is an error.
func (rep *report) regressions() error {
	var errs []error
	for _, w := range rep.Workloads {
		for _, m := range guarded {
			ratio, ok := w.Ratios[m]
			if !ok {
				continue
			}
			worse := ratio.Median - 1
			if m.moreIsBetter() {
				worse = 1 - ratio.Median
			}
			if allowed := w.allowed(m); worse > allowed {
				errs = append(errs, fmt.Errorf("%s: %s of B is %.2f times that of A, worse by %.0f%% where %.0f%% is noise",
					w.Name, m, ratio.Median, worse*100, allowed*100))
			}
		}
	}
	return errors.Join(errs...)
}

// allowed returns what is noise: the distance of the quartiles of the ratio, and
// how far A was from itself.
func (m *measured) allowed(k metric) float64 {
	allowed := max(least, m.Ratios[k].noise())
	if own, ok := m.Noise[k]; ok {
		allowed = max(allowed, math.Abs(own.Median-1)+own.noise())
	}
	return allowed
}
