package nsqadmin

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
)

// find returns the addresses of the nsqds that an action concerns: those that
// nsqlookupds name for the topic, and those that have it all the same. It reports
// whether there is any, or somebody could say that there is none.
func (r *run) find() ([]string, bool) {
	others := r.others()
	targets, _, errs, err := r.producing(r.ctx, r.Action.Topic)
	nsqds := addressesOf(targets)
	nsqds = append(nsqds, others(nsqds)...)
	if failed, ok := errors.AsType[*upstreamError](err); ok {
		errs = failed.Errs
		if r.unlisted = len(nsqds) > 0 && slices.ContainsFunc(errs, cluster.TopicNotFound); r.unlisted {
			err = nil
			errs = slices.DeleteFunc(errs, cluster.TopicNotFound)
		}
		r.Err = err
	}
	r.unanswered(r.askedFirst(), "GET "+r.question(), errs)
	slices.Sort(nsqds)
	return slices.Compact(nsqds), err == nil
}

// question is how the nsqds of a topic are found.
func (r *run) question() string {
	path := "/stats"
	if r.fromLookupds() {
		path = "/lookup"
	}
	return path + "?" + url.Values{"topic": {r.Action.Topic}}.Encode()
}

func addressesOf(targets []target) []string {
	addresses := make([]string, len(targets))
	for i, t := range targets {
		addresses[i] = t.address
	}
	return addresses
}

// othersTimeout is for nsqds of which nobody says that they are concerned.
const othersTimeout = time.Second

// others begins to look for nsqds that have the topic though nsqlookupds do not
// name them for it: it has a tombstone there, or a deletion reached nsqlookupds
// but not the nsqd, which shows on pages as what it is. The function returned
// waits for those that are not in named.
func (r *run) others() func(named []string) []string {
	if !r.fromLookupds() {
		return func([]string) []string { return nil }
	}
	all := make(chan []target, 1)
	go func() {
		targets, _, _ := r.all(r.ctx) // who does not answer shows when asked for those that are named
		all <- targets
	}()
	return func(named []string) []string {
		hidden := make(map[string]bool) // by address
		var addresses []string
		for _, t := range <-all {
			if !slices.Contains(named, t.address) {
				hidden[t.address] = slices.Contains(t.Topics, cluster.NodeTopic{Topic: r.Action.Topic, Tombstoned: true})
				addresses = append(addresses, t.address)
			}
		}
		return r.having(addresses, hidden)
	}
}

// having returns the nsqds that say that they have the topic. What is deleted is
// deleted, too, on those that have it hidden and do not answer.
func (r *run) having(nsqds []string, hidden map[string]bool) []string {
	ctx, cancel := context.WithTimeout(r.ctx, othersTimeout)
	defer cancel()
	deleting := r.Action.Name == deleteTopic || r.Action.Name == deleteChannel
	var found []string
	for _, a := range cluster.Ask(nsqds, func(address string) (bool, error) {
		s, err := r.client.Stats(ctx, address, cluster.StatsQuery{Topic: r.Action.Topic})
		return err == nil && hasTopic(s, r.Action.Topic), err
	}) {
		if a.Value || a.Err != nil && deleting && hidden[a.Address] {
			found = append(found, a.Address)
		}
	}
	return found
}
