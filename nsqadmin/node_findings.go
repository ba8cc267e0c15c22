package nsqadmin

import (
	"fmt"
	"strings"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/stats"
)

// A finding is something about a node that an operator should know.
type finding struct {
	Severity string
	Word     string // for a badge
	Text     string
}

// How bad a node's findings are, for sorting.
const (
	stateProblem = iota
	stateWarning
	stateGood
)

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
	case r.Lookupd.Err != nil:
		return "unknown"
	}
	return "no"
}

// findings returns what is wrong with a node, the worst first.
func (v *view) findings(n *nodeState) []finding {
	var problems, warnings []finding
	problem := func(word, format string, args ...any) {
		problems = append(problems, finding{severityProblem, word, fmt.Sprintf(format, args...)})
	}
	warning := func(word, format string, args ...any) {
		warnings = append(warnings, finding{severityWarning, word, fmt.Sprintf(format, args...)})
	}
	if n.Err != nil {
		problem("no answer", "%s.", v.silence(n))
	}
	if n.Err == nil && n.Stats == nil {
		warning("no answer yet", "It has been asked and has not answered yet.")
	}
	if n.Missing {
		problem("missing", "It was registered and is no longer.")
	}
	if s := n.Stats; s != nil {
		if s.Health != "OK" {
			problem("disk error", "It cannot write to its disk: %s", strings.TrimPrefix(s.Health, "NOK - "))
		}
		if s.Damage != nil {
			problem("damaged", "%s", damageText(s.Damage))
		}
		if s.Panics > 0 {
			warning("faults", "%s ended by a fault of nsqd, which its log tells.", subject(int64(s.Panics), "connection", "was", "were"))
		}
	}
	for _, r := range v.registrations(n) {
		switch {
		case r.State() == "no" && !n.Missing:
			problem("not registered", "It is not registered with nsqlookupd %s: consumers that ask there do not find it.", r.Lookupd.Address)
		case r.State() == "twice":
			warning("registered twice", "It is registered with nsqlookupd %s %d times.", r.Lookupd.Address, len(r.Peers))
		}
	}
	if n.OutOfDate {
		warning("old version", "Its version is older than that of other nodes.")
	}
	return append(problems, warnings...)
}

// silence tells for how long a node has not answered, and why.
func (v *view) silence(n *nodeState) string {
	if n.Answered.IsZero() {
		return "It has not answered so far: " + reason(n.Err)
	}
	return "No answer for " + ago(n.Answered, v.At) + ": " + reason(n.Err)
}

func damageText(d *stats.Damage) string {
	return fmt.Sprintf("Its disk queues were damaged in %s (%s bytes, %s lost as far as is known).",
		many(d.Ranges, "place"), chart.Count(d.Bytes), many(d.Records, "message"))
}

// stateOf is how bad the worst of the findings is.
func stateOf(list []finding) int {
	switch {
	case len(list) == 0:
		return stateGood
	case list[0].Severity == severityProblem:
		return stateProblem
	}
	return stateWarning
}
