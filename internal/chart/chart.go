// Package chart draws series of numbers over time as SVG: line charts with axes
// and a legend, and sparklines. It is pure. What it draws has classes in place
// of colours and no style attributes, so that one style sheet serves light and
// dark and a strict Content-Security-Policy; text keeps its size at any width.
// Whoever cannot see a picture finds in it what the numbers are now, and between
// what they were.
package chart

import (
	"html/template"
	"math"
	"strconv"
	"time"
)

// Line is one series of a Chart. A point that is NaN or infinite is not known,
// and a gap in the line.
type Line struct {
	Label  string
	Class  string // of the line and its sample in the legend, which give it its colour
	Points []float64
}

// Chart is a picture of some series over the same time. The first point of each
// is at From, and there is one every Step; times are shown in From's zone.
type Chart struct {
	Title string
	Unit  string // of the points: Seconds, Bytes, or any word to put behind a number
	From  time.Time
	Step  time.Duration
	Lines []Line
}

// The size of the picture: its height is in pixels, its width that of its place.
// Lines are drawn on a grid of their own that is stretched over it.
const (
	plotHeight  = 120
	chartHeight = plotHeight + 22 // with the time axis
	grid        = 1000
)

// SVG returns the chart as a figure: its title, a legend with the present
// values, and the picture.
func (c Chart) SVG() template.HTML {
	b := make([]byte, 0, 1024+8*len(c.Lines)*c.points())
	b = append(b, `<figure class="chart"><figcaption><span class="chart-title">`...)
	b = appendEscaped(b, c.Title)
	b = append(b, `</span>`...)
	b = c.appendLegend(b)
	b = append(b, `</figcaption><svg class="chart-svg" role="img" width="100%" height="`...)
	b = strconv.AppendInt(b, chartHeight, 10)
	b = append(b, `"><title>`...)
	b = appendEscaped(b, c.Title)
	b = append(b, `</title><desc>`...)
	b = appendEscaped(b, c.describe())
	b = append(b, `</desc>`...)
	axis := newAxis(c.span(), c.Unit)
	b = c.appendAxes(b, axis)
	b = c.appendLines(b, axis)
	return template.HTML(append(b, `</svg></figure>`...))
}

// points returns the length of the longest line.
func (c Chart) points() int {
	n := 0
	for _, l := range c.Lines {
		n = max(n, len(l.Points))
	}
	return n
}

// until returns the time of the last point.
func (c Chart) until() time.Time {
	return c.From.Add(time.Duration(max(c.points()-1, 0)) * c.Step)
}

// span returns what all lines know.
func (c Chart) span() span {
	var all span
	for _, l := range c.Lines {
		all.join(spanOf(l.Points))
	}
	return all
}

func (c Chart) appendLegend(b []byte) []byte {
	b = append(b, `<ul class="legend">`...)
	for _, l := range c.Lines {
		b = append(b, `<li><svg class="swatch" width="18" height="8" aria-hidden="true"><path class="line `...)
		b = appendEscaped(b, l.Class)
		b = append(b, `" d="M1 4h16"/></svg>`...)
		b = appendEscaped(b, l.Label)
		b = append(b, ` <b>`...)
		b = appendEscaped(b, Format(spanOf(l.Points).now, c.Unit))
		b = append(b, `</b></li>`...)
	}
	return append(b, `</ul>`...)
}

// describe says in words what the picture shows.
func (c Chart) describe() string {
	text := c.From.Format("15:04") + " to " + c.until().Format("15:04") + "."
	for _, l := range c.Lines {
		text += " " + l.Label + ": " + spanOf(l.Points).describe(c.Unit) + "."
	}
	return text
}

func (c Chart) appendAxes(b []byte, axis axis) []byte {
	b = append(b, `<g class="axis">`...)
	for _, tick := range axis.ticks() {
		y := strconv.FormatFloat(plotHeight*(1-axis.position(tick)), 'f', 1, 64)
		b = append(b, `<line x2="100%" y1="`...)
		b = append(b, y...)
		b = append(b, `" y2="`...)
		b = append(b, y...)
		b = append(b, `"/><text class="tick-y" x="-6" dy=".32em" y="`...)
		b = append(b, y...)
		b = append(b, `">`...)
		b = appendEscaped(b, short(tick, c.Unit))
		b = append(b, `</text>`...)
	}
	whole := c.until().Sub(c.From)
	for _, t := range timeTicks(c.From, c.until()) {
		x := 100 * float64(t.Sub(c.From)) / float64(whole)
		b = append(b, `<text class="tick-x" y="`...)
		b = strconv.AppendInt(b, plotHeight+16, 10)
		b = append(b, `" x="`...)
		b = strconv.AppendFloat(b, x, 'f', 1, 64)
		b = append(b, `%">`...)
		b = t.AppendFormat(b, "15:04")
		b = append(b, `</text>`...)
	}
	return append(b, `</g>`...)
}

func (c Chart) appendLines(b []byte, axis axis) []byte {
	if !c.span().known {
		return append(b, `<text class="chart-none" x="50%" y="62">nothing known yet</text>`...)
	}
	b = append(b, `<svg class="plot" preserveAspectRatio="none" width="100%" height="`...)
	b = strconv.AppendInt(b, plotHeight, 10)
	b = append(b, `" viewBox="0 0 `...)
	b = strconv.AppendInt(b, grid, 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, grid, 10)
	b = append(b, `">`...)
	n := c.points()
	for i := len(c.Lines) - 1; i >= 0; i-- { // the first is on top
		l := c.Lines[i]
		p := plane{width: grid, height: grid, n: n, axis: axis}
		if len(c.Lines) == 1 {
			b = append(b, `<path class="area `...)
			b = appendEscaped(b, l.Class)
			b = append(b, `" d="`...)
			b = p.appendArea(b, l.Points)
			b = append(b, `"/>`...)
		}
		b = p.appendLine(b, " "+l.Class, l.Points)
	}
	return append(b, `</svg>`...)
}

// Sparklines are this many points wide at most: of more that are near to each
// other the largest is shown, so that no peak is missing.
const sparkPoints = 60

const sparkHeight = 100

// Spark returns a small picture of one series, without axes. The label says in
// words what it is of.
func Spark(label string, points []float64) template.HTML {
	s := spanOf(points)
	b := make([]byte, 0, 640)
	b = append(b, `<svg class="spark" role="img" preserveAspectRatio="none" viewBox="0 -8 `...)
	shown := thin(points, sparkPoints)
	width := max(len(shown)-1, 1)
	b = strconv.AppendInt(b, int64(width), 10)
	b = append(b, ` 116"><title>`...) // room for half a line at the top and at the bottom
	b = appendEscaped(b, label)
	b = append(b, `: `...)
	b = append(b, s.describe("")...)
	b = append(b, `</title>`...)
	if s.known {
		p := plane{width: width, height: sparkHeight, n: len(shown), axis: axis{low: min(s.least, 0), high: s.most}}
		if p.axis.high <= p.axis.low {
			p.axis.high = p.axis.low + 1
		}
		b = append(b, `<path class="area" d="`...)
		b = p.appendArea(b, shown)
		b = append(b, `"/>`...)
		b = p.appendLine(b, "", shown)
	}
	return template.HTML(append(b, `</svg>`...))
}

// thin returns at most n points: of each run of neighbours the largest.
func thin(points []float64, n int) []float64 {
	if len(points) <= n {
		return points
	}
	thinned := make([]float64, n)
	for i := range thinned {
		largest := math.NaN()
		for _, v := range points[i*len(points)/n : (i+1)*len(points)/n] {
			if known(v) && !(largest >= v) { // also when there is none yet
				largest = v
			}
		}
		thinned[i] = largest
	}
	return thinned
}

func appendEscaped(b []byte, text string) []byte {
	return append(b, template.HTMLEscapeString(text)...)
}
