package watch

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

// A Finding is something about an nsqd that an operator should know.
type Finding struct {
	Kind     string // the rule that found it, such as "node-silent"
	Severity string // warning or problem
	Word     string // for a badge
	Text     string // what it does or is, to be read behind its name
	Advice   string // what to do about it, "" where that is plain
}

// Sentence is the finding where it is plain which nsqd it is about.
func (f Finding) Sentence() string { return "It " + f.Text + "." }

// A Registration is how one nsqlookupd knows a node.
type Registration struct {
	Lookupd LookupdState
	Peers   []string // the node's ends of its connections; several reveal one that is registered twice
}

// Registrations returns how each nsqlookupd knows n.
func (v *View) Registrations(n *NodeState) []Registration {
	list := make([]Registration, len(v.Lookupds))
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
func (r Registration) State() string {
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

// Findings returns what is wrong with a node, problems first.
func (v *View) Findings(n *NodeState) []Finding {
	list := slices.Concat(v.answerFindings(n), v.registrationFindings(n))
	if s := n.Stats; s != nil && n.Counts(v.At) {
		list = append(list, statsFindings(s)...)
	}
	slices.SortStableFunc(list, func(a, b Finding) int { return compareSeverity(a.Severity, b.Severity) })
	return list
}

// answerFindings looks at whether a node is known and answers.
func (v *View) answerFindings(n *NodeState) []Finding {
	switch {
	case n.Missing && n.Err == nil:
		return []Finding{{"node-missing", Problem, "missing",
			"answers, but is registered with no nsqlookupd any more since " + chart.Clock(n.Registered),
			"Consumers do not find it. See whether it reaches the nsqlookupds."}}
	case n.Missing && v.successor(n) != "":
		return []Finding{{"node-moved", Warning, "missing",
			fmt.Sprintf("is gone since %s; nsqd %s has started on its host since", chart.Clock(n.Registered), v.successor(n)),
			"If that is the same one at another address, nothing is missing."}}
	case n.Missing:
		return []Finding{{"node-missing", Problem, "missing",
			fmt.Sprintf("is gone: it was registered until %s and %s", chart.Clock(n.Registered), Silence(n.Answered, v.At, n.Err)),
			"If it was taken away on purpose, it is forgotten within the hour."}}
	case n.Err != nil && n.Answered.IsZero() && len(n.RemoteAddresses) > 0 && isUnreachable(n.Err):
		return []Finding{{"node-unreachable", Problem, "no answer",
			"cannot be reached from here: " + cluster.Reason(n.Err),
			"It is running and registered under this address, which is of no use here, nor to consumers that are where nsqadmin is. " +
				"Set its --broadcast-address to a name or address under which others reach it, or run nsqadmin where this one works."}}
	case n.Err != nil:
		return []Finding{{"node-silent", Problem, "no answer", Silence(n.Answered, v.At, n.Err), ""}}
	}
	return nil
}

// successor returns the address of an nsqd that started on the host of a missing
// one after its last answer, "" if there is none.
func (v *View) successor(missing *NodeState) string {
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
func (v *View) registrationFindings(n *NodeState) (list []Finding) {
	if n.Missing {
		return nil
	}
	for _, r := range v.Registrations(n) {
		switch r.State() {
		case "no":
			list = append(list, Finding{"not-registered", Warning, "not registered",
				"is not registered with nsqlookupd " + r.Lookupd.Address,
				"Consumers that ask there do not find it. See its --lookupd-tcp-address, and whether it reaches it."})
		case "twice":
			list = append(list, Finding{"registered-twice", Warning, "registered twice",
				fmt.Sprintf("is registered %d times with nsqlookupd %s", len(r.Peers), r.Lookupd.Address),
				"Two nsqds claim the same address, or the nsqlookupd is in its configuration twice."})
		}
	}
	return list
}

// statsFindings looks at what a node says of itself.
func statsFindings(s *stats.Stats) (list []Finding) {
	if reason, ill := strings.CutPrefix(s.Health, "NOK"); ill {
		reason = strings.TrimPrefix(reason, " - ")
		if strings.Contains(reason, "no space left on device") || strings.Contains(reason, "not enough space on the disk") {
			list = append(list, Finding{"disk-full", Problem, "disk full", "has a full disk: " + reason,
				"What does not fit into memory is refused until there is space."})
		} else {
			list = append(list, Finding{"unhealthy", Problem, "disk error", "cannot keep messages on disk: " + reason, ""})
		}
	}
	if d := s.Damage; d != nil {
		list = append(list, Finding{"damage", Warning, "damaged",
			fmt.Sprintf("found damage on its disk: %s bytes in %s, %s lost as far as is known",
				chart.Count(d.Bytes), chart.Several(d.Ranges, "place"), chart.Several(d.Records, "message")),
			"Its log tells which files these are."})
	}
	if s.Panics > 0 {
		list = append(list, Finding{"panics", Warning, "faults",
			fmt.Sprintf("ended %s after a panic", chart.Several(int64(s.Panics), "connection")),
			"That is a fault of nsqd: its log has the stack."})
	}
	return list
}

// Severities, the worst first in the order of letters.
const (
	Problem = "problem"
	Warning = "warning"
)

func compareSeverity(a, b string) int { return cmp.Compare(a, b) }
