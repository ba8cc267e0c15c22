package chart

import (
	"encoding/xml"
	"io"
	"math"
	"strings"
	"testing"
	"time"
)

var (
	nan  = math.NaN()
	noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		v    float64
		unit string
		want string
	}{
		{0, "", "0"},
		{0, Messages, "0"},
		{1234, Messages, "1,234"},
		{999999, Messages, "999,999"},
		{1e6, Messages, "1M"},
		{12345678, Messages, "12.3M"},
		{-1234, Messages, "-1,234"},
		{0.5, "msg/s", "0.5 msg/s"},
		{12.345, "msg/s", "12.3 msg/s"},
		{1234.5, "msg/s", "1,235 msg/s"},
		{-0.001, "msg/s", "0 msg/s"},
		{0, Seconds, "0 s"},
		{350e-6, Seconds, "350 µs"},
		{0.0012, Seconds, "1.2 ms"},
		{12, Seconds, "12 s"},
		{90, Seconds, "1.5 min"},
		{7200, Seconds, "2 h"},
		{36 * 3600, Seconds, "1.5 d"},
		{1e-12, Seconds, "0 ns"},
		{0, Bytes, "0 B"},
		{1023, Bytes, "1023 B"},
		{1536, Bytes, "1.5 KiB"},
		{1 << 30, Bytes, "1 GiB"},
		{nan, Messages, "–"},
		{math.Inf(1), Seconds, "–"},
		{math.MaxFloat64, "", "–"},
	} {
		if got := Format(c.v, c.unit); got != c.want {
			t.Errorf("Format(%g, %q) = %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -999: "-999",
		math.MaxInt64: "9,223,372,036,854,775,807", math.MinInt64: "-9,223,372,036,854,775,808",
	} {
		if got := Count(n); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                                "0 s",
		1500 * time.Microsecond:          "1.5 ms",
		59 * time.Second:                 "59 s",
		time.Minute:                      "1 min",
		211 * time.Second:                "3 min 31 s",
		-90 * time.Second:                "-1 min 30 s",
		time.Hour - time.Millisecond:     "1 h",
		2*time.Hour + 5*time.Minute:      "2 h 5 min",
		24*time.Hour - time.Second:       "1 d",
		76*time.Hour + 20*time.Minute:    "3 d 4 h",
		math.MaxInt64:                    "106751 d 23 h",
		time.Hour + 400*time.Millisecond: "1 h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%s) = %q, want %q", time.Duration(d), got, want)
		}
	}
}

func TestAxis(t *testing.T) {
	for _, c := range []struct {
		name        string
		least, most float64
		unit        string
		want        string
	}{
		{"nothing but zero", 0, 0, Messages, "0 1"},
		{"one message is not cut into halves", 0, 1, Messages, "0 1"},
		{"a few messages", 3, 7, Messages, "0 2 4 6 8"},
		{"many", 0, 123456, Messages, "0 50k 100k 150k"},
		{"a round number is the end", 0, 100, Messages, "0 50 100"},
		{"small rates have fractions", 0, 0.7, "msg/s", "0 0.2 0.4 0.6 0.8"},
		{"below zero", -30, 50, "msg/s", "-40 -20 0 20 40 60"},
		{"sizes go by powers of two", 0, 3 << 20, Bytes, "0 B 1 MiB 2 MiB 3 MiB"},
		{"short times", 0, 0.0031, Seconds, "0 s 1 ms 2 ms 3 ms 4 ms"},
		{"minutes are no hundreds of seconds", 0, 230, Seconds, "0 s 1 min 2 min 3 min 4 min"},
		{"days", 0, 86400 * 30, Seconds, "0 s 10 d 20 d 30 d"},
	} {
		var got []string
		for _, tick := range newAxis(span{known: true, least: c.least, most: c.most}, c.unit).ticks() {
			got = append(got, short(tick, c.unit))
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: %g to %g: %q, want %q", c.name, c.least, c.most, text, c.want)
		}
	}
}

func TestTimeTicks(t *testing.T) {
	india := time.FixedZone("", 5*3600+1800)
	for _, c := range []struct {
		name string
		from time.Time
		long time.Duration
		want string
	}{
		{"an hour", noon.Add(7 * time.Minute), time.Hour, "12:15 12:30 12:45 13:00"},
		{"an hour from a tick on", noon, time.Hour, "12:00 12:15 12:30 12:45 13:00"},
		{"a few minutes", noon.Add(time.Second), 5 * time.Minute, "12:01 12:02 12:03 12:04 12:05"},
		{"a day", noon, 24 * time.Hour, "12:00 18:00 00:00 06:00 12:00"},
		{"round in a zone with half an hour", noon.In(india), 2 * time.Hour, "17:30 18:00 18:30 19:00 19:30"},
		{"no time at all", noon, 0, ""},
		{"less than a minute between two", noon.Add(time.Second), 10 * time.Second, ""},
	} {
		var got []string
		for _, tick := range timeTicks(c.from, c.from.Add(c.long)) {
			got = append(got, tick.Format("15:04"))
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: %q, want %q", c.name, text, c.want)
		}
	}
}

func TestPath(t *testing.T) {
	for _, c := range []struct {
		name             string
		points           []float64
		line, dots, area string
	}{
		{"nothing", nil, "", "", ""},
		{"one point is at the end", []float64{10}, "", "M100 0h0", "M100 0V100H100z"},
		{"a line", []float64{0, 5, 10}, "M0 100l50-50 50-50", "", "M0 100l50-50 50-50V100H0z"},
		{"downwards", []float64{10, 0}, "M0 0l100 100", "", "M0 0l100 100V100H0z"},
		{"a gap", []float64{1, 1, nan, 2, 2}, "M0 90l25 0M75 80l25 0", "", "M0 90l25 0V100H0zM75 80l25 0V100H75z"},
		{"a lonely point is a dot", []float64{1, 1, nan, nan, 2}, "M0 90l25 0", "M100 80h0", "M0 90l25 0V100H0zM100 80V100H100z"},
		{"what is infinite is a gap", []float64{math.Inf(1), 1, math.Inf(-1)}, "", "M50 90h0", "M50 90V100H50z"},
		{"nothing known", []float64{nan, nan}, "", "", ""},
	} {
		p := plane{width: 100, height: 100, n: len(c.points), axis: axis{low: 0, high: 10, step: 5}}
		if got := string(p.appendPath(nil, c.points)); got != c.line {
			t.Errorf("%s: line %q, want %q", c.name, got, c.line)
		}
		if got := string(p.appendDots(nil, c.points)); got != c.dots {
			t.Errorf("%s: dots %q, want %q", c.name, got, c.dots)
		}
		if got := string(p.appendArea(nil, c.points)); got != c.area {
			t.Errorf("%s: area %q, want %q", c.name, got, c.area)
		}
	}
}

func TestThinKeepsPeaks(t *testing.T) {
	points := make([]float64, 600)
	points[123] = 7
	for i := 300; i < 320; i++ {
		points[i] = nan
	}
	got := thin(points, 60)
	if len(got) != 60 || got[12] != 7 || known(got[30]) || known(got[31]) || got[32] != 0 {
		t.Errorf("thinned to %d points: %v", len(got), got)
	}
}

// Who cannot see the picture, and who cannot tell its colours, reads the same.
func TestChartSaysWhatItShows(t *testing.T) {
	c := Chart{Title: "Depth", Unit: Messages, From: noon, Step: time.Minute, Lines: []Line{
		{Label: "memory", Class: "c-depth", Points: []float64{nan, 4, 1234, 17}},
		{Label: "disk", Class: "c-disk", Points: []float64{nan, nan, nan, nan}},
		{Label: "deferred", Class: "c-deferred", Points: []float64{nan, nan, nan, 617}},
	}}
	got := string(c.SVG())
	for _, want := range []string{
		`<title>Depth</title><desc>12:00 to 12:03. memory: now 17, least 4, most 1,234. disk: nothing known yet. deferred: now 617, least 617, most 617.</desc>`,
		`memory <b>17</b>`, `disk <b>–</b>`, `<path class="line c-depth" d="M333 `, `<path class="line dot c-deferred" d="M1000 589h0"/>`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("there is no %q in %s", want, got)
		}
	}
	spark := string(Spark("depth of orders", []float64{3, nan, 12}))
	if want := `<title>depth of orders: now 12, least 3, most 12</title>`; !strings.Contains(spark, want) {
		t.Errorf("there is no %q in %s", want, spark)
	}
}

// Names come from everywhere, and the page has a strict policy.
func TestNothingBreaksOut(t *testing.T) {
	const hostile = `"><script>alert(1)</script><b style='x`
	c := Chart{Title: hostile, Unit: hostile, From: noon, Step: time.Minute, Lines: []Line{{Label: hostile, Class: hostile, Points: []float64{1, 2}}}}
	for _, got := range []string{string(c.SVG()), string(Spark(hostile, []float64{1}))} {
		if strings.Contains(got, "<script") || strings.Contains(got, `style='`) || strings.Contains(got, `style="`) {
			t.Errorf("not escaped: %s", got)
		}
		wellFormed(t, got)
	}
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
	}
}

// Whatever the numbers are, the pictures are well formed and every coordinate
// is a number.
func FuzzPictures(f *testing.F) {
	f.Add(0.0, 1.0, 2.0, "messages")
	f.Add(nan, math.Inf(1), math.Inf(-1), "s")
	f.Add(math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, "bytes")
	f.Add(1e29, -1e29, 1e-300, "msg/s")
	f.Add(1e-300, 0.0, -1e-300, "s")
	f.Fuzz(func(t *testing.T, a, b, c float64, unit string) {
		for _, points := range [][]float64{nil, {a}, {a, b, c}, {a, nan, b, c, c}} {
			chart := Chart{Title: "t", Unit: unit, From: noon, Step: time.Minute, Lines: []Line{{Label: "l", Class: "c", Points: points}, {Points: []float64{c}}}}
			for _, got := range []string{string(chart.SVG()), string(Spark("s", points))} {
				if strings.Contains(got, "NaN") || strings.Contains(got, "Inf") || len(got) > 4000+20*len(unit) {
					t.Fatalf("%v: %s", points, got)
				}
			}
		}
	})
}

// wave is a series as it is in the last hour of a busy channel.
func wave(n int) []float64 {
	points := make([]float64, n)
	for i := range points {
		points[i] = 1000 + 900*math.Sin(float64(i)/9) + float64(i*7919%83)
	}
	return points
}

func BenchmarkSpark(b *testing.B) {
	points := wave(360)
	b.ReportAllocs()
	for b.Loop() {
		Spark("depth of orders", points)
	}
}

func BenchmarkChart(b *testing.B) {
	points := wave(360)
	c := Chart{Title: "Rate", Unit: "msg/s", From: noon, Step: 10 * time.Second, Lines: []Line{{"published", "c-publish", points}, {"finished", "c-finish", points}}}
	b.ReportAllocs()
	for b.Loop() {
		c.SVG()
	}
}
