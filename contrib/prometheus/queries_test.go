package prometheus

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/seed893f581e/nsq/internal/metrics/everymetric"
)

// known is every metric by name, with the names of its labels.
type known map[string]map[string]bool

func scrape(t *testing.T) known {
	k := known{"up": {}}
	for _, s := range everymetric.Scrape(t) {
		for name, f := range s {
			has := map[string]bool{}
			for _, l := range f.Metric[0].Label {
				has[l.GetName()] = true
			}
			k[name] = has
			if f.Metric[0].Histogram != nil {
				k[name+"_bucket"] = maps.Clone(has)
				k[name+"_bucket"]["le"] = true
			}
		}
	}
	for _, has := range k {
		has["job"], has["instance"] = true, true // which Prometheus adds
	}
	return k
}

// check reports what is wrong with a query.
func (k known) check(t *testing.T, where, query string) {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		t.Errorf("%s: %s: %v", where, query, err)
		return
	}
	has := map[string]bool{} // labels of any metric of the query
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		v, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		var names []string
		for _, m := range v.LabelMatchers {
			if m.Name == model.MetricNameLabel {
				names = strings.Split(m.Value, "|")
			}
		}
		for _, name := range names {
			if k[name] == nil {
				t.Errorf("%s: there is no metric %s", where, name)
			}
			maps.Copy(has, k[name])
			for _, m := range v.LabelMatchers {
				if m.Name != model.MetricNameLabel && !k[name][m.Name] {
					t.Errorf("%s: %s has no label %s", where, name, m.Name)
				}
			}
		}
		return nil
	})
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		if a, ok := node.(*parser.AggregateExpr); ok {
			for _, label := range a.Grouping {
				if !has[label] {
					t.Errorf("%s: no metric of %s has the label %s", where, query, label)
				}
			}
		}
		return nil
	})
}

func TestAlertsNameWhatThereIs(t *testing.T) {
	k, rules := scrape(t), alertRules(t)
	for _, r := range rules {
		k.check(t, r.Alert, r.Expr)
		if r.Alert == "" || r.Annotations["summary"] == "" {
			t.Errorf("rule %q has no name or no summary", r.Alert)
		}
	}
	if len(rules) < 10 {
		t.Errorf("there are %d rules", len(rules))
	}
	t.Logf("%d rules name only what is among %d metrics", len(rules), len(k))
}

var labelValues = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)

func TestDashboardNamesWhatThereIs(t *testing.T) {
	text, err := os.ReadFile("../grafana/nsq.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct{ Name, Type, Definition string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	k := scrape(t)
	var variables []string
	for _, v := range board.Templating.List {
		variables = append(variables, v.Name)
		if v.Type != "query" {
			continue
		}
		m := labelValues.FindStringSubmatch(v.Definition)
		if m == nil {
			t.Fatalf("variable %s is %q", v.Name, v.Definition)
		}
		k.check(t, "variable "+v.Name, "count by ("+m[2]+") ("+m[1]+")")
	}
	if want := []string{"datasource", "job", "instance", "topic", "channel"}; !slices.Equal(variables, want) {
		t.Errorf("variables %q, want %q", variables, want)
	}
	queries := 0
	for _, p := range board.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q shows nothing", p.Title)
		}
		for _, q := range p.Targets {
			k.check(t, "panel "+p.Title, strings.ReplaceAll(q.Expr, "$__rate_interval", "1m"))
			queries++
		}
	}
	t.Logf("%d queries of %d panels name only what is among %d metrics", queries, len(board.Panels), len(k))
}
