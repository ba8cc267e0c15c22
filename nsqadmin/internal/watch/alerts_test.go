package watch

import (
	"fmt"
	"strings"
	"testing"
)

// Few of a kind are lines of their own, many are one that says how many and how
// much, and problems stay before warnings.
func TestAlerts(t *testing.T) {
	var list []attention
	for i := range 3 {
		list = append(list, attention{Kind: "node-silent", Severity: Problem, Text: fmt.Sprint("silent ", i)})
	}
	for i := range 4 {
		list = append(list, attention{Kind: "no-consumers", Severity: Problem, Text: fmt.Sprint("lonely ", i), Messages: int64(1000 * i), Advice: "Help!"})
	}
	for i := range listedAlike + 2 {
		list = append(list, attention{Kind: "not-registered", Severity: Warning, Text: fmt.Sprint("strange ", i)})
	}
	var got []string
	for _, a := range Alerts(list) {
		line := a.Severity + ": " + a.Text
		if a.Alike != nil {
			line += fmt.Sprintf(" %s, %s ... %d+%d", a.Alike[0].Text, a.Advice, len(a.Alike), a.More)
		}
		got = append(got, line)
	}
	want := strings.Join([]string{
		"problem: silent 0",
		"problem: silent 1",
		"problem: silent 2",
		"problem: 4 channels have no consumer, with 6,000 messages waiting. lonely 3, Help! ... 4+0",
		"warning: 102 registrations of nsqds with nsqlookupds are missing. strange 0,  ... 100+2",
	}, "\n")
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}
