package nsqadmin

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

// A silentDaemon is one that did not answer, for a view or for a page. Pages name
// them: what they show is without them.
type silentDaemon struct {
	Kind string // nsqd or nsqlookupd
	Name string
	Path []string // of its page
	Text string   // for how long, and why, to be read behind its name
}

// silentDaemons returns those that did not answer when they were asked last.
func silentDaemons(v *watch.View) []silentDaemon {
	var list []silentDaemon
	for _, l := range v.Lookupds {
		if l.Err != nil {
			list = append(list, silentDaemon{lookupdKind, l.Address, []string{"lookup"}, watch.Silence(l.Answered, v.At, l.Err)})
		}
	}
	return append(list, silentNodes(v, func(*watch.NodeState) bool { return true })...)
}

// silentNodes returns the nsqds of some that did not answer when they were asked
// last.
func silentNodes(v *watch.View, of func(*watch.NodeState) bool) (list []silentDaemon) {
	for i := range v.Nodes {
		if n := &v.Nodes[i]; n.Err != nil && of(n) {
			list = append(list, silentNode(n, watch.Silence(n.Answered, v.At, n.Err)))
		}
	}
	return list
}

func silentNode(n *watch.NodeState, text string) silentDaemon {
	return silentDaemon{nsqdKind, n.Name(), []string{"nodes", n.Address}, text}
}

// noAnswer tells what came of asking for a page.
func noAnswer(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("did not answer within %d ms", askTimeout.Milliseconds())
	}
	return "did not answer: " + cluster.Reason(err)
}
