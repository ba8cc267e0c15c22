package main

import (
	"math"
	"slices"
)

// A metric is a kind of figure: its name with its unit.
type metric string

const (
	rate             metric = "msgs/s"
	bytesRate        metric = "MB/s"
	serverCPU        metric = "server µs/msg"
	clientCPU        metric = "client µs/msg"
	peakMiB          metric = "peak MiB"
	p50              metric = "p50 ms"
	p99              metric = "p99 ms"
	p999             metric = "p99.9 ms"
	kibPerConnection metric = "KiB/connection"
	cpuPerSecond     metric = "CPU ms/s"
	bytesPerMessage  metric = "bytes/msg"
	diskPerMessage   metric = "disk bytes/msg"
	aloneRate        metric = "msgs/s alone"
	aloneCPU         metric = "server µs/msg alone"
	appendsPerSecond metric = "appends/s"    // of 4 KiB with fdatasync, by one writer
	zeroedPerSecond  metric = "overwrites/s" // the same over zeros
	perAppend        metric = "msgs/append"  // rate by appendsPerSecond
)

// metrics are all, in the order in which they are shown.
var metrics = []metric{
	rate, bytesRate, serverCPU, clientCPU, peakMiB, p50, p99, p999, kibPerConnection, cpuPerSecond, bytesPerMessage,
	diskPerMessage, aloneRate, aloneCPU, appendsPerSecond, zeroedPerSecond, perAppend,
}

// moreIsBetter says so of the few of which it is true.
func (m metric) moreIsBetter() bool {
	return slices.Contains([]metric{rate, bytesRate, aloneRate, appendsPerSecond, zeroedPerSecond, perAppend}, m)
}

// A figure is what one round measured of one kind.
type figure struct {
	metric metric
	value  float64
}

// A spread is the median of several values and the quartiles around it: half of
// the values lie between those.
type spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	return spread{quantile(sorted, 0.5), quantile(sorted, 0.25), quantile(sorted, 0.75)}
}

// noise is the distance of the quartiles.
func (s spread) noise() float64 { return s.High - s.Low }

// quantile interpolates between sorted values, of which there is at least one.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	below := int(math.Floor(at))
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (at-float64(below))*(sorted[above]-sorted[below])
}
