package chart

import (
	"math"
	"strconv"
)

// A plane is where lines are drawn, in whole numbers: n points over its width,
// what the axis spans over its height, with y growing downwards.
type plane struct {
	width, height, n int
	axis             axis
}

// at returns the place of point i.
func (p plane) at(i int, v float64) (x, y int) {
	x = p.width // a single point is the present one
	if p.n > 1 {
		x = (i*p.width + (p.n-1)/2) / (p.n - 1)
	}
	return x, int(math.Round(float64(p.height) * (1 - p.axis.position(v))))
}

// appendLine adds a line, and points that are alone as dots, which have a class of
// their own: they would be as small as the line is thin.
func (p plane) appendLine(b []byte, class string, points []float64) []byte {
	b = append(b, `<path class="line`...)
	b = appendEscaped(b, class)
	b = append(b, `" d="`...)
	b = p.appendPath(b, points)
	b = append(b, `"/>`...)
	if dots := p.appendDots(nil, points); len(dots) > 0 {
		b = append(b, `<path class="line dot`...)
		b = appendEscaped(b, class)
		b = append(b, `" d="`...)
		b = append(b, dots...)
		b = append(b, `"/>`...)
	}
	return b
}

// appendPath adds the path of a line, with a gap wherever a point is not known, or
// is alone.
func (p plane) appendPath(b []byte, points []float64) []byte {
	for run := range runs(points) {
		if !run.alone() {
			b, _, _ = p.appendRun(b, points, run)
		}
	}
	return b
}

// appendDots adds a path of the points that are alone. They are dots if lines have
// round ends.
func (p plane) appendDots(b []byte, points []float64) []byte {
	for run := range runs(points) {
		if run.alone() {
			b, _, _ = p.appendRun(b, points, run)
			b = append(b, "h0"...)
		}
	}
	return b
}

// appendArea adds the outline of what is between a line and the axis.
func (p plane) appendArea(b []byte, points []float64) []byte {
	_, floor := p.at(0, max(p.axis.low, 0))
	for run := range runs(points) {
		var left int
		b, left, _ = p.appendRun(b, points, run)
		b = append(b, 'V')
		b = strconv.AppendInt(b, int64(floor), 10)
		b = append(b, 'H')
		b = strconv.AppendInt(b, int64(left), 10)
		b = append(b, 'z')
	}
	return b
}

// appendRun adds one unbroken piece of a line, each point relative to the one
// before: that is shortest. It returns where the piece starts.
func (p plane) appendRun(b []byte, points []float64, r run) (_ []byte, left, top int) {
	left, top = p.at(r.start, points[r.start])
	b = append(b, 'M')
	b = strconv.AppendInt(b, int64(left), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(top), 10)
	fromX, fromY := left, top
	for i := r.start + 1; i < r.end; i++ {
		x, y := p.at(i, points[i])
		if i == r.start+1 {
			b = append(b, 'l')
		} else {
			b = append(b, ' ')
		}
		b = strconv.AppendInt(b, int64(x-fromX), 10)
		if y >= fromY { // a minus sign separates by itself
			b = append(b, ' ')
		}
		b = strconv.AppendInt(b, int64(y-fromY), 10)
		fromX, fromY = x, y
	}
	return b, left, top
}

// A run is a piece of a line of which all points are known.
type run struct{ start, end int }

// alone says that it is one point.
func (r run) alone() bool { return r.end-r.start == 1 }

// runs goes over the pieces of a line.
func runs(points []float64) func(yield func(run) bool) {
	return func(yield func(run) bool) {
		for start := 0; start < len(points); start++ {
			if !known(points[start]) {
				continue
			}
			end := start + 1
			for end < len(points) && known(points[end]) {
				end++
			}
			if !yield(run{start, end}) {
				return
			}
			start = end
		}
	}
}
