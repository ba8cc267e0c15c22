// Package metricstest reads what daemons say at /metrics, for their tests, as
// Prometheus does.
package metricstest

import (
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// A Scrape is what a daemon said at one time, by the names of the metrics.
type Scrape map[string]*dto.MetricFamily

// Get scrapes the URL by a client, with the official parser for the text. What
// promlint has to say of it is an error of the test.
func Get(tb testing.TB, client *http.Client, url string) Scrape {
	tb.Helper()
	resp, err := client.Get(url)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		tb.Fatalf("%s: %s, %v", url, resp.Status, err)
	}
	return Parse(tb, string(body))
}

// Parse is Get for a text that is there already.
func Parse(tb testing.TB, text string) Scrape {
	tb.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	s, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		tb.Fatal(err)
	}
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		tb.Fatal(err)
	}
	for _, p := range problems {
		tb.Errorf("%s: %s", p.Metric, p.Text)
	}
	return s
}

// Decode reads what was sent in any of the forms of Prometheus.
func Decode(tb testing.TB, header http.Header, body io.Reader) Scrape {
	tb.Helper()
	s := make(Scrape)
	for d := expfmt.NewDecoder(body, expfmt.ResponseFormat(header)); ; {
		var f dto.MetricFamily
		switch err := d.Decode(&f); err {
		case nil:
			s[f.GetName()] = &f
		case io.EOF:
			return s
		default:
			tb.Fatal(err)
		}
	}
}

// labelled returns the metric whose labels have these values, in the order of their
// names, or nil.
func (s Scrape) labelled(name string, values ...string) *dto.Metric {
	for _, m := range s[name].GetMetric() {
		var have []string
		for _, l := range m.Label {
			have = append(have, l.GetValue())
		}
		if slices.Equal(have, values) {
			return m
		}
	}
	return nil
}

// Value returns that of a counter or gauge whose labels have these values, in the order
// of their names: channel before topic. It is NaN where there is none.
func (s Scrape) Value(name string, values ...string) float64 {
	switch m := s.labelled(name, values...); {
	case m == nil:
		return math.NaN()
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	default:
		return math.NaN()
	}
}

// Histogram returns a histogram, nil where there is none.
func (s Scrape) Histogram(name string, values ...string) *dto.Histogram {
	return s.labelled(name, values...).GetHistogram()
}

// Buckets shows a histogram's count and those buckets in which something is, as
// "3: 1 up to 0.001, 2 up to 0.1".
func Buckets(h *dto.Histogram) string {
	var list []string
	before := uint64(0)
	for _, b := range h.GetBucket() {
		if n := b.GetCumulativeCount() - before; n > 0 {
			list = append(list, fmt.Sprintf("%d up to %v", n, b.GetUpperBound()))
		}
		before = b.GetCumulativeCount()
	}
	return fmt.Sprintf("%d: %s", h.GetSampleCount(), strings.Join(list, ", "))
}
