package watch

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

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
	Messages int64    // that are concerned: more of them come first
}

// attend applies the rules to a view and the history that it has. The list is in
// the order of the rules, problems first.
func attend(v *View) []attention {
	var list []attention
	for i := range v.Lookupds {
		list = append(list, attendLookupd(v, &v.Lookupds[i])...)
	}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		for _, f := range v.Findings(n) {
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
			Kind: "history-full", Severity: Warning,
			Text: fmt.Sprintf("There are no charts of %s topics, channels or nodes: the history has no more room.", chart.Count(int64(n))),
		})
	}
	slices.SortStableFunc(list, func(a, b attention) int { return compareSeverity(a.Severity, b.Severity) })
	return list
}

// attendLookupd looks at an nsqlookupd.
func attendLookupd(v *View, l *LookupdState) []attention {
	if l.Err == nil {
		return nil
	}
	return []attention{{
		Kind: "lookupd-silent", Severity: Problem, Path: []string{"lookup"},
		Text: fmt.Sprintf("nsqlookupd %s %s.", l.Address, Silence(l.Answered, v.At, l.Err)),
	}}
}

// attendVersions looks for nodes that are older than others.
func attendVersions(v *View) []attention {
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
		Kind: "old-version", Severity: Warning, Path: []string{"nodes"},
		Text: fmt.Sprintf("%d of %d nsqds run an older version than others: %s%s.", len(old), len(v.Nodes), strings.Join(shown, ", "), more),
	}}
}

// attendTopic looks at what waits in a topic itself.
func attendTopic(t *TopicRow) []attention {
	switch {
	case t.Depth == 0:
		return nil
	case t.Paused > 0:
		return []attention{{
			Kind: "paused", Severity: Warning, Path: []string{"topics", t.Name}, Messages: t.Depth,
			Text: fmt.Sprintf("Topic %s is paused with %s waiting.", t.Name, chart.Several(t.Depth, "message")),
		}}
	case len(t.Channels) == 0:
		return []attention{{
			Kind: "no-channels", Severity: Warning, Path: []string{"topics", t.Name}, Messages: t.Depth,
			Advice: "The first channel gets all of them: a consumer creates it when it subscribes.",
			Text:   fmt.Sprintf("Topic %s has no channel, and %s waiting.", t.Name, chart.Several(t.Depth, "message")),
		}}
	}
	return nil
}

// attendChannel looks at a channel: one thing at a time, that which explains the
// others first.
func attendChannel(v *View, c *ChannelRow) []attention {
	found := func(kind, severity string, n int64, advice, format string, args ...any) []attention {
		return []attention{{
			Kind: kind, Severity: severity, Advice: advice, Path: []string{"topics", c.Topic, c.Name}, Messages: n,
			Text: fmt.Sprintf("Channel %s of topic %s ", c.Name, c.Topic) + fmt.Sprintf(format, args...) + ".",
		}}
	}
	switch u := c.Unserved; {
	case c.Paused > 0 && c.Depth > 0:
		return found("paused", Warning, c.Depth, "", "is paused with %s waiting", chart.Several(c.Depth, "message"))
	case u.Nodes == 0 || !u.Since.IsZero() && v.At.Sub(u.Since) < unservedGrace: // consumers come and go
	case c.Consumers == 0:
		return found("no-consumers", Problem, c.Depth, "Start a consumer, or delete the channel if nobody needs it any more.",
			"has no consumer%s, and %s waiting", sinceText(u.Since), chart.Several(c.Depth, "message"))
	default:
		more := ""
		if u.Nodes > 1 {
			more = fmt.Sprintf(" and %d more nsqds", u.Nodes-1)
		}
		return found("no-consumers-there", Problem, u.Depth, "See whether consumers can reach that nsqd at its broadcast address, and ask all nsqlookupds.",
			"has no consumer on nsqd %s%s%s, and %s waiting there", u.Example, more, sinceText(u.Since), chart.Several(u.Depth, "message"))
	}
	key := history.Key{Topic: c.Topic, Channel: c.Name}
	var list []attention
	if c.Depth >= growthLeast && c.Consumers > 0 {
		if from, grows := growth(v.history.Spark(v.At, key, history.Depth, minutes)); grows {
			list = found("growing", Warning, c.Depth, "Its consumers are too few or too slow, or fail.",
				"falls behind: its depth grew from %s to %s within %d minutes",
				chart.Count(int64(from)), chart.Count(c.Depth), attentionMinutes)
		}
	}
	if c.Requeues+c.Timeouts >= requeueLeast {
		requeued := recently(v.history.Recent(v.At, key, history.Requeue, attentionSteps))
		finished := recently(v.history.Recent(v.At, key, history.Finish, attentionSteps))
		if requeued >= requeueLeast && requeued > finished/2 {
			list = append(list, found("requeued", Warning, int64(requeued),
				"Their logs should tell why they fail, or take longer than nsqd waits.",
				"got messages back %s times within %d minutes, requeued or timed out, while its consumers finished %s",
				chart.Count(int64(requeued)), attentionMinutes, orNone(finished))...)
		}
	}
	return list
}

// sinceText returns when that began, "" where it is not known.
func sinceText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " since " + chart.Clock(t)
}

func orNone(n float64) string {
	if n < 1 {
		return "none"
	}
	return chart.Count(int64(n))
}

// unservedGrace is how long messages may wait without a consumer: consumers
// restart, and need a moment to find a new channel.
const unservedGrace = 30 * time.Second

// The rules that look back do so for a few minutes, in which changes must be
// worth a word.
const (
	minutes          = 60 // of the history
	attentionMinutes = 5
	attentionSteps   = int(attentionMinutes * time.Minute / history.Step)
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

// recently returns how many messages rates make, one for each step of the
// history, as far as they are known.
func recently(perSecond []float64) (sum float64) {
	for _, r := range perSecond {
		if !math.IsNaN(r) {
			sum += r * history.Step.Seconds()
		}
	}
	return math.Round(sum)
}
