package metrics_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/metrics/everymetric"
	"github.com/seed893f581e/nsq/internal/metrics/metricstest"
)

var update = flag.Bool("update", false, "write the tables of docs/metrics.md")

const docs = "../../docs/metrics.md"

// docs/metrics.md names every metric of a scrape, and no other, with its type, labels
// and meaning.
func TestDocsNameEveryMetric(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("what is told of the process depends on the system; the tables are of Linux")
	}
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	want := string(text)
	scrapes := everymetric.Scrape(t)
	for program, s := range scrapes {
		want = fill(t, want, program, table(s, program+"_"))
	}
	want = fill(t, want, "the process", table(scrapes["nsqd"], "go_", "process_"))
	if want == string(text) {
		return
	}
	if *update {
		if err := os.WriteFile(docs, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have := strings.Split(string(text), "\n")
	for _, line := range strings.Split(want, "\n") {
		if !slices.Contains(have, line) {
			t.Errorf("docs/metrics.md should have\n%s", line)
		}
	}
	t.Error("docs/metrics.md is not what the daemons say; go test ./internal/metrics -update writes its tables")
}

// table describes the metrics whose names begin with one of the prefixes.
func table(s metricstest.Scrape, prefixes ...string) string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) }) {
			continue
		}
		f := s[name]
		var labels []string
		for _, l := range f.Metric[0].Label {
			labels = append(labels, l.GetName())
		}
		help := strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;").Replace(f.GetHelp())
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), help)
	}
	return b.String()
}

// fill puts a table between the marks of its place.
func fill(t *testing.T, text, program, table string) string {
	t.Helper()
	begin, end := "<!-- metrics of "+program+" -->\n", "<!-- end -->"
	before, rest, ok := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the metrics of %s", docs, program)
	}
	return before + begin + table + end + after
}
