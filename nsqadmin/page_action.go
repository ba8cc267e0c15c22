package nsqadmin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

// actionPage is /action: what an action will do, and then what it has done.
type actionPage struct {
	Kind     actionKind
	Scope    scope
	Effect   string
	Curl     string
	MustType string   // what has to be typed to confirm, "" for nothing
	Problem  string   // why it was not done although it was confirmed
	Outcome  *outcome // nil before it is done
	Failure  string   // why it was not done at all
	Back     crumb
	Again    string // the URL that asks for confirmation
}

// Subject names what the action is done to.
func (p actionPage) Subject() string {
	if p.Kind.Of == ofChannel {
		return p.Scope.Topic + "/" + p.Scope.Channel
	}
	return p.Scope.Topic
}

// Unanswered says that numbers are not to be relied on.
func (p actionPage) Unanswered() string {
	return subject(p.Scope.Unknown, "node", "does", "do") + " not answer: what is there is not known for sure, and it will hardly be done there."
}

// failure is what is said of an action that has failed, above what each daemon says.
func (o outcome) failure() (status int, text string) {
	failed, ok := errors.AsType[*upstreamError](o.Err)
	switch {
	case ok && o.failures() > 0:
		status, _ = failed.answer()
		return status, fmt.Sprintf("No %s did what it was asked for.", failed.Kind)
	case o.Err != nil:
		return http.StatusBadGateway, o.Err.Error()
	}
	return http.StatusBadGateway, "Every request failed."
}

// A durabilityChoice is one of the durabilities, and what it means.
type durabilityChoice struct{ Name, Kept string }

// Durabilities are those to choose from.
func (p actionPage) Durabilities() []durabilityChoice {
	var list []durabilityChoice
	for _, d := range durabilities {
		list = append(list, durabilityChoice{d, kept[d]})
	}
	return list
}

// Failures is how many requests failed.
func (p actionPage) Failures() int { return p.Outcome.failures() }

// Failed reports whether nothing was done that should have been.
func (p actionPage) Failed() bool {
	all, _ := p.Outcome.failed()
	return all
}

// Partly reports whether there is something left to do.
func (p actionPage) Partly() bool {
	all, some := p.Outcome.failed()
	return some && !all
}

// Idle reports whether there was nothing to do.
func (p actionPage) Idle() bool {
	return p.Outcome.Err == nil && !slices.ContainsFunc(p.Outcome.Steps, func(s step) bool { return !s.absent() })
}

// Result is what came of it, in a word or two.
func (p actionPage) Result() string {
	switch {
	case p.Failed():
		return "failed"
	case p.Partly():
		return "partly done"
	case p.Idle():
		return "nothing to do"
	}
	return "done"
}

// Why tells why a step failed.
func (s step) Why() string {
	if refused, ok := errors.AsType[*cluster.StatusError](s.Err); ok && refusals[refused.Message] != "" {
		return refusals[refused.Message] + " (" + refused.Message + ")"
	}
	return cluster.Reason(s.Err)
}

// refusals tell what to do about what a daemon refuses to do, by its message.
var refusals = map[string]string{
	"TOPIC_NOT_EMPTY": "The topic or a channel of it has messages. Let consumers finish them, or empty both, then try again.",
	"DISK_FULL":       "Its disk is full: make room, then try again.",
}

// Absent reports whether the daemon said that it has no such thing.
func (s step) Absent() bool { return s.absent() }

// actionRequest reads what is to be done, and tells what is wrong with it: ""
// for nothing.
func actionRequest(values url.Values) (k actionKind, a action, problem string) {
	a = action{Name: values.Get("do"), Topic: values.Get("topic"), Channel: values.Get("channel"), Node: values.Get("node"), Durability: values.Get("durability")}
	if a.Name == "create" { // a form with both names, of which one may be empty
		a.Name = "create_topic"
		if a.Channel != "" {
			a.Name = "create_channel"
		}
	}
	k, ok := kindOf(a.Name)
	if !ok {
		return k, a, fmt.Sprintf("There is no action %q.", a.Name)
	}
	if k.Of != ofChannel {
		a.Channel = ""
	}
	if k.Of != ofNode {
		a.Node = ""
	}
	problem = nameProblem(ofTopic, a.Topic)
	if problem == "" && k.Of == ofChannel {
		problem = nameProblem(ofChannel, a.Channel)
	}
	if problem == "" {
		problem = a.durabilityProblem()
	}
	return k, a, problem
}

// nameProblem tells what is wrong with a name, "" for nothing.
func nameProblem(of, name string) string {
	const rule = "Names have 1 to 64 of the characters a-z, A-Z, 0-9, dot, underscore and hyphen, and may end in #ephemeral."
	switch {
	case wire.ValidName(name):
		return ""
	case name == "":
		return fmt.Sprintf("The name of the %s is missing.", of)
	case len(name) > wire.MaxNameLen:
		return fmt.Sprintf("The name of the %s is too long: it has %d characters. %s", of, utf8.RuneCountInString(name), rule)
	}
	return fmt.Sprintf("%q is no name of a %s. %s", name, of, rule)
}

// scopeOf returns what an action would be done to. It reports whether that is
// there at all.
func scopeOf(v *watch.View, k actionKind, a action) (s scope, known bool) {
	s = scope{action: a, Lookupds: len(v.Lookupds)}
	known = k.new
	channels := map[string]bool{}
	for _, n := range v.Nodes {
		if k.Of == ofNode && n.Address != a.Node || k.Of != ofNode && !n.Has(a.Topic) && !(k.new && (len(v.Lookupds) == 0 || a.Durability != "")) {
			continue
		}
		one := scopeNode{Node: n}
		if n.Err != nil || n.Stats == nil {
			s.Unknown++
		}
		if n.Stats != nil {
			var names []string
			one.held, names, one.Present = k.holds(a, n.Stats)
			if t := n.Topic(a.Topic); t != nil {
				one.Has = t.Durability
			}
			for _, name := range names {
				channels[name] = true
			}
		}
		known = known || one.Present || k.Of != ofChannel && n.Has(a.Topic)
		s.held.add(one.held)
		s.Nodes = append(s.Nodes, one)
	}
	s.Channels = len(channels)
	for _, l := range v.Lookupds {
		registered, ok := l.Topics[a.Topic]
		known = known || ok && (k.Of == ofTopic || k.Of == ofChannel && slices.Contains(registered, a.Channel))
	}
	return s, known
}

// query is a in the URL of its page.
func (a action) query() url.Values {
	q := url.Values{"do": {a.Name}, "topic": {a.Topic}}
	if a.Channel != "" {
		q.Set("channel", a.Channel)
	}
	if a.Node != "" {
		q.Set("node", a.Node)
	}
	if a.Durability != "" {
		q.Set("durability", a.Durability)
	}
	return q
}

// actionPage asks for confirmation.
func (s *httpServer) actionPage(w http.ResponseWriter, r *http.Request) {
	if !s.mayAct(w, r) {
		return
	}
	if p, ok := s.action(w, r, r.URL.Query()); ok {
		s.showAction(w, r, http.StatusOK, p)
	}
}

// act does what was confirmed, and shows what came of it.
func (s *httpServer) act(w http.ResponseWriter, r *http.Request) {
	if !s.mayAct(w, r) {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		s.errorPage(w, r, http.StatusBadRequest, "The form cannot be read.")
		return
	}
	p, ok := s.action(w, r, r.PostForm)
	if !ok {
		return
	}
	if typed := r.PostForm.Get("confirm"); p.MustType != "" && typed != p.MustType {
		p.Problem = fmt.Sprintf("Nothing was done: type %s to confirm.", p.MustType)
		s.showAction(w, r, http.StatusBadRequest, p)
		return
	}
	out := s.n.do(r.Context(), s.actorOf(r), p.Scope.action)
	p.Outcome = &out
	status := http.StatusOK
	if p.Failed() {
		status, p.Failure = out.failure()
	}
	s.showAction(w, r, status, p)
}

// mayAct refuses who is no admin, before anything is read of what they send.
func (s *httpServer) mayAct(w http.ResponseWriter, r *http.Request) bool {
	_, admin := s.admin(r)
	if !admin {
		s.errorPage(w, r, http.StatusForbidden, "Only users named by --admin-user may do this.")
	}
	return admin
}

// action returns what a page shows of the action that is asked for. Where that
// cannot be done it answers why, and reports false.
func (s *httpServer) action(w http.ResponseWriter, r *http.Request, values url.Values) (p actionPage, ok bool) {
	k, a, problem := actionRequest(values)
	if problem != "" && values.Get("do") == "create" {
		s.showLookup(w, r, http.StatusBadRequest, createForm{values.Get("topic"), values.Get("channel"), values.Get("durability"), problem})
		return p, false
	}
	if problem == "" {
		p.Scope, problem = s.scope(r.Context(), k, a)
	}
	if problem != "" {
		s.errorPage(w, r, http.StatusBadRequest, problem)
		return p, false
	}
	p.Kind, p.Effect, p.Back = k, k.effect(p.Scope), s.backFrom(k, a)
	p.Again = s.url("action") + "?" + a.query().Encode()
	user, _ := s.admin(r)
	p.Curl = k.curl(s.ownURL(r), a, s.curlHeaders(user)...)
	if k.mustType(p.Scope) {
		p.MustType = a.Topic
		if k.Of == ofChannel {
			p.MustType = a.Channel
		}
	}
	return p, true
}

// scope returns what an action concerns, and tells if that is not known.
func (s *httpServer) scope(ctx context.Context, k actionKind, a action) (found scope, problem string) {
	v, known := s.viewWith(ctx, func(v *watch.View) (known bool) {
		found, known = scopeOf(v, k, a)
		return known
	})
	_, nodeKnown := v.Node(a.Node)
	switch {
	case known:
		return found, ""
	case k.Of == ofNode && !nodeKnown:
		return found, fmt.Sprintf("No node has the address %q.", a.Node)
	case k.Of == ofNode:
		return found, fmt.Sprintf("Node %s does not have topic %s.", a.Node, a.Topic)
	case k.Of == ofChannel:
		return found, fmt.Sprintf("Topic %s has no channel %s.", a.Topic, a.Channel)
	}
	return found, fmt.Sprintf("There is no topic %s.", a.Topic)
}

func (s *httpServer) showAction(w http.ResponseWriter, r *http.Request, status int, p actionPage) {
	s.page(w, r, status, "action", page{Title: strings.Join([]string{p.Kind.Verb, p.Kind.Noun(), p.Subject()}, " "), Crumbs: []crumb{p.Back}, Data: p})
}

// backFrom is the page to go to from that of an action.
func (s *httpServer) backFrom(k actionKind, a action) crumb {
	switch {
	case k.Name == "delete_topic":
		return crumb{"Topics", s.url("topics")}
	case k.Of == ofNode:
		return crumb{"Node " + a.Node, s.url("nodes", a.Node)}
	case k.Of == ofTopic || k.Name == "delete_channel":
		return crumb{"Topic " + a.Topic, s.url("topics", a.Topic)}
	}
	return crumb{"Channel " + a.Topic + "/" + a.Channel, s.url("topics", a.Topic, a.Channel)}
}
