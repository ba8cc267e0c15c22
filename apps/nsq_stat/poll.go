package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/stats"
)

// poller asks daemons about a channel. All are asked at the same time, and one
// that fails makes the poll fail: a sum with a part missing would say that
// messages have gone.
type poller struct {
	o      *options
	client *cluster.Client
}

func newPoller(o *options) *poller { return &poller{o, o.timeouts.Cluster()} }

// poll sums up what the nsqds of the topic say of the channel.
func (p *poller) poll(ctx context.Context) (sample, error) {
	s := sample{at: time.Now()}
	answers, err := p.answers(ctx)
	if err != nil {
		return s, err
	}
	known := false // the topic, to any of them
	for _, a := range answers {
		t := slices.IndexFunc(a.Topics, func(t stats.Topic) bool { return t.Name == p.o.topic })
		if t < 0 {
			continue
		}
		known = true
		channels := a.Topics[t].Channels
		if c := slices.IndexFunc(channels, func(c stats.Channel) bool { return c.Name == p.o.channel }); c >= 0 {
			s.nsqds++
			s.add(&channels[c])
		}
	}
	switch {
	case len(answers) == 0, !known && len(*p.o.nsqds) > 0:
		return s, fmt.Errorf("ERROR: failed to get nsqd stats - failed to query any nsqd: none has topic %s", p.o.topic)
	case s.nsqds == 0:
		return s, fmt.Errorf("ERROR: failed to find channel(%s) in stats metadata for topic(%s)", p.o.channel, p.o.topic)
	}
	return s, nil
}

// answers asks the given nsqds, or those that the nsqlookupds list. They are asked
// for all channels of the topic: an nsqd would not say whether it is the topic or
// the channel that it does not have.
func (p *poller) answers(ctx context.Context) ([]*stats.Stats, error) {
	ask := func(addr string) (*stats.Stats, error) {
		return p.client.Stats(ctx, addr, cluster.StatsQuery{Topic: p.o.topic})
	}
	if len(*p.o.lookupds) == 0 {
		answers, err := all(cluster.Ask(*p.o.nsqds, ask))
		if err != nil {
			return nil, fmt.Errorf("ERROR: failed to get topic producers - %w", err)
		}
		return answers, nil
	}
	listed, err := all(cluster.Ask(*p.o.lookupds, func(addr string) ([]string, error) { return p.lookup(ctx, addr) }))
	if err != nil {
		return nil, fmt.Errorf("ERROR: failed to get topic producers - %w", err)
	}
	nsqds := slices.Concat(listed...)
	slices.Sort(nsqds)
	answers, err := all(cluster.Ask(slices.Compact(nsqds), ask))
	if err != nil {
		return nil, fmt.Errorf("ERROR: failed to get nsqd stats - %w", err)
	}
	return answers, nil
}

// all returns what the daemons answered, or an error that names those that did
// not.
func all[T any](answers []cluster.Answer[T]) ([]T, error) {
	values := make([]T, len(answers))
	var failed []string
	for i, a := range answers {
		values[i] = a.Value
		if a.Err != nil {
			failed = append(failed, a.Address+": "+a.Err.Error())
		}
	}
	if failed != nil {
		return nil, errors.New(strings.Join(failed, "; "))
	}
	return values, nil
}

// lookup returns the HTTP addresses of the nsqds that have the topic according to
// an nsqlookupd.
func (p *poller) lookup(ctx context.Context, addr string) ([]string, error) {
	answer, err := p.client.Lookup(ctx, addr, p.o.topic)
	if cluster.TopicNotFound(err) {
		return nil, nil // others may know it
	}
	var nsqds []string
	for _, n := range answer.Producers {
		nsqds = append(nsqds, n.HTTPAddress())
	}
	return nsqds, err
}
