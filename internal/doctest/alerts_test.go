package doctest

import (
	"maps"
	"regexp"
	"slices"
	"testing"
)

var (
	alertRule = regexp.MustCompile(`(?m)^ *- alert: (\w+)$`)
	alertSpan = regexp.MustCompile("`(NSQ[A-Z][A-Za-z]+)`")
)

// Whoever is woken by an alert finds it on the page for operators, which names no other.
func TestAlerts(t *testing.T) {
	names := func(file string, expression *regexp.Regexp) []string {
		found := make(map[string]bool)
		for _, m := range expression.FindAllStringSubmatch(readPage(t, file).text, -1) {
			found[m[1]] = true
		}
		return slices.Sorted(maps.Keys(found))
	}
	rules := names("contrib/prometheus/alerts.yml", alertRule)
	if len(rules) < 10 {
		t.Errorf("rules are %q, which cannot be all", rules)
	}
	if told := names("docs/operations.md", alertSpan); !slices.Equal(told, rules) {
		t.Errorf("docs/operations.md tells of %q, the rules are %q", told, rules)
	}
}
