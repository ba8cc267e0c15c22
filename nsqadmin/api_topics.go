package nsqadmin

import (
	"context"
	"net/http"
	"slices"
	"sync"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/httpapi"
	"github.com/seed893f581e/nsq/internal/wire"
)

// topicParam returns the topic in the path.
func topicParam(r *http.Request) (string, error) {
	topic := pathVariable(r, "topic")
	if !wire.ValidName(topic) {
		return "", badRequest("INVALID_TOPIC")
	}
	return topic, nil
}

// channelParams returns the topic and channel in the path.
func channelParams(r *http.Request) (topic, channel string, err error) {
	if topic, err = topicParam(r); err != nil {
		return "", "", err
	}
	channel = pathVariable(r, "channel")
	if !wire.ValidName(channel) {
		return "", "", badRequest("INVALID_CHANNEL")
	}
	return topic, channel, nil
}

// apiTopics lists the topics.
func (s *httpServer) apiTopics(r *http.Request) (any, error) {
	q, err := httpapi.ParseQuery(r)
	if err != nil {
		return nil, err
	}
	if q.Is("inactive", "true") {
		return s.apiInactiveTopics(r.Context())
	}
	topics, errs, err := s.n.sources.topics(r.Context())
	return struct {
		Topics  []string `json:"topics"` // null where there is none
		Message string   `json:"message"`
	}{topics, warning(errs)}, err
}

// topics returns the names of all topics, nil where there is none.
func (s *sources) topics(ctx context.Context) ([]string, []error, error) {
	var answers []cluster.Answer[[]string]
	var errs []error
	var err error
	if s.fromLookupds() {
		answers, errs, err = askLookupds(s, func(address string) ([]string, error) { return s.client.Topics(ctx, address) })
	} else {
		answers, errs, err = ask(nsqdKind, s.nsqds, func(address string) ([]string, error) { return s.topicsOf(ctx, address) })
	}
	var topics []string
	for _, a := range answers {
		topics = append(topics, a.Value...)
	}
	slices.Sort(topics)
	return slices.Compact(topics), errs, err
}

// topicsOf asks an nsqd for its topics.
func (s *sources) topicsOf(ctx context.Context, nsqd string) ([]string, error) {
	answer, err := s.client.Stats(ctx, nsqd, cluster.StatsQuery{})
	if err != nil {
		return nil, err
	}
	var topics []string
	for _, t := range answer.Topics {
		topics = append(topics, t.Name)
	}
	return topics, nil
}

// apiInactiveTopics lists the topics that no nsqd has, with their channels: what
// is left at nsqlookupds.
func (s *httpServer) apiInactiveTopics(ctx context.Context) (any, error) {
	inactive, errs, err := s.n.sources.inactive(ctx)
	return struct {
		Topics  map[string][]string `json:"topics"`
		Message string              `json:"message"`
	}{inactive, warning(errs...)}, err
}

// inactive returns the channels of each topic that no nsqd has. Without
// nsqlookupds there is no such topic.
func (s *sources) inactive(ctx context.Context) (channels map[string][]string, errs [][]error, err error) {
	channels = make(map[string][]string)
	if !s.fromLookupds() {
		return channels, nil, nil
	}
	topics, topicErrs, err := s.topics(ctx)
	if err != nil {
		return nil, nil, err
	}
	nodes, nodeErrs, err := s.all(ctx)
	if err != nil {
		return nil, nil, err
	}
	active := make(map[string]bool)
	for _, n := range nodes {
		for _, t := range n.Topics {
			active[t.Topic] = active[t.Topic] || !t.Tombstoned
		}
	}
	topics = slices.DeleteFunc(topics, func(t string) bool { return active[t] })
	channels, channelErrs, err := s.channelsOf(ctx, topics)
	return channels, [][]error{topicErrs, nodeErrs, channelErrs}, err
}

// topicsAtOnce is for how many topics nsqlookupds are asked at a time.
const topicsAtOnce = connsPerDaemon

// channelsOf asks the nsqlookupds for the channels of topics.
func (s *sources) channelsOf(ctx context.Context, topics []string) (map[string][]string, []error, error) {
	var mu sync.Mutex // channels, errs, err
	channels := make(map[string][]string, len(topics))
	var errs []error
	var err error
	next := make(chan string)
	var asking sync.WaitGroup
	for range min(topicsAtOnce, len(topics)) {
		asking.Go(func() {
			for topic := range next {
				found, failed, none := s.channelsOfTopic(ctx, topic)
				mu.Lock()
				channels[topic] = found
				errs = appendNew(errs, failed)
				if none != nil {
					err = none
				}
				mu.Unlock()
			}
		})
	}
	for _, topic := range topics {
		next <- topic
	}
	close(next)
	asking.Wait()
	return channels, errs, err
}

// appendNew appends the errors whose texts are new: a daemon that fails does so
// for one topic as for the next.
func appendNew(errs, more []error) []error {
	for _, err := range more {
		if !slices.ContainsFunc(errs, func(known error) bool { return known.Error() == err.Error() }) {
			errs = append(errs, err)
		}
	}
	return errs
}

func (s *sources) channelsOfTopic(ctx context.Context, topic string) ([]string, []error, error) {
	answers, errs, err := askLookupds(s, func(address string) ([]string, error) { return s.client.Channels(ctx, address, topic) })
	channels := []string{}
	for _, a := range answers {
		channels = append(channels, a.Value...)
	}
	slices.Sort(channels)
	return slices.Compact(channels), errs, err
}

// A knownTopic is a topic, as far as it is known.
type knownTopic struct {
	nodes    []cluster.NodeStats
	channels []string // as nsqlookupds know it
	errs     [][]error
}

// find asks for a topic. Where nsqlookupds know it, it need not be on any nsqd;
// without them there has to be one.
func (s *sources) find(ctx context.Context, q cluster.StatsQuery) (knownTopic, error) {
	if !s.fromLookupds() {
		given, errs, err := s.given(ctx, q)
		if err != nil {
			return knownTopic{}, err
		}
		var f knownTopic
		for _, g := range given {
			if hasTopic(g.stats, q.Topic) {
				f.nodes = append(f.nodes, g.nodeStats(g.stats))
			}
		}
		f.errs = [][]error{errs}
		return f, nil
	}
	targets, channels, lookupErrs, err := s.producing(ctx, q.Topic)
	if err != nil {
		return knownTopic{}, err
	}
	nodes, errs, err := s.stats(ctx, targets, q)
	return knownTopic{nodes, channels, [][]error{lookupErrs, errs}}, err
}

// apiTopic shows a topic. One that was only announced to nsqlookupds has nothing
// but channels.
func (s *httpServer) apiTopic(r *http.Request) (any, error) {
	topic, err := topicParam(r)
	if err != nil {
		return nil, err
	}
	f, err := s.n.sources.find(r.Context(), cluster.StatsQuery{Topic: topic})
	if err != nil {
		return nil, err
	}
	stats, ok := cluster.MergeTopic(topic, f.nodes)
	if !ok {
		if !s.n.sources.fromLookupds() {
			return nil, &upstreamError{nsqdKind, slices.Concat(f.errs...)}
		}
		for _, c := range f.channels {
			empty := cluster.EmptyChannel(topic, c)
			empty.Clients = nil
			stats.Channels = append(stats.Channels, empty)
		}
	}
	return struct {
		cluster.TopicStats
		message
	}{stats, message{warning(f.errs...)}}, nil
}

var errChannelNotFound = httpapi.Error{Status: http.StatusNotFound, Code: "CHANNEL_NOT_FOUND"}

// apiChannel shows a channel.
func (s *httpServer) apiChannel(r *http.Request) (any, error) {
	topic, channel, err := channelParams(r)
	if err != nil {
		return nil, err
	}
	// Asked for the channel alone, an nsqd would not say that it has the topic.
	f, err := s.n.sources.find(r.Context(), cluster.StatsQuery{Topic: topic, Clients: true})
	if err != nil {
		return nil, err
	}
	stats, ok := cluster.MergeChannel(topic, channel, f.nodes)
	switch {
	case ok, slices.Contains(f.channels, channel):
	case len(f.nodes) == 0 && !s.n.sources.fromLookupds():
		return nil, &upstreamError{nsqdKind, slices.Concat(f.errs...)}
	default:
		return nil, errChannelNotFound
	}
	return struct {
		cluster.ChannelStats
		message
	}{stats, message{warning(f.errs...)}}, nil
}
