package nsqadmin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/httpapi"
	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/wire"
)

// An action is something that changes the cluster.
type action struct {
	Name    string // one of the names below
	Topic   string
	Channel string // "" for what is done to a topic
	Node    string // of a tombstone: the node's broadcast address and HTTP port

	Durability string // of a topic that is created, with or without a channel, or changed: one of durabilities; "" for what nodes choose, where it is created
}

// The names of actions, as those who are notified know them.
const (
	createTopic    = "create_topic"
	createChannel  = "create_channel" // and its topic
	deleteTopic    = "delete_topic"
	deleteChannel  = "delete_channel"
	pauseTopic     = "pause_topic"
	unpauseTopic   = "unpause_topic"
	emptyTopic     = "empty_topic"
	changeTopic    = "change_topic_durability"
	pauseChannel   = "pause_channel"
	unpauseChannel = "unpause_channel"
	emptyChannel   = "empty_channel"
	tombstoneTopic = "tombstone_topic_producer"
)

// durabilities are what the OK of a publish can mean.
var durabilities = []string{"memory", "disk", "fsync"}

// simpleActions are those that only concern the nsqds that have the topic, and
// what they are asked for.
var simpleActions = map[string]string{
	pauseTopic:     "/topic/pause",
	unpauseTopic:   "/topic/unpause",
	emptyTopic:     "/topic/empty",
	pauseChannel:   "/channel/pause",
	unpauseChannel: "/channel/unpause",
	emptyChannel:   "/channel/empty",
}

// A step is one request of an action.
type step struct {
	Daemon  string // nsqd or nsqlookupd
	Address string // of its HTTP API
	Request string // as "POST /channel/pause?channel=c&topic=t"
	Err     error  // nil when it was done
	Took    time.Duration
}

// absent reports whether the daemon said that it has no such thing.
func (s step) absent() bool {
	e, ok := errors.AsType[*cluster.StatusError](s.Err)
	return ok && e.Status == http.StatusNotFound
}

// An outcome is what came of an action. Steps are what was asked of daemons, in
// the order of the rounds in which that was done, with the questions to which
// there was no answer.
type outcome struct {
	Action   action
	Steps    []step
	Remained []string // daemons, by address, that have what was deleted still, or again
	Err      error    // why the action failed as a whole: a request that makes no sense, or no daemon that could do it
}

// failed reports whether nothing came of the action, and whether it did not
// come to all that was meant.
func (o outcome) failed() (all, some bool) {
	n := o.failures()
	all = o.Err != nil || n > 0 && !slices.ContainsFunc(o.Steps, func(s step) bool { return s.Err == nil })
	return all, all || n > 0 || len(o.Remained) > 0
}

// failures is how many steps failed. That a daemon has no such thing is no
// failure.
func (o outcome) failures() (n int) {
	for _, s := range o.Steps {
		if s.Err != nil && !s.absent() {
			n++
		}
	}
	return n
}

// errors are those of the steps.
func (o outcome) errors() []error {
	var errs []error
	for _, s := range o.Steps {
		if s.Err != nil {
			errs = append(errs, &daemonError{s.Address, s.Err})
		}
	}
	return errs
}

// done returns the addresses of the daemons on which something was done.
func (o outcome) done() []string {
	var list []string
	for _, s := range o.Steps {
		if s.Err == nil {
			list = append(list, s.Address)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// check tells what is wrong with an action. That names are valid matters more
// than it seems: to some nsqlookupds "*" means every topic there is.
func (a action) check() error {
	ofChannel := false
	switch a.Name {
	case createTopic, deleteTopic, pauseTopic, unpauseTopic, emptyTopic, changeTopic, tombstoneTopic:
	case createChannel, deleteChannel, pauseChannel, unpauseChannel, emptyChannel:
		ofChannel = true
	default:
		return badRequest("INVALID_ACTION")
	}
	switch {
	case !wire.ValidName(a.Topic):
		return badRequest("INVALID_TOPIC")
	case ofChannel && !wire.ValidName(a.Channel):
		return badRequest("INVALID_CHANNEL")
	case a.durabilityProblem() != "":
		return badRequest("INVALID_DURABILITY")
	case a.Name != tombstoneTopic:
		return nil
	}
	if host, port := cutPort(a.Node); host == "" || port == "" {
		return errNodeNotFound
	}
	return nil
}

// durabilityProblem tells what is wrong with the durability, "" for nothing.
func (a action) durabilityProblem() string {
	switch {
	case a.Durability == "" && a.Name != changeTopic:
		return ""
	case a.Name != createTopic && a.Name != createChannel && a.Name != changeTopic:
		return "Only a topic that is created or changed gets a durability."
	case !slices.Contains(durabilities, a.Durability):
		return fmt.Sprintf("%q is no durability: choose one of %s.", a.Durability, strings.Join(durabilities, ", "))
	case a.Durability != durabilities[0] && isEphemeral(a.Topic):
		return "What is ephemeral is kept in memory only."
	}
	return ""
}

// parameters are those of the requests for an action.
func (a action) parameters() url.Values {
	q := url.Values{"topic": {a.Topic}}
	if a.Channel != "" {
		q.Set("channel", a.Channel)
	}
	return q
}

var (
	errNodeNotFound  = httpapi.Error{Status: http.StatusNotFound, Code: "NODE_NOT_FOUND"}
	errTopicNotFound = httpapi.Error{Status: http.StatusNotFound, Code: "TOPIC_NOT_FOUND"}
)

// An actor is who asked for an action.
type actor struct {
	Admin     string // as the proxy says, "" if it does not
	User      string // of HTTP's basic authentication, "" for none
	RemoteIP  string // and port
	UserAgent string
	URL       string // of the request
}

// actorOf returns who makes a request.
func (s *httpServer) actorOf(r *http.Request) actor {
	by := actor{RemoteIP: r.RemoteAddr, UserAgent: r.UserAgent()}
	by.Admin, _ = s.admin(r)
	by.User, _, _ = r.BasicAuth()
	u := *r.URL
	u.Scheme, u.Host = "http", r.Host
	if r.TLS != nil || r.Header.Get("X-Scheme") == "https" {
		u.Scheme = "https"
	}
	by.URL = u.String()
	return by
}

// refreshTimeout is for daemons that have just answered.
const refreshTimeout = time.Second

// do does an action on all daemons that are concerned, says so in the log and to
// who is notified, and returns what came of it. Once begun it goes on even if ctx
// ends: what is half done helps nobody.
func (n *NSQAdmin) do(ctx context.Context, by actor, a action) outcome {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)() // but not when the program ends
	o := n.sources.perform(ctx, a)
	n.logAction(by, o)
	n.notifier.tell(by, o)
	if done := o.done(); len(done) > 0 {
		ctx, cancel := context.WithTimeout(ctx, refreshTimeout)
		defer cancel()
		n.poller.Refresh(ctx, done...) // the next page shows what has become of it
	}
	return o
}

// logAction writes who did what with which result into the log.
func (n *NSQAdmin) logAction(by actor, o outcome) {
	args := []any{"topic", logging.Printable(o.Action.Topic)}
	for _, f := range []struct{ name, value string }{
		{"channel", o.Action.Channel}, {"node", o.Action.Node}, {"durability", o.Action.Durability}, {"admin", by.Admin}, {"user", by.User}, {"client", by.RemoteIP},
		{"user agent", by.UserAgent}, {"remained", strings.Join(o.Remained, ", ")},
	} {
		if f.value != "" {
			args = append(args, f.name, logging.Printable(f.value))
		}
	}
	args = append(args, "done on", strings.Join(o.done(), ", "))
	errs := o.errors()
	if o.Err != nil && len(errs) == 0 {
		errs = append(errs, o.Err)
	}
	level := slog.LevelInfo
	if len(errs) > 0 {
		level = slog.LevelWarn
		args = append(args, "failed", strings.ReplaceAll(lines(errs), "\n", "; "))
	}
	n.log.Log(context.Background(), level, "ACTION: "+o.Action.Name, args...)
}
