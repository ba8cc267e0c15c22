package chart

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// The units that numbers are written in another way for. With any other, the
// unit is put behind the number.
const (
	Seconds  = "s"     // a duration: 350 µs, 1.2 s, 3 min
	Bytes    = "bytes" // a size: 12 KiB
	Messages = "messages"
)

// Format returns a number with its unit, with as many digits as one reads at a
// glance. What is not known is "–".
func Format(v float64, unit string) string {
	if !known(v) {
		return "–"
	}
	switch unit {
	case Bytes, Seconds:
		return short(v, unit)
	}
	text := plain(v)
	switch unit {
	case "", Messages:
		return text
	}
	return text + " " + unit
}

// plain returns a number with separators, or one that is large with a prefix.
func plain(v float64) string {
	if math.Abs(v) >= 1e6 {
		return short(v, "")
	}
	if a := math.Abs(v); a >= 100 || a == math.Trunc(a) {
		return Count(int64(math.Round(v)))
	}
	return digits(v)
}

// Count returns a whole number with its digits in groups: 1,234.
func Count(n int64) string {
	text := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, text = "-", text[1:]
	}
	var b strings.Builder
	b.WriteString(sign)
	for i, digit := range text {
		if i > 0 && (len(text)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return b.String()
}

// scale is a step of a row of units.
type scale struct {
	size float64
	name string
}

var (
	decimal = []scale{{1, ""}, {1e3, "k"}, {1e6, "M"}, {1e9, "G"}, {1e12, "T"}, {1e15, "P"}}
	binary  = []scale{{1, " B"}, {1 << 10, " KiB"}, {1 << 20, " MiB"}, {1 << 30, " GiB"}, {1 << 40, " TiB"}, {1 << 50, " PiB"}}
	times   = []scale{{1e-9, " ns"}, {1e-6, " µs"}, {1e-3, " ms"}, {1, " s"}, {60, " min"}, {60 * 60, " h"}, {24 * 60 * 60, " d"}}
)

// short returns a number with at most three digits and the prefix that makes
// that possible.
func short(v float64, unit string) string {
	scales := decimal
	switch unit {
	case Bytes:
		scales = binary
	case Seconds:
		scales = times
		if v == 0 {
			return "0 s"
		}
	}
	use := scales[0]
	for _, s := range scales {
		if math.Abs(v) >= s.size*(1-5e-4) { // 999.9k is 1M
			use = s
		}
	}
	return digits(v/use.size) + use.name
}

// digits returns a number with three significant digits, or as many as it has
// before the point.
func digits(v float64) string {
	a := math.Abs(v)
	places := 2
	switch {
	case a >= 99.95:
		places = 0
	case a >= 9.995:
		places = 1
	}
	text := strconv.FormatFloat(v, 'f', places, 64)
	if places > 0 {
		text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
	}
	if text == "-0" {
		return "0"
	}
	return text
}

// Duration returns a time span with two units at most: 350 µs, 1.2 s, 3 min 20 s.
func Duration(d time.Duration) string {
	if d.Abs() < time.Minute {
		return short(d.Seconds(), Seconds)
	}
	for i, large := range spans[:len(spans)-1] {
		small := spans[i+1]
		rounded := d.Round(small.size)
		if rounded.Abs() < large.size {
			continue
		}
		text := strconv.FormatInt(int64(rounded/large.size), 10) + large.name
		if rest := (rounded % large.size).Abs() / small.size; rest > 0 {
			text += " " + strconv.FormatInt(int64(rest), 10) + small.name
		}
		return text
	}
	return short(d.Seconds(), Seconds) // not reached: a minute is a minute when it is rounded
}

// spans are the units of long times.
var spans = []struct {
	size time.Duration
	name string
}{{24 * time.Hour, " d"}, {time.Hour, " h"}, {time.Minute, " min"}, {time.Second, " s"}}

// Several returns a number with a noun: 1 channel, 1,234 channels.
func Several[N int | int64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(int64(n)) + " " + noun + "s"
}

// Ago tells how long before now t was, in whole seconds.
func Ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return Duration(max(0, now.Sub(t).Round(time.Second)))
}

// Clock returns the time of day in the zone of this machine, "" for none.
func Clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("15:04:05 MST")
}
