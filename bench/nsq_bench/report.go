package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// A report is what a run measured.
type report struct {
	Date      time.Time   `json:"date"`
	Version   string      `json:"version"`
	Machine   string      `json:"machine"`
	Load      []float64   `json:"load_averages"` // of the last minute, before and after; empty if not known
	Precision string      `json:"server_cpu"`    // what its CPU time means
	Rounds    int         `json:"rounds"`
	Time      string      `json:"time_per_round"`
	Size      int         `json:"msg_size"`
	Servers   []string    `json:"servers"`
	Workloads []*measured `json:"workloads"`
}

// measured is what all rounds of one workload measured.
type measured struct {
	Name    string                 `json:"name"`
	About   string                 `json:"about"`
	Rounds  []map[metric][]float64 `json:"rounds"`           // of each server
	Results []map[metric]spread    `json:"results"`          // of each server
	Ratios  map[metric]spread      `json:"ratios,omitempty"` // of B to A, in each round
	Noise   map[metric]spread      `json:"noise,omitempty"`  // the same of A to itself
}

func newMeasured(w workload, sides int) *measured {
	m := &measured{Name: w.name, About: w.about}
	for range sides {
		m.Rounds = append(m.Rounds, map[metric][]float64{})
	}
	return m
}

// add adds the figures of one round with one server.
func (m *measured) add(side int, figures []figure) {
	for _, f := range figures {
		m.Rounds[side][f.metric] = append(m.Rounds[side][f.metric], f.value)
	}
}

// any reports whether there are any figures: no server may have been able to do what
// the workload needs.
func (m *measured) any() bool {
	return slices.ContainsFunc(m.Rounds, func(side map[metric][]float64) bool { return len(side) > 0 })
}

// summarize computes medians and ratios, when all rounds were added.
func (m *measured) summarize() {
	for _, rounds := range m.Rounds {
		results := map[metric]spread{}
		for k, values := range rounds {
			results[k] = spreadOf(values)
		}
		m.Results = append(m.Results, results)
	}
	if len(m.Rounds) > 1 {
		m.Ratios = m.ratios(1)
	}
	if len(m.Rounds) > 2 {
		m.Noise = m.ratios(2)
	}
}

// ratios compares one side with the first, round by round.
func (m *measured) ratios(side int) map[metric]spread {
	all := map[metric]spread{}
	for k, a := range m.Rounds[0] {
		b := m.Rounds[side][k]
		var ratios []float64
		for i := range min(len(a), len(b)) {
			if a[i] > 0 && b[i] > 0 {
				ratios = append(ratios, b[i]/a[i])
			}
		}
		if len(ratios) > 0 && len(ratios) == len(a) {
			all[k] = spreadOf(ratios)
		}
	}
	return all
}

// writeText writes the report as a table.
func (rep *report) writeText(w io.Writer) error {
	fmt.Fprintln(w, rep.conditions())
	fmt.Fprintf(w, "CPU of the server: %s\n", rep.Precision)
	for i, s := range rep.Servers {
		fmt.Fprintf(w, "%s: %s\n", sideNames[i], s)
	}
	fmt.Fprintln(w)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range rep.rows() {
		fmt.Fprintln(tw, strings.Join(row, "\t")+"\t")
	}
	return tw.Flush()
}

// rows returns the table with its head.
func (rep *report) rows() [][]string {
	shown := rep.shown()
	head := []string{"workload", ""}
	for _, m := range shown {
		head = append(head, string(m))
	}
	rows := [][]string{head}
	for _, w := range rep.Workloads {
		for i, results := range w.Results {
			row := []string{w.Name, sideNames[i]}
			for _, m := range shown {
				row = append(row, cell(results, m, format))
			}
			rows = append(rows, row)
		}
		rows = appendRatios(rows, w.Name, "B/A", shown, w.Ratios)
		rows = appendRatios(rows, w.Name, "A/A", shown, w.Noise)
	}
	return rows
}

func appendRatios(rows [][]string, workload, name string, shown []metric, ratios map[metric]spread) [][]string {
	if ratios == nil {
		return rows
	}
	row := []string{workload, name}
	for _, m := range shown {
		row = append(row, cell(ratios, m, formatRatio))
	}
	return append(rows, row)
}

// shown returns the metrics that any workload has.
func (rep *report) shown() (all []metric) {
	for _, m := range metrics {
		for _, w := range rep.Workloads {
			if slices.ContainsFunc(w.Results, func(side map[metric]spread) bool { _, ok := side[m]; return ok }) {
				all = append(all, m)
				break
			}
		}
	}
	return all
}

func cell(from map[metric]spread, m metric, format func(spread) string) string {
	s, ok := from[m]
	if !ok {
		return ""
	}
	return format(s)
}

// format returns the median with three digits at least.
func format(s spread) string { return number(s.Median) }

func number(v float64) string {
	switch {
	case v >= 1000:
		return thousands(int64(v + 0.5))
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}

func thousands(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// formatRatio returns the median of ratios with half of the distance of the
// quartiles.
func formatRatio(s spread) string { return fmt.Sprintf("%.2f ±%.2f", s.Median, s.noise()/2) }

// conditions says when, where and how it was measured.
func (rep *report) conditions() string {
	quiet := ""
	if rep.busy() {
		quiet = "; PRELIMINARY, as the machine was not quiet"
	}
	return fmt.Sprintf("%s, version %s, %s, load average before and after %.2f%s; medians of %d rounds of %s, messages of %d bytes",
		rep.Date.Format("2006-01-02 15:04 MST"), rep.Version, rep.Machine, rep.Load, quiet, rep.Rounds, rep.Time, rep.Size)
}

// busy says whether others used the machine, so that figures are worse than they
// would be otherwise.
func (rep *report) busy() bool { return len(rep.Load) > 0 && rep.Load[0] > 1 }

// writeMarkdown writes the table in Markdown.
func (rep *report) writeMarkdown(w io.Writer) {
	fmt.Fprintf(w, "%s.\n\n", rep.conditions())
	for i, row := range rep.rows() {
		if len(rep.Servers) == 1 {
			row = append(row[:1:1], row[2:]...)
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintln(w, "| --- |"+strings.Repeat(" ---: |", len(row)-1))
		}
	}
}

// What encloses the table in a document that has other text, too.
const tableBegin, tableEnd = "<!-- nsq_bench writes what follows -->\n", "<!-- until here -->\n"

// updateMarkdown writes the table to a file, between the marks of one that exists.
func (rep *report) updateMarkdown(file string) error {
	var table bytes.Buffer
	rep.writeMarkdown(&table)
	document, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	before, rest, begins := bytes.Cut(document, []byte(tableBegin))
	_, after, ends := bytes.Cut(rest, []byte(tableEnd))
	switch {
	case begins && ends:
		return writeFile(file, slices.Concat(before, []byte(tableBegin), table.Bytes(), []byte(tableEnd), after))
	case len(document) > 0:
		return fmt.Errorf("%s has no place for the table: the lines %q and %q", file, strings.TrimSpace(tableBegin), strings.TrimSpace(tableEnd))
	}
	return writeFile(file, slices.Concat([]byte(tableBegin), table.Bytes(), []byte(tableEnd)))
}

// writeFile writes a file, whose directory is created.
func writeFile(file string, content []byte) error {
	if err := makeParent(file); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o644)
}

func (rep *report) json() ([]byte, error) {
	b, err := json.MarshalIndent(rep, "", "  ")
	return append(b, '\n'), err
}
