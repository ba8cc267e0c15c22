package prometheus

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// seriesOf returns the series of a test, which begin at the time 0. Prometheus' own storage
// needs more modules than all else here.
func seriesOf(t *testing.T, test ruleTest) storage.Queryable {
	t.Helper()
	p := parser.NewParser(parser.Options{})
	var all []promql.Series
	for _, s := range test.InputSeries {
		metric, values, err := p.ParseSeriesDesc(s.Series + " " + s.Values)
		if err != nil {
			t.Fatal(err)
		}
		series := promql.Series{Metric: metric}
		for i, v := range values {
			if !v.Omitted {
				at := time.Duration(i) * test.Interval
				series.Floats = append(series.Floats, promql.FPoint{T: at.Milliseconds(), F: v.Value})
			}
		}
		all = append(all, series)
	}
	return &storage.MockQueryable{MockQuerier: &storage.MockQuerier{
		SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
			return &seriesSet{left: slices.DeleteFunc(slices.Clone(all), func(s promql.Series) bool {
				return slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.Metric.Get(m.Name)) })
			})}
		},
	}}
}

// A seriesSet is a storage.SeriesSet of what is left.
type seriesSet struct {
	now  promql.Series
	left []promql.Series
}

func (s *seriesSet) Next() bool {
	if len(s.left) == 0 {
		return false
	}
	s.now, s.left = s.left[0], s.left[1:]
	return true
}

func (s *seriesSet) At() storage.Series                { return promql.NewStorageSeries(s.now) }
func (s *seriesSet) Err() error                        { return nil }
func (s *seriesSet) Warnings() annotations.Annotations { return nil }
