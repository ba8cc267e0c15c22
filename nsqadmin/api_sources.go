package nsqadmin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/stats"
)

// sources asks the daemons afresh, all of one kind at once: the nsqds that were
// given by their addresses, else those that the nsqlookupds list.
type sources struct {
	client   *cluster.Client
	nsqds    []string        // as configured; none where there are nsqlookupds
	lookupds func() []string // as configured now
}

// fromLookupds reports whether nsqlookupds say which nsqds there are.
func (s *sources) fromLookupds() bool { return len(s.nsqds) == 0 }

// The two kinds of daemons, as they are named in messages.
const (
	nsqdKind    = "nsqd"
	lookupdKind = "nsqlookupd"
)

// A target is an nsqd.
type target struct {
	cluster.Node
	address string // where its HTTP API is asked, which may be another than it says of itself
}

// is reports whether name means the nsqd.
func (t target) is(name string) bool {
	return name == t.HTTPAddress() || name == t.address || name == t.LookupName()
}

// nodeStats is an answer of the nsqd.
func (t target) nodeStats(s *stats.Stats) cluster.NodeStats {
	return cluster.NodeStats{Address: t.HTTPAddress(), Hostname: t.Hostname, Zone: t.Zone, Region: t.Region, At: time.Now(), Stats: s}
}

// An upstreamError says that no daemon of a kind gave an answer. Without Errs
// there was none that could.
type upstreamError struct {
	Kind string
	Errs []error
}

func (e *upstreamError) Error() string {
	return fmt.Sprintf("UPSTREAM_ERROR: failed to query any %s: %s", e.Kind, lines(e.Errs))
}

// conflict returns why all daemons refused what they were asked for, where that is
// one reason: what they have is not so that it can be done.
func (e *upstreamError) conflict() (reason string, ok bool) {
	for _, err := range e.Errs {
		refused, is := errors.AsType[*cluster.StatusError](err)
		if !is || refused.Status != http.StatusConflict || refused.Message == "" || reason != "" && refused.Message != reason {
			return "", false
		}
		reason = refused.Message
	}
	return reason, reason != ""
}

// answer is what is said of it to who has asked for what could not be done.
func (e *upstreamError) answer() (status int, text string) {
	if reason, ok := e.conflict(); ok {
		return http.StatusConflict, reason
	}
	return http.StatusBadGateway, e.Error()
}

// lines is what went wrong in one step.
func lines(errs []error) string {
	texts := make([]string, len(errs))
	for i, err := range errs {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "\n")
}

// A daemonError is what came of asking one daemon.
type daemonError struct {
	Address string
	Err     error
}

// Error is in the words that scripts know where a daemon has answered. A conflict they
// do not know: it tells which daemon has it.
func (e *daemonError) Error() string {
	s, ok := errors.AsType[*cluster.StatusError](e.Err)
	switch {
	case ok && s.Status == http.StatusConflict && s.Message != "":
		return e.Address + ": " + s.Message
	case ok:
		return fmt.Sprintf("got response %d %s %q", s.Status, http.StatusText(s.Status), s.Body)
	}
	return e.Address + ": " + e.Err.Error()
}

func (e *daemonError) Unwrap() error { return e.Err }

// errNoLookupds is told where the list of nsqlookupds was emptied at run time.
var errNoLookupds = errors.New("the list of nsqlookupds is empty (nsqlookupd_http_addresses)")

// ask asks daemons of a kind. It returns the answers, and what went wrong with
// the others; an *upstreamError where there is no answer at all.
func ask[T any](kind string, addresses []string, f func(address string) (T, error)) ([]cluster.Answer[T], []error, error) {
	var errs []error
	answers := slices.DeleteFunc(cluster.Ask(addresses, f), func(a cluster.Answer[T]) bool {
		if a.Err != nil {
			errs = append(errs, &daemonError{a.Address, a.Err})
		}
		return a.Err != nil
	})
	if len(answers) == 0 && len(addresses) > 0 {
		return nil, nil, &upstreamError{kind, errs}
	}
	return answers, errs, nil
}

// askLookupds asks the nsqlookupds, of which there must be one.
func askLookupds[T any](s *sources, f func(address string) (T, error)) ([]cluster.Answer[T], []error, error) {
	addresses := s.lookupds()
	if len(addresses) == 0 {
		return nil, nil, &upstreamError{lookupdKind, []error{errNoLookupds}}
	}
	return ask(lookupdKind, addresses, f)
}

// listed turns what nsqlookupds list into targets.
func listed(answers []cluster.Answer[[]cluster.Producer]) []target {
	var targets []target
	for _, n := range cluster.MergeNodes(answers) {
		targets = append(targets, target{n, n.HTTPAddress()})
	}
	return targets
}

// all returns every nsqd, with its topics as nsqlookupds know them.
func (s *sources) all(ctx context.Context) ([]target, []error, error) {
	if !s.fromLookupds() {
		given, errs, err := s.given(ctx, cluster.StatsQuery{})
		return targetsOf(given), errs, err
	}
	answers, errs, err := askLookupds(s, func(address string) ([]cluster.Producer, error) {
		return s.client.Nodes(ctx, address)
	})
	return listed(answers), errs, err
}

// producing returns the nsqds that have a topic, and the channels of it that
// nsqlookupds know.
func (s *sources) producing(ctx context.Context, topic string) (targets []target, channels []string, errs []error, err error) {
	if !s.fromLookupds() {
		given, errs, err := s.given(ctx, cluster.StatsQuery{Topic: topic})
		given = slices.DeleteFunc(given, func(g selfTold) bool { return !hasTopic(g.stats, topic) })
		return targetsOf(given), nil, errs, err
	}
	answers, errs, err := askLookupds(s, func(address string) (cluster.Lookup, error) {
		return s.client.Lookup(ctx, address, topic)
	})
	producers := make([]cluster.Answer[[]cluster.Producer], len(answers))
	for i, a := range answers {
		producers[i] = cluster.Answer[[]cluster.Producer]{Address: a.Address, Value: a.Value.Producers}
		channels = append(channels, a.Value.Channels...)
	}
	slices.Sort(channels)
	return listed(producers), slices.Compact(channels), errs, err
}

func hasTopic(s *stats.Stats, topic string) bool {
	return slices.ContainsFunc(s.Topics, func(t stats.Topic) bool { return t.Name == topic })
}

// stats asks the nsqds that have a topic, or all of them without one, for their
// statistics.
func (s *sources) stats(ctx context.Context, targets []target, q cluster.StatsQuery) ([]cluster.NodeStats, []error, error) {
	addresses := make([]string, len(targets))
	at := make(map[string]target, len(targets))
	for i, t := range targets {
		addresses[i] = t.address
		at[t.address] = t
	}
	answers, errs, err := ask(nsqdKind, addresses, func(address string) (cluster.NodeStats, error) {
		answer, err := s.client.Stats(ctx, address, q)
		return at[address].nodeStats(answer), err
	})
	nodes := make([]cluster.NodeStats, len(answers))
	for i, a := range answers {
		nodes[i] = a.Value
	}
	return nodes, errs, err
}

// A selfTold is an nsqd that was asked who it is and what it has.
type selfTold struct {
	target
	stats *stats.Stats
}

func targetsOf(list []selfTold) []target {
	targets := make([]target, len(list))
	for i, g := range list {
		targets[i] = g.target
	}
	return targets
}

// given asks the nsqds that were given by their addresses.
func (s *sources) given(ctx context.Context, q cluster.StatsQuery) ([]selfTold, []error, error) {
	type answer struct {
		info  stats.Info
		stats *stats.Stats
	}
	answers, errs, err := ask(nsqdKind, s.nsqds, func(address string) (a answer, err error) {
		var infoErr error
		var asking sync.WaitGroup
		asking.Go(func() { a.info, infoErr = s.client.Info(ctx, address) })
		a.stats, err = s.client.Stats(ctx, address, q)
		asking.Wait()
		if err == nil {
			err = infoErr
		}
		return a, err
	})
	nodes := make([]cluster.Node, len(answers))
	for i, a := range answers {
		nodes[i] = cluster.SelfTold(a.Address, a.Value.info, a.Value.stats)
	}
	cluster.MarkOutOfDate(nodes)
	told := make([]selfTold, len(answers))
	for i, a := range answers {
		told[i] = selfTold{target{nodes[i], a.Address}, a.Value.stats}
	}
	slices.SortStableFunc(told, func(a, b selfTold) int { return cluster.CompareNodes(a.Node, b.Node) })
	return told, errs, err
}
