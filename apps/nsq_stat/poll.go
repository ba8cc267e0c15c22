package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
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
		t, ok := a.topic(p.o.topic)
		known = known || ok
		if c, ok := t.channel(p.o.channel); ok {
			s.nsqds++
			s.add(c.channelStats)
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

// answers asks the given nsqds, or those that the nsqlookupds list.
func (p *poller) answers(ctx context.Context) ([]stats, error) {
	if len(*p.o.lookupds) == 0 {
		answers, err := ask(*p.o.nsqds, func(addr string) (stats, error) { return p.stats(ctx, addr) })
		if err != nil {
			return nil, fmt.Errorf("ERROR: failed to get topic producers - %w", err)
		}
		return answers, nil
	}
	listed, err := ask(*p.o.lookupds, func(addr string) ([]string, error) { return p.lookup(ctx, addr) })
	if err != nil {
		return nil, fmt.Errorf("ERROR: failed to get topic producers - %w", err)
	}
	nsqds := slices.Concat(listed...)
	slices.Sort(nsqds)
	answers, err := ask(slices.Compact(nsqds), func(addr string) (stats, error) { return p.stats(ctx, addr) })
	if err != nil {
		return nil, fmt.Errorf("ERROR: failed to get nsqd stats - %w", err)
	}
	return answers, nil
}

// ask calls f for all addresses at the same time and returns what it returns, in
// their order, or an error that names those it failed for.
func ask[T any](addresses []string, f func(addr string) (T, error)) ([]T, error) {
	answers := make([]T, len(addresses))
	errs := make([]error, len(addresses))
	var all sync.WaitGroup
	for i, addr := range addresses {
		all.Go(func() {
			if answers[i], errs[i] = f(addr); errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", addr, errs[i])
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return answers, nil
}

// lookup returns the HTTP addresses of the nsqds that have the topic according to
// an nsqlookupd.
func (p *poller) lookup(ctx context.Context, addr string) ([]string, error) {
	var answer struct {
		Producers []struct {
			BroadcastAddress string `json:"broadcast_address"`
			HTTPPort         int    `json:"http_port"`
		} `json:"producers"`
	}
	err := p.client.Get(ctx, addr, "/lookup", url.Values{"topic": {p.o.topic}}, &answer)
	if e, ok := errors.AsType[*cluster.StatusError](err); ok && e.Status == http.StatusNotFound && e.Message == "TOPIC_NOT_FOUND" {
		return nil, nil // others may know it
	}
	var nsqds []string
	for _, n := range answer.Producers {
		nsqds = append(nsqds, net.JoinHostPort(n.BroadcastAddress, strconv.Itoa(n.HTTPPort)))
	}
	return nsqds, err
}

// stats asks an nsqd, for all channels of the topic: it would not say whether it
// is the topic or the channel that it does not have.
func (p *poller) stats(ctx context.Context, addr string) (s stats, err error) {
	err = p.client.Get(ctx, addr, "/stats", url.Values{
		"format":          {"json"},
		"topic":           {p.o.topic},
		"include_clients": {"false"},
		"include_mem":     {"false"},
	}, &s)
	return s, err
}

// stats is the part we want of what an nsqd says.
type stats struct {
	Topics []topicStats `json:"topics"` // others may be among them: old nsqds do not select
}

type topicStats struct {
	Name     string         `json:"topic_name"`
	Channels []namedChannel `json:"channels"`
}

type namedChannel struct {
	Name string `json:"channel_name"`
	channelStats
}

func (s stats) topic(name string) (t topicStats, ok bool) {
	i := slices.IndexFunc(s.Topics, func(t topicStats) bool { return t.Name == name })
	if i < 0 {
		return t, false
	}
	return s.Topics[i], true
}

func (t topicStats) channel(name string) (c namedChannel, ok bool) {
	i := slices.IndexFunc(t.Channels, func(c namedChannel) bool { return c.Name == name })
	if i < 0 {
		return c, false
	}
	return t.Channels[i], true
}
