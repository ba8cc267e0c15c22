package watch

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/seed893f581e/nsq/internal/chart"
)

// How much is shown of what is alike.
const (
	shownAlike  = 3 // more alerts of a kind are one
	listedAlike = 100
)

// An Alert is a line of the front page: one thing that needs attention, or
// several of the same kind.
type Alert struct {
	attention
	Alike []attention // if several, those with most messages first
	More  int         // that are not in Alike
}

// manyOf says of every kind, of which there can be many, what is said of many.
var manyOf = map[string]string{
	"lookupd-silent":     "%s nsqlookupds do not answer",
	"node-missing":       "%s nsqds are registered no longer",
	"node-moved":         "%s nsqds are gone, and another has started on each one's host",
	"node-unreachable":   "%s nsqds cannot be reached from here",
	"node-silent":        "%s nsqds do not answer",
	"not-registered":     "%s registrations of nsqds with nsqlookupds are missing",
	"registered-twice":   "%s registrations of nsqds are there more than once",
	"disk-full":          "%s nsqds have a full disk",
	"unhealthy":          "%s nsqds cannot keep messages on disk",
	"damage":             "%s nsqds found damage on their disks",
	"panics":             "%s nsqds ended connections after a panic",
	"paused":             "%s topics and channels are paused",
	"no-channels":        "%s topics have no channel",
	"no-consumers":       "%s channels have no consumer",
	"no-consumers-there": "%s channels have no consumer on some nsqds",
	"growing":            "%s channels fall behind",
	"requeued":           "%s channels get many messages back from their consumers",
}

// Alerts puts together what is of the same kind, where that is much: who sees
// twenty lines of one kind does not see the one of another. Kinds stay in the
// order of the list.
func Alerts(list []attention) []Alert {
	type sort struct{ kind, severity string }
	var order []sort
	alike := make(map[sort][]attention)
	for _, a := range list {
		s := sort{a.Kind, a.Severity}
		if alike[s] == nil {
			order = append(order, s)
		}
		alike[s] = append(alike[s], a)
	}
	var result []Alert
	for _, s := range order {
		these := alike[s]
		slices.SortStableFunc(these, func(a, b attention) int { return cmp.Compare(b.Messages, a.Messages) })
		if len(these) > shownAlike && manyOf[s.kind] != "" {
			result = append(result, together(these))
			continue
		}
		for _, a := range these {
			result = append(result, Alert{attention: a})
		}
	}
	return result
}

// together makes one alert of several of a kind.
func together(these []attention) Alert {
	one := Alert{attention: attention{Kind: these[0].Kind, Severity: these[0].Severity, Advice: these[0].Advice}}
	for _, a := range these {
		one.Messages += a.Messages
	}
	one.Text = fmt.Sprintf(manyOf[one.Kind], chart.Count(int64(len(these))))
	if one.Messages > 0 {
		switch one.Kind {
		case "requeued":
			one.Text += fmt.Sprintf(", together %s times", chart.Count(one.Messages))
		default:
			one.Text += fmt.Sprintf(", with %s waiting", chart.Several(one.Messages, "message"))
		}
	}
	one.Text += "."
	n := min(len(these), listedAlike)
	one.Alike, one.More = these[:n], len(these)-n
	return one
}
