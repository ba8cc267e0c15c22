package nsqadmin

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/history"
)

// An attention is something that an operator should look at.
type attention struct {
	Kind     string   // the rule that found it, such as "no-consumers"
	Severity string   // warning or problem
	Text     string   // a sentence
	Advice   string   // what to do about it, "" where that is plain
	Path     []string // of the page that shows more, segment by segment, as the template function url takes it
}

// attend applies the rules to a view and the history that it has. The list is in
// the order of the rules, problems first.
func attend(v *view) []attention {
	var list []attention
	for i := range v.Lookupds {
		list = append(list, attendLookupd(v, &v.Lookupds[i])...)
	}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		for _, f := range v.findings(n) {
			list = append(list, attention{
				Kind: f.Kind, Severity: f.Severity, Advice: f.Advice, Path: []string{"nodes", n.Address},
				Text: "nsqd " + n.Address + " " + f.Text + ".",
			})
		}
	}
	list = append(list, attendVersions(v)...)
	for i := range v.rows {
		t := &v.rows[i]
		list = append(list, attendTopic(t)...)
		for j := range t.Channels {
			list = append(list, attendChannel(v, &t.Channels[j])...)
		}
	}
	if n := v.history.LeftOut(); n > 0 {
		list = append(list, attention{
			Kind: "history-full", Severity: severityWarning,
			Text: fmt.Sprintf("There are no charts of %s topics, channels or nodes: the history has no more room.", chart.Count(int64(n))),
		})
	}
	slices.SortStableFunc(list, func(a, b attention) int { return compareSeverity(a.Severity, b.Severity) })
	return list
}

// attendLookupd looks at an nsqlookupd.
func attendLookupd(v *view, l *lookupdState) []attention {
	if l.Err == nil {
		return nil
	}
	return []attention{{
		Kind: "lookupd-silent", Severity: severityProblem, Path: []string{"lookup"},
		Text: fmt.Sprintf("nsqlookupd %s %s.", l.Address, silence(l.Answered, v.At, l.Err)),
	}}
}

// attendVersions looks for nodes that are older than others.
func attendVersions(v *view) []attention {
	var old []string
	for i := range v.Nodes {
		if n := &v.Nodes[i]; n.OutOfDate {
			old = append(old, n.Address+" ("+n.Version+")")
		}
	}
	if len(old) == 0 {
		return nil
	}
	shown := old[:min(len(old), 3)]
	more := ""
	if len(old) > len(shown) {
		more = fmt.Sprintf(" and %d more", len(old)-len(shown))
	}
	return []attention{{
		Kind: "old-version", Severity: severityWarning, Path: []string{"nodes"},
		Text: fmt.Sprintf("%d of %d nsqds run an older version than others: %s%s.", len(old), len(v.Nodes), strings.Join(shown, ", "), more),
	}}
}

// attendTopic looks at what waits in a topic itself.
func attendTopic(t *topicRow) []attention {
	switch {
	case t.Depth == 0:
		return nil
	case t.Paused > 0:
		return []attention{{
			Kind: "paused", Severity: severityWarning, Path: []string{"topics", t.Name},
			Text: fmt.Sprintf("Topic %s is paused with %s waiting.", t.Name, many(t.Depth, "message")),
		}}
	case len(t.Channels) == 0:
		return []attention{{
			Kind: "no-channels", Severity: severityWarning, Path: []string{"topics", t.Name},
			Text: fmt.Sprintf("Topic %s has no channel, and %s waiting.", t.Name, many(t.Depth, "message")),
		}}
	}
	return nil
}

// attendChannel looks at a channel: one thing at a time, that which explains the
// others first.
func attendChannel(v *view, c *channelRow) []attention {
	found := func(kind, severity, format string, args ...any) []attention {
		return []attention{{
			Kind: kind, Severity: severity, Path: []string{"topics", c.Topic, c.Name},
			Text: fmt.Sprintf("Channel %s of topic %s ", c.Name, c.Topic) + fmt.Sprintf(format, args...) + ".",
		}}
	}
	switch {
	case c.Paused > 0 && c.Depth > 0:
		return found("paused", severityWarning, "is paused with %s waiting", many(c.Depth, "message"))
	case c.Consumers == 0 && c.Depth > 0:
		return found("no-consumers", severityProblem, "has no consumer, and %s waiting", many(c.Depth, "message"))
	}
	key := history.Key{Topic: c.Topic, Channel: c.Name}
	var list []attention
	if c.Depth >= growthLeast {
		if from, grows := growth(v.history.Spark(v.At, key, history.Depth, minutes)); grows {
			list = found("growing", severityWarning, "falls behind: its depth grew from %s to %s within %d minutes",
				chart.Count(int64(from)), chart.Count(c.Depth), attentionMinutes)
		}
	}
	if c.Requeues+c.Timeouts >= requeueLeast {
		requeued := perMinutes(v.history.Spark(v.At, key, history.Requeue, minutes))
		finished := perMinutes(v.history.Spark(v.At, key, history.Finish, minutes))
		if requeued >= requeueLeast && requeued > finished/2 {
			list = append(list, found("requeued", severityWarning,
				"got %s back from its consumers within %d minutes, requeued or timed out, and %s finished",
				many(int64(requeued), "message"), attentionMinutes, chart.Count(int64(finished)))...)
		}
	}
	return list
}

// The rules that look back do so for a few minutes, in which changes must be
// worth a word.
const (
	minutes          = 60 // of the history
	attentionMinutes = 5
	growthLeast      = 100 // messages
	growthShare      = 10  // at least a tenth of what there was
	requeueLeast     = 30  // messages
)

// growth reports whether a depth grew in each of the last minutes, and by how
// much that is enough, and from where.
func growth(depths []float64) (from float64, grows bool) {
	recent := depths[len(depths)-attentionMinutes-1:]
	for i := range attentionMinutes {
		if !(recent[i] < recent[i+1]) { // also where either is unknown
			return 0, false
		}
	}
	from, to := recent[0], recent[attentionMinutes]
	return from, to-from >= max(growthLeast, from/growthShare)
}

// perMinutes returns how many a rate makes of the last minutes, as far as it is
// known.
func perMinutes(perSecond []float64) (sum float64) {
	for _, r := range perSecond[len(perSecond)-attentionMinutes:] {
		if !math.IsNaN(r) {
			sum += 60 * r
		}
	}
	return sum
}
