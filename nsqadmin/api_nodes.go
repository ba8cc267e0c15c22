package nsqadmin

import (
	"context"
	"net/http"
	"slices"

	"github.com/seed893f581e/nsq/internal/cluster"
)

// apiNodes lists the nsqds.
func (s *httpServer) apiNodes(r *http.Request) (any, error) {
	targets, errs, err := s.n.sources.all(r.Context())
	nodes := make([]cluster.Node, len(targets))
	for i, t := range targets {
		nodes[i] = t.Node
	}
	return struct {
		Nodes   []cluster.Node `json:"nodes"`
		Message string         `json:"message"`
	}{nodes, warning(errs)}, err
}

// apiNode shows everything that one nsqd has.
func (s *httpServer) apiNode(r *http.Request) (any, error) {
	node := pathVariable(r, "node")
	n, errs, err := s.n.sources.node(r.Context(), node)
	if err != nil {
		return nil, err
	}
	answer := struct {
		Node     string               `json:"node"`
		Topics   []cluster.TopicStats `json:"topics"`
		Messages uint64               `json:"total_messages"`
		Clients  int64                `json:"total_clients"`
		Message  string               `json:"message"`
	}{Node: n.Address, Topics: cluster.NodeTopics(n), Message: warning(errs)}
	for _, t := range answer.Topics {
		answer.Messages += t.Messages
		for _, c := range t.Channels {
			answer.Clients += c.ClientCount
		}
	}
	return answer, nil
}

// node asks the nsqd with that name for all it has.
func (s *sources) node(ctx context.Context, name string) (cluster.NodeStats, []error, error) {
	targets, errs, err := s.all(ctx)
	if err != nil {
		return cluster.NodeStats{}, nil, err
	}
	i := slices.IndexFunc(targets, func(t target) bool { return t.is(name) })
	if i < 0 {
		return cluster.NodeStats{}, nil, errNodeNotFound
	}
	nodes, _, err := s.stats(ctx, targets[i:i+1], cluster.StatsQuery{Clients: true})
	if err != nil {
		return cluster.NodeStats{}, nil, err
	}
	return nodes[0], errs, nil
}

// A channelCount is how many messages a channel got on one node.
type channelCount struct {
	Node     string `json:"node"`
	Topic    string `json:"topic_name"`
	Channel  string `json:"channel_name"`
	Messages uint64 `json:"message_count"`
}

// apiCounter counts the messages of all channels.
func (s *httpServer) apiCounter(r *http.Request) (any, error) {
	nodes, errs, err := s.n.sources.everything(r.Context())
	counts := make(map[string]channelCount)
	for _, n := range nodes {
		for _, t := range n.Stats.Topics {
			for _, c := range t.Channels {
				counts[t.Name+":"+c.Name+":"+n.Address] = channelCount{n.Address, t.Name, c.Name, c.Messages}
			}
		}
	}
	return struct {
		Stats   map[string]channelCount `json:"stats"`
		Message string                  `json:"message"`
	}{counts, warning(errs...)}, err
}

// everything asks all nsqds for all they have, but not for who is connected.
func (s *sources) everything(ctx context.Context) ([]cluster.NodeStats, [][]error, error) {
	if !s.fromLookupds() {
		given, errs, err := s.given(ctx, cluster.StatsQuery{})
		nodes := make([]cluster.NodeStats, len(given))
		for i, g := range given {
			nodes[i] = g.nodeStats(g.stats)
		}
		return nodes, [][]error{errs}, err
	}
	targets, lookupErrs, err := s.all(ctx)
	if err != nil {
		return nil, nil, err
	}
	nodes, errs, err := s.stats(ctx, targets, cluster.StatsQuery{})
	return nodes, [][]error{lookupErrs, errs}, err
}
