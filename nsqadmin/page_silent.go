package nsqadmin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// A silentDaemon is one that did not answer when it was asked last. Every page
// names them: what it shows is without them.
type silentDaemon struct {
	Kind string // nsqd or nsqlookupd
	Name string
	Path []string // of its page
	Text string   // for how long, and why
}

// silent returns the daemons that did not answer when they were asked last.
func (v *view) silent() []silentDaemon {
	var list []silentDaemon
	for _, l := range v.Lookupds {
		if l.Err != nil {
			list = append(list, silentDaemon{"nsqlookupd", l.Address, []string{"lookup"}, silence(l.Answered, v.At, l.Err)})
		}
	}
	for i := range v.Nodes {
		if n := &v.Nodes[i]; n.Err != nil {
			list = append(list, silentDaemon{"nsqd", nodeName(n), []string{"nodes", n.Address}, silence(n.Answered, v.At, n.Err)})
		}
	}
	return list
}

// nodeName returns how a node is known: by its host's name, if it has one, and
// its address.
func nodeName(n *nodeState) string {
	if n.Hostname == "" || strings.HasPrefix(n.Address, n.Hostname+":") {
		return n.Address
	}
	return fmt.Sprintf("%s (%s)", n.Hostname, n.Address)
}

// silence tells for how long a daemon has not answered, and why.
func silence(answered, now time.Time, err error) string {
	if answered.IsZero() {
		return "has not answered so far: " + reason(err)
	}
	return "no answer for " + ago(answered, now) + ": " + reason(err)
}

// reason returns why a request failed without what the reader knows: what was
// asked of whom.
func reason(err error) string {
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return fmt.Sprintf("the name %s does not resolve (%s)", e.Name, e.Err)
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return "it takes too long"
	}
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		err = e.Err
	}
	return err.Error()
}
