package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// The size of the picture, in pixels.
const (
	labelWidth = 130
	plotWidth  = 420
	textWidth  = 360
	barHeight  = 12
	rowGap     = 8
	topHeight  = 64
)

// svg draws what the server costs per message in each workload, on a logarithmic
// scale, with the other figures beside the bars.
func (rep *report) svg() []byte {
	var rows bytes.Buffer
	y := topHeight
	low, high := rep.range10()
	x := func(v float64) float64 {
		return labelWidth + plotWidth*(math.Log10(v)-float64(low))/float64(high-low)
	}
	for _, w := range rep.Workloads {
		fmt.Fprintf(&rows, `<text class="name" x="%d" y="%d">%s</text>`+"\n", labelWidth-8, y+barHeight-2, escaped(w.Name))
		for i, results := range w.Results {
			if cpu, ok := results[serverCPU]; ok && cpu.Median > 0 {
				end := x(cpu.Median)
				fmt.Fprintf(&rows, `<rect class="s%d" x="%d" y="%d" width="%.1f" height="%d"/>`+"\n", i, labelWidth, y, end-labelWidth, barHeight)
				fmt.Fprintf(&rows, `<line class="noise" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n", x(cpu.Low), x(cpu.High), y+barHeight/2, y+barHeight/2)
			}
			fmt.Fprintf(&rows, `<text x="%d" y="%d">%s</text>`+"\n", labelWidth+plotWidth+8, y+barHeight-2, escaped(words(results, w.Ratios, i)))
			y += barHeight + 2
		}
		y += rowGap
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" role="img">`+"\n", labelWidth+plotWidth+textWidth, y+8)
	b.WriteString(`<style>svg{background:#fff;font:11px system-ui,sans-serif}text{fill:#222}.title{font-size:14px;font-weight:600}` +
		`.name,.tick{text-anchor:end}.tick{text-anchor:middle;fill:#666}.grid{stroke:#ddd}.noise{stroke:#222}.s0{fill:#4878a8}.s1{fill:#d08030}</style>` + "\n")
	fmt.Fprintf(&b, `<title>%s</title>`+"\n", "What messages cost nsqd")
	fmt.Fprintf(&b, `<text class="title" x="8" y="20">CPU of the server in µs per message</text>`+"\n")
	fmt.Fprintf(&b, `<text x="8" y="36">%s</text>`+"\n", escaped(rep.conditions()))
	for e := low; e <= high; e++ {
		at := x(math.Pow10(e))
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text class="tick" x="%.1f" y="%d">%g</text>`+"\n", at, at, topHeight-6, y, at, topHeight-10, math.Pow10(e))
	}
	b.Write(rows.Bytes())
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// range10 returns the powers of ten around all figures that are drawn.
func (rep *report) range10() (low, high int) {
	low, high = -2, 1
	for _, w := range rep.Workloads {
		for _, results := range w.Results {
			if cpu, ok := results[serverCPU]; ok && cpu.Low > 0 {
				low = min(low, int(math.Floor(math.Log10(cpu.Low))))
				high = max(high, int(math.Ceil(math.Log10(cpu.High))))
			}
		}
	}
	return low, high
}

// words returns what is written behind a bar.
func words(results, ratios map[metric]spread, side int) string {
	var b bytes.Buffer
	for _, m := range []metric{serverCPU, rate, p50, p99, kibPerConnection, cpuPerSecond, bytesPerMessage} {
		s, ok := results[m]
		if !ok {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(" · ")
		}
		unit, percentile := string(m), ""
		switch name, rest, _ := strings.Cut(unit, " "); m {
		case serverCPU:
			unit = "µs"
		case p50, p99:
			percentile, unit = name+" ", rest
		}
		fmt.Fprintf(&b, "%s%s %s", percentile, number(s.Median), unit)
	}
	if s, ok := ratios[serverCPU]; ok && side == 1 {
		fmt.Fprintf(&b, " · %s of A", formatRatio(s))
	}
	return b.String()
}

func escaped(text string) string {
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(text)); err != nil {
		panic(err) // a buffer takes everything
	}
	return b.String()
}
