package nsqadmin

import (
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/history"
	"github.com/seed893f581e/nsq/internal/stats"
)

// An attention is something that an operator should look at.
type attention struct {
	Kind     string   // the rule that found it, such as "no-consumers"
	Severity string   // warning or problem
	Text     string   // a sentence
	Advice   string   // what to do about it, "" where that is plain
	Path     []string // of the page that shows more, segment by segment, as the template function url takes it
}

// Severities.
const (
	severityWarning = "warning"
	severityProblem = "problem"
)

// attend applies the rules to a view and the history that it has. The list is in
// the order of the rules, problems first.
func attend(v *view) []attention {
	var list []attention
	for i := range v.Lookupds {
		list = append(list, attendLookupd(v, &v.Lookupds[i])...)
	}
	for i := range v.Nodes {
		list = append(list, attendNode(v, &v.Nodes[i])...)
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
	slices.SortStableFunc(list, func(a, b attention) int { return strings.Compare(a.Severity, b.Severity) }) // "problem" is first
	return list
}

// attendLookupd looks at an nsqlookupd.
func attendLookupd(v *view, l *lookupdState) []attention {
	if l.Err == nil {
		return nil
	}
	return []attention{{
		Kind: "lookupd-silent", Severity: severityProblem, Path: []string{"lookup"},
		Text: fmt.Sprintf("nsqlookupd %s %s: %v.", l.Address, silent(v.At, l.Answered), reason(l.Err)),
	}}
}

// silent says for how long a daemon has not answered.
func silent(now, answered time.Time) string {
	if answered.IsZero() {
		return "has not answered yet"
	}
	return "has not answered for " + chart.Duration(now.Sub(answered).Round(time.Second))
}

// attendNode looks at an nsqd: what it answers, and how it is registered.
func attendNode(v *view, n *nodeState) (list []attention) {
	path := []string{"nodes", n.Address}
	add := func(kind, severity, advice, format string, args ...any) {
		list = append(list, attention{
			Kind: kind, Severity: severity, Advice: advice, Path: path,
			Text: "nsqd " + n.Address + " " + fmt.Sprintf(format, args...) + ".",
		})
	}
	switch {
	case n.Missing && n.Err == nil:
		add("node-missing", severityProblem, "Consumers do not find it. See whether it reaches the nsqlookupds.",
			"answers, but is registered with no nsqlookupd any more since %s", clock(n.Registered))
	case n.Missing:
		add("node-missing", severityProblem, "",
			"is gone: it was registered until %s and %s: %v", clock(n.Registered), silent(v.At, n.Answered), reason(n.Err))
	case n.Err != nil && n.Answered.IsZero() && len(n.RemoteAddresses) > 0 && isUnreachable(n.Err):
		add("node-unreachable", severityProblem,
			"It is running and registered under this address, which is of no use here, nor to consumers that are where nsqadmin is. "+
				"Set its --broadcast-address to a name or address under which others reach it, or run nsqadmin where this one works.",
			"cannot be reached from here: %v", reason(n.Err))
	case n.Err != nil:
		add("node-silent", severityProblem, "", "%s: %v", silent(v.At, n.Answered), reason(n.Err))
	}
	if !n.Missing {
		attendRegistrations(v, n, add)
	}
	if s := n.Stats; s != nil && n.counts(v.At) {
		attendStats(s, add)
	}
	return list
}

// isUnreachable reports whether err says that there was no connection at all.
func isUnreachable(err error) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && e.Op == "dial"
}

// attendRegistrations looks for nsqlookupds that do not know a node, or know it
// more than once.
func attendRegistrations(v *view, n *nodeState, add func(kind, severity, advice, format string, args ...any)) {
	for i := range v.Lookupds {
		l := &v.Lookupds[i]
		times := 0
		for _, remote := range n.RemoteAddresses {
			if strings.HasPrefix(remote, l.Address+"/") {
				times++
			}
		}
		switch {
		case times == 0 && l.Err == nil && !l.Answered.IsZero():
			add("not-registered", severityWarning, "Consumers that ask there do not find it. See its --lookupd-tcp-address, and whether it reaches it.",
				"is not registered with nsqlookupd %s", l.Address)
		case times > 1:
			add("registered-twice", severityWarning, "Two nsqds claim the same address, or the nsqlookupd is in its configuration twice.",
				"is registered %d times with nsqlookupd %s", times, l.Address)
		}
	}
}

// attendStats looks at what a node says of itself.
func attendStats(s *stats.Stats, add func(kind, severity, advice, format string, args ...any)) {
	if reason, ill := strings.CutPrefix(s.Health, "NOK"); ill {
		reason = strings.TrimPrefix(reason, " - ")
		if strings.Contains(reason, "no space left on device") || strings.Contains(reason, "not enough space on the disk") {
			add("disk-full", severityProblem, "What does not fit into memory is refused until there is space.", "has a full disk: %s", reason)
		} else {
			add("unhealthy", severityProblem, "", "cannot keep messages on disk: %s", reason)
		}
	}
	if d := s.Damage; d != nil {
		add("damage", severityWarning, "Its log tells which files these are.",
			"found damage on its disk: %s bytes in %s places, %s messages lost as far as is known",
			chart.Count(d.Bytes), chart.Count(d.Ranges), chart.Count(d.Records))
	}
	if s.Panics > 0 {
		add("panics", severityWarning, "That is a fault of nsqd: its log has the stack.", "ended %d connections after a panic", s.Panics)
	}
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
			Text: fmt.Sprintf("Topic %s is paused with %s waiting.", t.Name, messages(t.Depth)),
		}}
	case len(t.Channels) == 0:
		return []attention{{
			Kind: "no-channels", Severity: severityWarning, Path: []string{"topics", t.Name},
			Text: fmt.Sprintf("Topic %s has no channel, and %s waiting.", t.Name, messages(t.Depth)),
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
		return found("paused", severityWarning, "is paused with %s waiting", messages(c.Depth))
	case c.Consumers == 0 && c.Depth > 0:
		return found("no-consumers", severityProblem, "has no consumer, and %s waiting", messages(c.Depth))
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
				messages(int64(requeued)), attentionMinutes, chart.Count(int64(finished)))...)
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

func messages(n int64) string {
	if n == 1 {
		return "1 message"
	}
	return chart.Count(n) + " messages"
}
