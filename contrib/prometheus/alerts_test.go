package prometheus

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/template"
	"go.yaml.in/yaml/v3"
)

// A rule is an alert of alerts.yml.
type rule struct {
	Alert       string
	Expr        string
	For         time.Duration
	Labels      map[string]string
	Annotations map[string]string
}

func readYAML(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

func alertRules(t *testing.T) (rules []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	readYAML(t, "alerts.yml", &file)
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	return rules
}

// A ruleTest is what promtool takes for one.
type ruleTest struct {
	Name        string
	Interval    time.Duration
	InputSeries []struct{ Series, Values string } `yaml:"input_series"`
	Alerts      []struct {
		EvalTime  time.Duration `yaml:"eval_time"`
		Alertname string
		Want      []alert `yaml:"exp_alerts"`
	} `yaml:"alert_rule_test"`
}

// An alert is one that fires.
type alert struct {
	Labels      map[string]string `yaml:"exp_labels"`
	Annotations map[string]string `yaml:"exp_annotations"`
}

// Every rule fires when it should, with the words that it should say, and is silent
// before. What is expected stands in alerts_test.yml.
func TestAlertsFire(t *testing.T) {
	var file struct {
		EvaluationInterval time.Duration `yaml:"evaluation_interval"`
		Tests              []ruleTest
	}
	readYAML(t, "alerts_test.yml", &file)
	rules := make(map[string]rule)
	for _, r := range alertRules(t) {
		rules[r.Alert] = r
	}
	fired, silent := map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		t.Run(test.Name, func(t *testing.T) {
			e := newEvaluation(t, test)
			for _, c := range test.Alerts {
				r, ok := rules[c.Alertname]
				if !ok {
					t.Errorf("there is no alert %s", c.Alertname)
					continue
				}
				got := e.firing(r, file.EvaluationInterval, c.EvalTime)
				if want := texts(c.Want); !slices.Equal(got, want) {
					t.Errorf("%s after %s:\n%s\nwant\n%s", r.Alert, c.EvalTime, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
				fired[r.Alert] = fired[r.Alert] || len(c.Want) > 0
				silent[r.Alert] = silent[r.Alert] || len(c.Want) == 0
			}
		})
	}
	for name := range rules {
		if !fired[name] || !silent[name] {
			t.Errorf("no test has %s fire, or none has it silent", name)
		}
	}
}

// texts shows alerts, sorted.
func texts(alerts []alert) (list []string) {
	for _, a := range alerts {
		list = append(list, fmt.Sprintf("%v %v", a.Labels, a.Annotations))
	}
	slices.Sort(list)
	return list
}

// An evaluation asks what the series of a test are at different times.
type evaluation struct {
	t     *testing.T
	query func(expr string, at time.Time) promql.Vector
}

func newEvaluation(t *testing.T, test ruleTest) evaluation {
	t.Helper()
	series := seriesOf(t, test)
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 10_000, Timeout: time.Minute})
	return evaluation{t, func(expr string, at time.Time) promql.Vector {
		t.Helper()
		q, err := engine.NewInstantQuery(t.Context(), series, nil, expr, at)
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		v, err := q.Exec(t.Context()).Vector()
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		return slices.Clone(v)
	}}
}

// firing returns the alerts of a rule that fire at a time since the beginning, if it is
// looked at with this interval: those that have been true for long enough.
func (e evaluation) firing(r rule, interval, end time.Duration) []string {
	e.t.Helper()
	since := make(map[string]time.Duration) // by labels
	var alerts []alert
	for now := time.Duration(0); now <= end; now += interval {
		alerts = nil
		still := make(map[string]time.Duration)
		for _, sample := range e.query(r.Expr, time.Unix(0, 0).Add(now)) {
			key := sample.Metric.String()
			begin, ok := since[key]
			if !ok {
				begin = now
			}
			still[key] = begin
			if now-begin >= r.For {
				alerts = append(alerts, e.alert(r, sample))
			}
		}
		since = still
	}
	return texts(alerts)
}

// alert fills the labels and annotations of a rule in.
func (e evaluation) alert(r rule, sample promql.Sample) alert {
	e.t.Helper()
	a := alert{sample.Metric.Map(), make(map[string]string)}
	delete(a.Labels, model.MetricNameLabel)
	data := template.AlertTemplateData(maps.Clone(a.Labels), nil, "", sample)
	fill := func(text string) string {
		e.t.Helper()
		const variables = "{{$labels := .Labels}}{{$value := .Value}}"
		x := template.NewTemplateExpander(e.t.Context(), variables+text, r.Alert, data, model.Time(sample.T), nil, nil, nil)
		filled, err := x.Expand()
		if err != nil {
			e.t.Errorf("%s: %v", r.Alert, err)
		}
		return filled
	}
	for name, text := range r.Labels {
		a.Labels[name] = fill(text)
	}
	for name, text := range r.Annotations {
		a.Annotations[name] = fill(text)
	}
	return a
}
