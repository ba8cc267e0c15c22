package nsq

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// metricsContentType is that of version 0.0.4 of the Prometheus text format.
const metricsContentType = "text/plain; version=0.0.4; charset=utf-8"

// MetricsHandler returns a handler for a path such as /metrics, from which Prometheus,
// or whatever else reads its text format, collects the metrics of all sources.
func MetricsHandler(sources ...MetricSource) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var text bytes.Buffer
		if err := WriteMetrics(&text, sources...); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", metricsContentType)
		_, _ = text.WriteTo(w) // there is nobody left to tell that it failed
	})
}

// WriteMetrics writes the metrics of all sources in the Prometheus text format,
// sorted by name and labels. Metrics with the same name and the same labels are
// added up: two consumers of the same channel appear as one. It fails without
// writing anything if a name is not valid, or has two kinds.
func WriteMetrics(w io.Writer, sources ...MetricSource) error {
	families := map[string]*metricFamily{}
	for _, source := range sources {
		for m := range source.Metrics() {
			if err := addMetric(families, m); err != nil {
				return err
			}
		}
	}
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(families)) {
		b = families[name].appendTo(b, name)
	}
	_, err := w.Write(b)
	return err
}

// metricFamily is what has the same name.
type metricFamily struct {
	help   string
	kind   MetricKind
	series map[string]float64 // by labels, in the form they are written in
}

func addMetric(families map[string]*metricFamily, m Metric) error {
	if !metricName.MatchString(m.Name) {
		return detailed(ErrInvalidMetric, "invalid metric name %q", m.Name)
	}
	labels, err := formatLabels(m.Labels)
	if err != nil {
		return fmt.Errorf("metric %s: %w", m.Name, err)
	}
	f := families[m.Name]
	if f == nil {
		f = &metricFamily{help: m.Help, kind: m.Kind, series: map[string]float64{}}
		families[m.Name] = f
	}
	if f.kind != m.Kind {
		return detailed(ErrInvalidMetric, "metric %s is both a %s and a %s", m.Name, f.kind, m.Kind)
	}
	f.series[labels] += m.Value
	return nil
}

func (f *metricFamily) appendTo(b []byte, name string) []byte {
	if f.help != "" {
		b = fmt.Appendf(b, "# HELP %s %s\n", name, escapeHelp.Replace(strings.ToValidUTF8(f.help, "\uFFFD")))
	}
	b = fmt.Appendf(b, "# TYPE %s %s\n", name, f.kind)
	for _, labels := range slices.Sorted(maps.Keys(f.series)) {
		b = fmt.Appendf(b, "%s%s ", name, labels)
		b = strconv.AppendFloat(b, f.series[labels], 'g', -1, 64)
		b = append(b, '\n')
	}
	return b
}

var (
	metricName = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	labelName  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

	escapeHelp  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	escapeLabel = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// formatLabels returns labels as they stand behind a name, sorted.
func formatLabels(labels []MetricLabel) (string, error) {
	if len(labels) == 0 {
		return "", nil
	}
	sorted := slices.SortedFunc(slices.Values(labels), func(a, b MetricLabel) int { return cmp.Compare(a.Name, b.Name) })
	b := []byte{'{'}
	for i, l := range sorted {
		switch {
		case !labelName.MatchString(l.Name):
			return "", detailed(ErrInvalidMetric, "invalid label name %q", l.Name)
		case i > 0 && l.Name == sorted[i-1].Name:
			return "", detailed(ErrInvalidMetric, "label %s twice", l.Name)
		case i > 0:
			b = append(b, ',')
		}
		value := escapeLabel.Replace(strings.ToValidUTF8(l.Value, "\uFFFD"))
		b = fmt.Appendf(b, `%s="%s"`, l.Name, value)
	}
	return string(append(b, '}')), nil
}
