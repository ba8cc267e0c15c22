package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/load"
)

var update = flag.Bool("update", false, "write the files in testdata")

// example is a report of made-up figures.
func example(sides int) *report {
	rep := &report{
		Date: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Version: "1.4.0", Machine: "2 CPUs <example>", Load: []float64{0.25 * float64(sides*sides*sides), 1.5},
		Precision: "exact", Rounds: 3, Time: "1s", Size: 200, Servers: []string{"[nsqd]", "[other --x=1]"}[:sides],
	}
	values := map[string][][]figure{
		"mpub": {
			{{rate, 2e6}, {bytesRate, 400}, {serverCPU, 0.25}, {clientCPU, 0.1}, {peakMiB, 512}},
			{{rate, 1e6}, {bytesRate, 200}, {serverCPU, 0.5}, {clientCPU, 0.1}, {peakMiB, 1024}},
		},
		"latency": {
			{{rate, 5000}, {serverCPU, 30}, {p50, 0.09}, {p99, 0.25}, {p999, 12.5}},
			{{rate, 5000}, {serverCPU, 36}, {p50, 7.2}, {p99, 14}, {p999, 16}},
		},
		"idle": {{{peakMiB, 60}, {kibPerConnection, 9}, {cpuPerSecond, 1}}, {{peakMiB, 150}, {kibPerConnection, 27}, {cpuPerSecond, 32}}},
	}
	for _, name := range []string{"mpub", "latency", "idle"} {
		m := newMeasured(workload{name: name, about: "about " + name}, sides)
		for side := range sides {
			for _, noise := range []float64{1, 0.9, 1.2} {
				var figures []figure
				for _, f := range values[name][side] {
					if side == 1 {
						f.value *= noise
					}
					figures = append(figures, f)
				}
				m.add(side, figures)
			}
		}
		m.summarize()
		rep.Workloads = append(rep.Workloads, m)
	}
	return rep
}

func TestReports(t *testing.T) {
	for file, sides := range map[string]int{"one": 1, "two": 2} {
		rep := example(sides)
		var text, markdown bytes.Buffer
		if err := rep.writeText(&text); err != nil {
			t.Fatal(err)
		}
		rep.writeMarkdown(&markdown)
		encoded, err := rep.json()
		if err != nil {
			t.Fatal(err)
		}
		checkXML(t, rep.svg())
		golden(t, file+".txt", text.Bytes())
		golden(t, file+".md", markdown.Bytes())
		golden(t, file+".json", encoded)
		golden(t, file+".svg", rep.svg())
	}
}

func TestTheTableIsRenewed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "performance.md")
	rep := example(1)
	if err := rep.updateMarkdown(file); err != nil {
		t.Fatal(err)
	}
	table := read(t, file)
	if err := os.WriteFile(file, slices.Concat([]byte("before\n"), []byte(tableBegin), []byte("old\n"), []byte(tableEnd), []byte("after\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := rep.updateMarkdown(file); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, file), slices.Concat([]byte("before\n"), table, []byte("after\n")); !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if err := os.WriteFile(file, []byte("no place\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := rep.updateMarkdown(file); err == nil || string(read(t, file)) != "no place\n" {
		t.Errorf("%v, and the file is %q", err, read(t, file))
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := read(t, file); !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{2, 1}, spread{1.5, 1.25, 1.75}},
		{[]float64{5, 1, 4, 2, 3}, spread{3, 2, 4}},
	} {
		given := slices.Clone(c.values)
		if got := spreadOf(c.values); got != c.want || !slices.Equal(c.values, given) {
			t.Errorf("%v: got %v, want %v", given, got, c.want)
		}
	}
}

func TestRegressions(t *testing.T) {
	for name, c := range map[string]struct {
		cpu, rate []float64 // ratios of the rounds
		want      string
		own       []float64 // ratios of the CPU of A to itself, if A ran twice
	}{
		"equal":                   {[]float64{1, 1, 1}, []float64{1, 1, 1}, "", nil},
		"better":                  {[]float64{0.5, 0.5, 0.5}, []float64{2, 2, 2}, "", nil},
		"a little worse":          {[]float64{1.02, 1.02, 1.02}, []float64{0.98, 0.98, 0.98}, "", nil},
		"worse than noise":        {[]float64{1.1, 1.12, 1.14}, []float64{1, 1, 1}, "mpub: server µs/msg of B is 1.12 times that of A, worse by 12% where 3% is noise", nil},
		"within the noise":        {[]float64{0.9, 1.1, 1.4}, []float64{0.8, 0.9, 1.2}, "", nil},
		"fewer per second":        {[]float64{1, 1, 1}, []float64{0.8, 0.81, 0.82}, "mpub: msgs/s of B is 0.81 times that of A, worse by 19% where 3% is noise", nil},
		"more CPU but fast":       {[]float64{1.2, 1.2, 1.2}, []float64{2, 2, 2}, "mpub: server µs/msg of B is 1.20 times that of A, worse by 20% where 3% is noise", nil},
		"A is as far from itself": {[]float64{1.1, 1.12, 1.14}, []float64{1, 1, 1}, "", []float64{0.85, 0.9, 0.9}},
		"A is like itself":        {[]float64{1.1, 1.12, 1.14}, []float64{1, 1, 1}, "mpub: server µs/msg of B is 1.12 times that of A, worse by 12% where 3% is noise", []float64{1, 1.01, 1.02}},
	} {
		m := newMeasured(workload{name: "mpub"}, 2+min(1, len(c.own)))
		for i := range c.cpu {
			if c.own != nil {
				m.add(2, []figure{{serverCPU, 2 * c.own[i]}, {rate, 1000}})
			}
			m.add(0, []figure{{serverCPU, 2}, {rate, 1000}, {peakMiB, 1}})
			m.add(1, []figure{{serverCPU, 2 * c.cpu[i]}, {rate, 1000 * c.rate[i]}, {peakMiB, 5}})
		}
		m.summarize()
		got := ""
		if err := (&report{Workloads: []*measured{m}}).regressions(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestCompare(t *testing.T) {
	tally := func(numbers ...uint64) (t load.Tally) {
		for _, n := range numbers {
			t.Add(n)
		}
		return t
	}
	for _, c := range []struct {
		finished load.Tally
		want     string
	}{
		{tally(1, 2, 3, 3, 2, 1), ""},
		{tally(1, 2, 3, 3, 2), "5 messages arrived of 3 that were sent to 2 channels"},
		{tally(1, 2, 3, 3, 2, 1, 1), "7 messages arrived of 3 that were sent to 2 channels"},
		{tally(1, 2, 3, 3, 2, 2), "6 messages were sent and as many arrived, but not the same ones"},
	} {
		got := ""
		if err := compare(tally(1, 2, 3), c.finished, 2); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
