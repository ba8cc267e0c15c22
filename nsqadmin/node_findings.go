package nsqadmin

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/stats"
)

// A finding is something about an nsqd that an operator should know.
type finding struct {
	Kind     string // the rule that found it, such as "node-silent"
	Severity string // warning or problem
	Word     string // for a badge
	Text     string // what it does or is, to be read behind its name
	Advice   string // what to do about it, "" where that is plain
}

// Sentence is the finding where it is plain which nsqd it is about.
func (f finding) Sentence() string { return "It " + f.Text + "." }

// A registration is how one nsqlookupd knows a node.
type registration struct {
	Lookupd lookupdState
	Peers   []string // the node's ends of its connections; several reveal one that is registered twice
}

// registrations returns how each nsqlookupd knows n.
func (v *view) registrations(n *nodeState) []registration {
	list := make([]registration, len(v.Lookupds))
	for i, l := range v.Lookupds {
		list[i].Lookupd = l
		for _, remote := range n.RemoteAddresses {
			if peer, ok := strings.CutPrefix(remote, l.Address+"/"); ok {
				list[i].Peers = append(list[i].Peers, peer)
			}
		}
	}
	return list
}

// State names what an operator has to think of it: yes, no, twice or unknown.
func (r registration) State() string {
	switch {
	case len(r.Peers) > 1:
		return "twice"
	case len(r.Peers) == 1:
		return "yes"
	case r.Lookupd.Err != nil || r.Lookupd.Answered.IsZero():
		return "unknown"
	}
	return "no"
}

// findings returns what is wrong with a node, problems first.
func (v *view) findings(n *nodeState) []finding {
	list := slices.Concat(v.answerFindings(n), v.registrationFindings(n))
	if s := n.Stats; s != nil && n.counts(v.At) {
		list = append(list, statsFindings(s)...)
	}
	slices.SortStableFunc(list, func(a, b finding) int { return compareSeverity(a.Severity, b.Severity) })
	return list
}

// answerFindings looks at whether a node is known and answers.
func (v *view) answerFindings(n *nodeState) []finding {
	switch {
	case n.Missing && n.Err == nil:
		return []finding{{"node-missing", severityProblem, "missing",
			"answers, but is registered with no nsqlookupd any more since " + chart.Clock(n.Registered),
			"Consumers do not find it. See whether it reaches the nsqlookupds."}}
	case n.Missing && v.successor(n) != "":
		return []finding{{"node-moved", severityWarning, "missing",
			fmt.Sprintf("is gone since %s; nsqd %s has started on its host since", chart.Clock(n.Registered), v.successor(n)),
			"If that is the same one at another address, nothing is missing."}}
	case n.Missing:
		return []finding{{"node-missing", severityProblem, "missing",
			fmt.Sprintf("is gone: it was registered until %s and %s", chart.Clock(n.Registered), silence(n.Answered, v.At, n.Err)),
			"If it was taken away on purpose, it is forgotten within the hour."}}
	case n.Err != nil && n.Answered.IsZero() && len(n.RemoteAddresses) > 0 && isUnreachable(n.Err):
		return []finding{{"node-unreachable", severityProblem, "no answer",
			"cannot be reached from here: " + cluster.Reason(n.Err),
			"It is running and registered under this address, which is of no use here, nor to consumers that are where nsqadmin is. " +
				"Set its --broadcast-address to a name or address under which others reach it, or run nsqadmin where this one works."}}
	case n.Err != nil:
		return []finding{{"node-silent", severityProblem, "no answer", silence(n.Answered, v.At, n.Err), ""}}
	}
	return nil
}

// successor returns the address of an nsqd that started on the host of a missing
// one after its last answer, "" if there is none.
func (v *view) successor(missing *nodeState) string {
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if n.Hostname == missing.Hostname && !n.Missing && n.Err == nil && n.Stats != nil && time.Unix(n.Stats.StartTime, 0).After(missing.Answered) {
			return n.Address
		}
	}
	return ""
}

// isUnreachable reports whether err says that there was no connection at all.
func isUnreachable(err error) bool {
	e, ok := errors.AsType[*net.OpError](err)
	return ok && e.Op == "dial"
}

// registrationFindings looks for nsqlookupds that do not know a node, or know it
// more than once.
func (v *view) registrationFindings(n *nodeState) (list []finding) {
	if n.Missing {
		return nil
	}
	for _, r := range v.registrations(n) {
		switch r.State() {
		case "no":
			list = append(list, finding{"not-registered", severityWarning, "not registered",
				"is not registered with nsqlookupd " + r.Lookupd.Address,
				"Consumers that ask there do not find it. See its --lookupd-tcp-address, and whether it reaches it."})
		case "twice":
			list = append(list, finding{"registered-twice", severityWarning, "registered twice",
				fmt.Sprintf("is registered %d times with nsqlookupd %s", len(r.Peers), r.Lookupd.Address),
				"Two nsqds claim the same address, or the nsqlookupd is in its configuration twice."})
		}
	}
	return list
}

// statsFindings looks at what a node says of itself.
func statsFindings(s *stats.Stats) (list []finding) {
	if reason, ill := strings.CutPrefix(s.Health, "NOK"); ill {
		reason = strings.TrimPrefix(reason, " - ")
		if strings.Contains(reason, "no space left on device") || strings.Contains(reason, "not enough space on the disk") {
			list = append(list, finding{"disk-full", severityProblem, "disk full", "has a full disk: " + reason,
				"What does not fit into memory is refused until there is space."})
		} else {
			list = append(list, finding{"unhealthy", severityProblem, "disk error", "cannot keep messages on disk: " + reason, ""})
		}
	}
	if d := s.Damage; d != nil {
		list = append(list, finding{"damage", severityWarning, "damaged",
			fmt.Sprintf("found damage on its disk: %s bytes in %s, %s lost as far as is known",
				chart.Count(d.Bytes), chart.Several(d.Ranges, "place"), chart.Several(d.Records, "message")),
			"Its log tells which files these are."})
	}
	if s.Panics > 0 {
		list = append(list, finding{"panics", severityWarning, "faults",
			fmt.Sprintf("ended %s after a panic", chart.Several(int64(s.Panics), "connection")),
			"That is a fault of nsqd: its log has the stack."})
	}
	return list
}

// Severities, the worst first in the order of letters.
const (
	severityProblem = "problem"
	severityWarning = "warning"
)

func compareSeverity(a, b string) int { return cmp.Compare(a, b) }
