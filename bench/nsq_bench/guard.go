package main

import (
	"errors"
	"fmt"
)

// least is what a figure may always be worse by: less is not worth a search.
const least = 0.03

// guarded are the metrics of which none may be worse in B.
var guarded = []metric{serverCPU, rate}

// regressions compares B with A. A metric that got worse by more than the noise
// of its ratio, the distance between the quartiles of all rounds, is an error.
func (rep *report) regressions() error {
	var errs []error
	for _, w := range rep.Workloads {
		for _, m := range guarded {
			ratio, ok := w.Ratios[m]
			if !ok {
				continue
			}
			allowed := max(least, ratio.noise())
			worse := ratio.Median - 1
			if m.moreIsBetter() {
				worse = 1 - ratio.Median
			}
			if worse > allowed {
				errs = append(errs, fmt.Errorf("%s: %s of B is %.2f times that of A, worse by %.0f%% where %.0f%% is noise",
					w.Name, m, ratio.Median, worse*100, allowed*100))
			}
		}
	}
	return errors.Join(errs...)
}
