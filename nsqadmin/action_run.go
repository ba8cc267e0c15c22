package nsqadmin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/stats"
)

// A run is an action that is being done: round by round, each on all daemons of
// a kind at once, so that one that hangs takes as much time as all of them.
type run struct {
	*sources
	ctx      context.Context
	unlisted bool // no nsqlookupd knows the topic, but an nsqd has it
	outcome
}

// perform does an action. What was begun is done to the end on all daemons,
// whatever some of them answer.
func (s *sources) perform(ctx context.Context, a action) outcome {
	r := &run{sources: s, ctx: ctx, outcome: outcome{Action: a}}
	if r.Err = a.check(); r.Err != nil {
		return r.outcome
	}
	switch a.Name {
	case createTopic, createChannel:
		r.create()
	case changeTopic:
		r.changeDurability()
	case deleteTopic, deleteChannel:
		r.delete()
	case tombstoneTopic:
		r.tombstone()
	default:
		r.onProducing(simpleActions[a.Name])
	}
	return r.outcome
}

// post asks daemons of a kind for something.
func (r *run) post(kind string, addresses []string, path string, q url.Values) []step {
	answers := cluster.Ask(addresses, func(address string) (struct{}, error) {
		return struct{}{}, r.client.Post(r.ctx, address, path, q)
	})
	steps := make([]step, len(answers))
	for i, a := range answers {
		steps[i] = step{Daemon: kind, Address: a.Address, Request: "POST " + path + "?" + q.Encode(), Err: a.Err, Took: a.Took}
	}
	r.Steps = append(r.Steps, steps...)
	return steps
}

// unanswered notes the daemons that did not answer a question.
func (r *run) unanswered(kind, question string, errs []error) {
	for _, err := range errs {
		if e, ok := errors.AsType[*daemonError](err); ok {
			r.Steps = append(r.Steps, step{Daemon: kind, Address: e.Address, Request: question, Err: e.Err})
		}
	}
}

// fail notes that no daemon could do what these steps were to do. That one has
// no such thing is an answer.
func (r *run) fail(kind string, steps []step) {
	if len(steps) == 0 || slices.ContainsFunc(steps, func(s step) bool { return s.Err == nil || s.absent() }) {
		return
	}
	r.Err = &upstreamError{kind, outcome{Steps: steps}.errors()}
}

// onProducing asks the nsqds that have the topic.
func (r *run) onProducing(path string) {
	if nsqds, ok := r.find(); ok {
		r.fail(nsqdKind, r.post(nsqdKind, nsqds, path, r.Action.parameters()))
	}
}

// changeDurability has the nsqds that have the topic change its durability, by the
// request that creates it with one. Where no daemon knows of any that has it, nobody would keep
// what was chosen.
func (r *run) changeDurability() {
	nsqds, ok := r.find()
	switch {
	case len(nsqds) == 0 && r.unknown():
		r.Err = errTopicNotFound
	case ok:
		r.createOnNodes(nsqds)
	}
}

// unknown tells, when find has found no nsqd, whether all daemons said that there is none.
func (r *run) unknown() bool {
	if r.Err == nil {
		return r.failures() == 0
	}
	e, ok := errors.AsType[*upstreamError](r.Err)
	return ok && !slices.ContainsFunc(e.Errs, func(err error) bool { return !cluster.TopicNotFound(err) })
}

// create creates a topic, and a channel of it, where nsqds find out about them:
// at the nsqlookupds. The channel is created as well where the topic is already.
// Without nsqlookupds both are created on all nsqds; so they are where the topic
// is to have a durability, of which nsqlookupds know nothing.
func (r *run) create() {
	topic := url.Values{"topic": {r.Action.Topic}}
	if !r.fromLookupds() {
		r.createOnNodes(r.nsqds)
		return
	}
	lookupds := r.lookupds()
	if len(lookupds) == 0 {
		r.Err = &upstreamError{lookupdKind, []error{errNoLookupds}}
		return
	}
	if r.createAt(lookupdKind, lookupds, topic); r.Err != nil {
		return
	}
	if r.Action.Durability != "" {
		targets, errs, err := r.all(r.ctx)
		r.unanswered(lookupdKind, "GET "+r.listing(), errs)
		if r.Err = err; err == nil {
			r.createOnNodes(addressesOf(targets))
		}
		return
	}
	if r.Action.Channel == "" {
		return
	}
	if nsqds, ok := r.find(); ok {
		r.post(nsqdKind, nsqds, "/channel/create", r.Action.parameters())
	}
}

// createOnNodes creates the topic, with its durability, and the channel on nsqds.
func (r *run) createOnNodes(nsqds []string) {
	topic := url.Values{"topic": {r.Action.Topic}}
	if r.Action.Durability != "" {
		topic.Set("durability", r.Action.Durability)
	}
	begun := len(r.Steps)
	r.createAt(nsqdKind, nsqds, topic)
	if r.Action.Durability != "" {
		r.checkDurability(r.Steps[begun:])
	}
}

// checkDurability fails the steps after which an nsqd has the topic with another
// durability: those that know of none have it in memory, whatever is asked for.
func (r *run) checkDurability(steps []step) {
	var created []string
	for _, s := range steps {
		if s.Err == nil && strings.HasPrefix(s.Request, createRequest) {
			created = append(created, s.Address)
		}
	}
	has := make(map[string]string)
	for _, a := range cluster.Ask(created, func(address string) (string, error) { return r.durabilityAt(address) }) {
		if a.Err == nil {
			has[a.Address] = a.Value
		}
	}
	for i, s := range steps {
		if d, known := has[s.Address]; known && cmp.Or(d, durabilities[0]) != r.Action.Durability && s.Err == nil && strings.HasPrefix(s.Request, createRequest) {
			steps[i].Err = fmt.Errorf("the topic is there, but with durability %s", cmp.Or(d, "memory: this nsqd has no durable topics"))
		}
	}
	if r.Err == nil {
		r.fail(nsqdKind, steps)
	}
}

// durabilityAt returns the durability of the topic on an nsqd, "" if it tells none.
func (r *run) durabilityAt(nsqd string) (string, error) {
	s, err := r.client.Stats(r.ctx, nsqd, cluster.StatsQuery{Topic: r.Action.Topic})
	if err != nil {
		return "", err
	}
	for _, t := range s.Topics {
		if t.Name == r.Action.Topic {
			return t.Durability, nil
		}
	}
	return "", nil
}

// createRequest begins the requests that create a topic.
const createRequest = "POST /topic/create?"

// createAt creates the topic, and the channel where that could be done.
func (r *run) createAt(kind string, addresses []string, topic url.Values) {
	steps := r.post(kind, addresses, "/topic/create", topic)
	if r.fail(kind, steps); r.Action.Channel == "" {
		return
	}
	var created []string
	for _, s := range steps {
		if s.Err == nil {
			created = append(created, s.Address)
		}
	}
	r.fail(kind, r.post(kind, created, "/channel/create", r.Action.parameters()))
}

// delete deletes a topic or a channel: first at the nsqlookupds, so that no
// consumer finds it there and creates it again, then on the nsqds.
func (r *run) delete() {
	nsqds, ok := r.find()
	if !ok {
		return
	}
	path := "/topic/delete"
	if r.Action.Channel != "" {
		path = "/channel/delete"
	}
	begun := len(r.Steps)
	if r.fromLookupds() && !r.unlisted {
		r.post(lookupdKind, r.lookupds(), path, r.Action.parameters())
	}
	r.post(nsqdKind, nsqds, path, r.Action.parameters())
	kind := r.askedFirst()
	if r.unlisted {
		kind = nsqdKind
	}
	r.fail(kind, r.Steps[begun:])
	r.lookBack(r.Steps[begun:])
}

// tombstone hides a node from those who look for a topic, and deletes the topic
// there. A node that nobody knows is not asked for anything: who may do this may
// not have nsqadmin talk to any address.
func (r *run) tombstone() {
	targets, errs, err := r.all(r.ctx)
	r.unanswered(r.askedFirst(), "GET "+r.listing(), errs)
	if err != nil {
		r.Err = err
		return
	}
	i := slices.IndexFunc(targets, func(t target) bool { return t.is(r.Action.Node) })
	if r.fromLookupds() {
		q := r.Action.parameters()
		q.Set("node", lookupName(r.Action.Node))
		r.post(lookupdKind, r.lookupds(), "/topic/tombstone", q)
	}
	switch {
	case i >= 0:
		r.fail(nsqdKind, r.post(nsqdKind, []string{targets[i].address}, "/topic/delete", r.Action.parameters()))
	case r.fromLookupds():
		gone := step{Daemon: nsqdKind, Address: r.Action.Node, Request: "POST /topic/delete?" + r.Action.parameters().Encode(), Err: errNotListed}
		r.Steps = append(r.Steps, gone)
		r.fail(nsqdKind, []step{gone})
	default:
		r.Err = errNodeNotFound
	}
}

var errNotListed = errors.New("no nsqlookupd lists this node")

// lookupName is a node as nsqlookupds know it: an IPv6 address without brackets.
func lookupName(node string) string {
	host, port := cutPort(node)
	return host + ":" + port
}

// cutPort returns the parts of a node's name. An IPv6 address may be with or
// without brackets.
func cutPort(node string) (host, port string) {
	i := strings.LastIndexByte(node, ':')
	if i < 0 {
		return node, ""
	}
	return strings.Trim(node[:i], "[]"), node[i+1:]
}

// listing is how all nsqds are found.
func (s *sources) listing() string {
	if s.fromLookupds() {
		return "/nodes"
	}
	return "/info"
}

// askedFirst is the kind of daemons that say which nsqds there are.
func (s *sources) askedFirst() string {
	if s.fromLookupds() {
		return lookupdKind
	}
	return nsqdKind
}

// lookBackTimeout is for daemons that have just answered.
const lookBackTimeout = time.Second

// lookBack finds out which of the daemons that have deleted something have it
// again: a producer that goes on creates it by its next message, a consumer by
// its next connection.
func (r *run) lookBack(steps []step) {
	ctx, cancel := context.WithTimeout(r.ctx, lookBackTimeout)
	defer cancel()
	kinds := make(map[string]string, len(steps))
	var addresses []string
	for _, s := range steps {
		if s.Err == nil {
			kinds[s.Address] = s.Daemon
			addresses = append(addresses, s.Address)
		}
	}
	for _, a := range cluster.Ask(addresses, func(address string) (bool, error) {
		if kinds[address] == lookupdKind {
			return r.registered(ctx, address)
		}
		return r.present(ctx, address)
	}) {
		if a.Err == nil && a.Value {
			r.Remained = append(r.Remained, a.Address)
		}
	}
}

// registered reports whether an nsqlookupd knows the topic or channel.
func (r *run) registered(ctx context.Context, lookupd string) (bool, error) {
	if r.Action.Channel != "" {
		channels, err := r.client.Channels(ctx, lookupd, r.Action.Topic)
		return slices.Contains(channels, r.Action.Channel), err
	}
	_, err := r.client.Lookup(ctx, lookupd, r.Action.Topic)
	return err == nil, err
}

// present reports whether an nsqd has the topic or channel.
func (r *run) present(ctx context.Context, nsqd string) (bool, error) {
	s, err := r.client.Stats(ctx, nsqd, cluster.StatsQuery{Topic: r.Action.Topic, Channel: r.Action.Channel})
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(s.Topics, func(t stats.Topic) bool {
		return t.Name == r.Action.Topic && (r.Action.Channel == "" || slices.ContainsFunc(t.Channels, func(c stats.Channel) bool { return c.Name == r.Action.Channel }))
	}), nil
}
