package watch

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/stats"
)

// A nodeAnswer is what an nsqd said, and what follows from what it said before.
type nodeAnswer struct {
	stats *stats.Stats
	rates nodeRates
	info  stats.Info // only where it is asked without an nsqlookupd
}

// A nodeAsker asks an nsqd. Only one goroutine may use it.
type nodeAsker struct {
	client   *cluster.Client
	address  string
	itself   bool // it is asked who it is, as there is no nsqlookupd to say
	before   counted
	info     stats.Info
	infoFrom int64 // start time of the process that info is of
}

func newNodeAsker(client *cluster.Client, address string, itself bool) *nodeAsker {
	return &nodeAsker{client: client, address: address, itself: itself, infoFrom: -1}
}

// ask asks for what the views show: neither clients nor memory, which are much of
// the work and of little use here.
func (a *nodeAsker) ask(ctx context.Context, _ bool) result {
	s, err := a.client.Stats(ctx, a.address, cluster.StatsQuery{})
	if err != nil {
		return result{err: err}
	}
	if a.itself && a.infoFrom != s.StartTime {
		if a.info, err = a.client.Info(ctx, a.address); err != nil {
			return result{err: err}
		}
		a.infoFrom = s.StartTime
	}
	normalize(s)
	now := time.Now()
	rates, isNew := a.before.next(s, now)
	if isNew {
		a.before = counted{s, rates, now}
	}
	return result{node: &nodeAnswer{stats: s, rates: rates, info: a.info}}
}

// normalize makes answers of all versions alike: in order, with the number of
// consumers, without the clients themselves.
func normalize(s *stats.Stats) {
	byName := func(a, b stats.Topic) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(s.Topics, byName) {
		slices.SortFunc(s.Topics, byName)
	}
	s.Producers = nil
	for i := range s.Topics {
		channels := s.Topics[i].Channels
		byName := func(a, b stats.Channel) int { return strings.Compare(a.Name, b.Name) }
		if !slices.IsSortedFunc(channels, byName) {
			slices.SortFunc(channels, byName)
		}
		for j := range channels {
			c := &channels[j]
			c.ClientCount, c.Clients = max(c.ClientCount, len(c.Clients)), nil
		}
	}
}
