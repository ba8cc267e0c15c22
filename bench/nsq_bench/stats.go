package main

import (
	"context"
	"fmt"

	"github.com/seed893f581e/nsq/internal/process"
)

// topicStats is what nsqd tells of a topic.
type topicStats struct {
	Depth      int64  `json:"depth"`
	Durability string `json:"durability"` // missing where nsqd has no durable topics
	Channels   []struct {
		Name     string `json:"channel_name"`
		Depth    int64  `json:"depth"`
		InFlight int64  `json:"in_flight_count"`
		Deferred int64  `json:"deferred_count"`
		Clients  int    `json:"client_count"`
	} `json:"channels"`
}

// stats asks nsqd for a topic.
func (r *round) stats(ctx context.Context, topic string) (t topicStats, err error) {
	var answer struct {
		Topics []topicStats `json:"topics"`
	}
	err = r.server.Request(ctx, "GET", "/stats?format=json&include_clients=false&include_mem=false&topic="+topic, "", &answer)
	if err == nil && len(answer.Topics) != 1 {
		err = fmt.Errorf("nsqd knows %d topics of the name %s", len(answer.Topics), topic)
	}
	if err != nil {
		return t, err
	}
	return answer.Topics[0], nil
}

// holds waits until nsqd holds exactly so many messages, the topic itself some and
// every channel others.
func (r *round) holds(ctx context.Context, topic string, inTopic, inChannel int64) error {
	return r.holdsEach(ctx, topic, inTopic, func(string) int64 { return inChannel })
}

// holdsEach is holds where channels hold different numbers of messages.
func (r *round) holdsEach(ctx context.Context, topic string, inTopic int64, inChannel func(name string) int64) error {
	return eventually(ctx, func() (bool, error) {
		t, err := r.stats(ctx, topic)
		if err != nil {
			return false, err
		}
		ok := t.Depth == inTopic
		for _, c := range t.Channels {
			ok = ok && c.Depth+c.InFlight+c.Deferred == inChannel(c.Name)
		}
		return ok, fmt.Errorf("nsqd should hold %d messages in the topic and %d in channel %s, and says %+v", inTopic, inChannel(channel), channel, t)
	})
}

// createChannel creates a topic and a channel of it.
func (r *round) createChannel(ctx context.Context, topic, channel string) error {
	if err := r.server.Request(ctx, "POST", "/topic/create?topic="+topic, "", nil); err != nil {
		return err
	}
	return r.server.Request(ctx, "POST", "/channel/create?topic="+topic+"&channel="+channel, "", nil)
}

// restingMemory returns the memory of nsqd without what it need not keep.
func (r *round) restingMemory(ctx context.Context) (int64, error) {
	if err := r.server.Request(ctx, "POST", "/debug/freememory", "", nil); err != nil {
		return 0, err
	}
	return process.ResidentMemory(r.server.Cmd.Process.Pid)
}
