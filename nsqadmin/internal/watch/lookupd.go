package watch

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
)

// A lookupdAnswer is what an nsqlookupd said.
type lookupdAnswer struct {
	version   string
	producers []cluster.Producer
	topics    map[string][]string // channels by topic
}

// How many topics an nsqlookupd is asked for the channels of in one go unless
// somebody waits, for how long at most, and how old what it said of them may be
// before it is asked again.
const (
	channelsAtOnce = 20
	channelsTime   = time.Second
	channelsFresh  = 20 * time.Second
)

// A lookupdAsker asks an nsqlookupd. Only one goroutine may use it.
//
// Nodes and topics are two questions; the channels of each topic are one more. So
// these are asked for a few topics at a time, those first that were not asked for
// the longest time: of topics with producers, nsqds tell the channels themselves.
type lookupdAsker struct {
	client   *cluster.Client
	address  string
	version  string                 // "" until it is known, and after an error
	channels map[string]channelList // by topic; nil before the first answer
}

type channelList struct {
	names []string // by name
	asked time.Time
}

func newLookupdAsker(client *cluster.Client, address string) *lookupdAsker {
	return &lookupdAsker{client: client, address: address}
}

func (a *lookupdAsker) ask(ctx context.Context, thorough bool) result {
	answer, err := a.tryAsk(ctx, thorough)
	if err != nil {
		a.version = "" // it may come back as another
		return result{err: err}
	}
	return result{lookupd: answer}
}

func (a *lookupdAsker) tryAsk(ctx context.Context, thorough bool) (*lookupdAnswer, error) {
	producers, err := a.client.Nodes(ctx, a.address)
	if err != nil {
		return nil, err
	}
	topics, err := a.client.Topics(ctx, a.address)
	if err != nil {
		return nil, err
	}
	if a.version == "" {
		info, err := a.client.Info(ctx, a.address)
		if err != nil {
			return nil, err
		}
		a.version = info.Version
	}
	if err := a.askChannels(ctx, topics, producers, thorough); err != nil {
		return nil, err
	}
	answer := &lookupdAnswer{version: a.version, producers: producers, topics: make(map[string][]string, len(topics))}
	for _, t := range topics {
		answer.topics[t] = a.channels[t].names
	}
	return answer, nil
}

// askChannels asks for the channels of those topics that are due; none the first
// time, when nsqds are to be known soon. If somebody waits, those are due that no
// nsqd can tell of, and some of the others however fresh they are: a channel that
// no nsqd has may just have been deleted.
func (a *lookupdAsker) askChannels(ctx context.Context, topics []string, producers []cluster.Producer, thorough bool) error {
	first := a.channels == nil
	known := a.channels
	a.channels = make(map[string]channelList, len(topics)) // without those that are gone
	for _, t := range topics {
		a.channels[t] = known[t]
	}
	if first {
		return nil
	}
	began := time.Now()
	for _, t := range a.due(began, topics, producers, thorough) {
		if time.Since(began) >= channelsTime {
			break
		}
		names, err := a.client.Channels(ctx, a.address, t)
		if err != nil {
			return err
		}
		slices.Sort(names)
		a.channels[t] = channelList{names, began}
	}
	return nil
}

// due returns the topics to ask for, in order.
func (a *lookupdAsker) due(now time.Time, topics []string, producers []cluster.Producer, thorough bool) []string {
	active := make(map[string]bool)
	for i := range producers {
		for _, t := range producers[i].Topics {
			active[t] = true
		}
	}
	var wanted, due []string
	for _, t := range topics {
		switch {
		case thorough && !active[t]:
			wanted = append(wanted, t)
		case thorough || now.Sub(a.channels[t].asked) >= channelsFresh:
			due = append(due, t)
		}
	}
	slices.SortFunc(due, func(t, u string) int {
		return cmp.Or(a.channels[t].asked.Compare(a.channels[u].asked), strings.Compare(t, u))
	})
	return append(wanted, due[:min(len(due), channelsAtOnce)]...)
}
