package watch

import (
	"math"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/history"
	"github.com/seed893f581e/nsq/internal/stats"
)

// channelStats is a channel of an nsqd: what it received, what consumers
// finished, less than 0 where the nsqd does not tell, and what it still has.
func channelStats(name string, messages uint64, finished int64, depth int64, inflight, deferred int) stats.Channel {
	c := stats.Channel{Name: name, Messages: messages, Depth: depth, InFlight: inflight, Deferred: deferred, ClientCount: 1}
	if finished >= 0 {
		n := uint64(finished)
		c.Finished = &n
	}
	return c
}

func TestRatesOfAChannel(t *testing.T) {
	nan := math.NaN()
	idle := func(c stats.Channel) stats.Channel { c.ClientCount = 0; return c }
	requeued := func(c stats.Channel, requeues, timeouts uint64) stats.Channel {
		c.Requeues, c.Timeouts = requeues, timeouts
		return c
	}
	for name, c := range map[string]struct {
		before, now stats.Channel
		known       float64 // finished before
		want        rates
	}{
		"counters of 2 seconds":    {channelStats("c", 100, 50, 50, 0, 0), channelStats("c", 120, 90, 30, 0, 0), nan, rates{10, 20, 0}},
		"nothing":                  {channelStats("c", 100, 50, 50, 0, 0), channelStats("c", 100, 50, 50, 0, 0), nan, rates{0, 0, 0}},
		"emptied, and it tells":    {channelStats("c", 1e6, 50, 1e6-50, 0, 0), channelStats("c", 1e6, 50, 0, 0, 0), nan, rates{0, 0, 0}},
		"requeued and timed out":   {requeued(channelStats("c", 9, 0, 9, 0, 0), 1, 2), requeued(channelStats("c", 9, 0, 9, 0, 0), 7, 4), nan, rates{0, 0, 4}},
		"created again":            {channelStats("c", 100, 50, 50, 0, 0), channelStats("c", 10, 60, 0, 0, 0), nan, unknownRates},
		"finishes went back":       {channelStats("c", 100, 50, 50, 0, 0), channelStats("c", 100, 40, 0, 0, 0), nan, rates{0, nan, 0}},
		"derived":                  {channelStats("c", 100, -1, 50, 10, 5), channelStats("c", 120, -1, 30, 14, 1), nan, rates{10, 20, 0}},
		"derived, a stray reading": {channelStats("c", 100, -1, 50, 0, 0), channelStats("c", 100, -1, 50, 3, 0), nan, rates{0, 0, 0}},
		"derived, a backlog gone":  {channelStats("c", 500, -1, 400, 0, 0), channelStats("c", 500, -1, 0, 0, 0), 0, rates{0, 200, 0}},
		"derived, emptied":         {channelStats("c", 1e6, -1, 1e6, 0, 0), channelStats("c", 1e6, -1, 0, 0, 0), 20, rates{0, nan, 0}},
		"derived, emptied and more came since": {
			channelStats("c", 1e6, -1, 1e6, 9, 9), channelStats("c", 1e6+10, -1, 4, 1, 0), nan, rates{5, nan, 0}},
		"derived, as fast as before":   {channelStats("c", 1e6, -1, 1e5, 0, 0), channelStats("c", 1e6, -1, 0, 0, 0), 4e4, rates{0, 5e4, 0}},
		"derived, emptied by nobody":   {idle(channelStats("c", 50, -1, 50, 0, 0)), idle(channelStats("c", 50, -1, 0, 0, 0)), nan, rates{0, 0, 0}},
		"a new channel that tells":     {stats.Channel{}, channelStats("c", 10, 4, 6, 0, 0), nan, rates{5, 2, 0}},
		"a new channel, and it is old": {stats.Channel{}, channelStats("c", 10, -1, 6, 0, 0), nan, rates{5, 2, 0}},
	} {
		got := ratesBetween(&c.before, &c.now, c.known, 2*time.Second)
		if !sameRates(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func sameRates(a, b rates) bool {
	same := func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
	return same(a.Publish, b.Publish) && same(a.Finish, b.Finish) && same(a.Requeue, b.Requeue)
}

// nodeStats is an answer of a process that started at start.
func nodeStats(start int64, topics ...stats.Topic) *stats.Stats {
	return &stats.Stats{Health: "OK", StartTime: start, Topics: topics}
}

func topicStats(name string, messages uint64, channels ...stats.Channel) stats.Topic {
	return stats.Topic{Name: name, Messages: messages, Channels: channels}
}

// Rates are of one process, and not of moments that are too close.
func TestRatesOfANode(t *testing.T) {
	var (
		c     counted
		at    = time.Now()
		topic = history.Key{Topic: "t"}
		ch    = history.Key{Topic: "t", Channel: "c"}
	)
	answer := func(after time.Duration, s *stats.Stats, wantTopic, wantChannel float64) {
		t.Helper()
		at = at.Add(after)
		r, isNew := c.next(s, at)
		if isNew {
			c = counted{s, r, at}
		}
		if got := r.of(s, topic); !sameRates(rates{Publish: got.Publish}, rates{Publish: wantTopic}) {
			t.Errorf("published to the topic: %v, want %v", got.Publish, wantTopic)
		}
		if got := r.of(s, ch); !sameRates(rates{Publish: got.Publish}, rates{Publish: wantChannel}) {
			t.Errorf("into the channel: %v, want %v", got.Publish, wantChannel)
		}
	}
	nan := math.NaN()
	at1 := func(messages uint64) *stats.Stats {
		return nodeStats(1, topicStats("a", 1), topicStats("t", messages, channelStats("c", messages, 0, 0, 0, 0)))
	}
	answer(0, at1(100), nan, nan)
	answer(2*time.Second, at1(120), 10, 10)
	answer(50*time.Millisecond, at1(150), 10, 10)   // too soon: as before
	answer(1950*time.Millisecond, at1(160), 20, 20) // of all since the last that counts
	answer(time.Minute, nodeStats(2, topicStats("t", 500, channelStats("c", 500, 0, 0, 0, 0))), nan, nan)
	answer(2*time.Second, nodeStats(2, topicStats("t", 510, channelStats("c", 510, 0, 0, 0, 0))), 5, 5)
	answer(2*time.Second, nodeStats(2), nan, nan)
	answer(2*time.Second, nodeStats(2, topicStats("t", 8, channelStats("c", 6, 0, 0, 0, 0))), 4, 3) // new
	answer(2*time.Second, nodeStats(2, topicStats("t", 2, channelStats("c", 8, 0, 0, 0, 0))), nan, 1)
	if got := c.rates.of(c.stats, history.Key{Topic: "t", Channel: "no"}); !sameRates(got, unknownRates) {
		t.Errorf("rates of an unknown channel: %+v", got)
	}
}

func BenchmarkRates(b *testing.B) {
	s := &stats.Stats{}
	for range 100 {
		topic := topicStats("topic-"+string(rune('a'+len(s.Topics))), 5)
		for range 20 {
			topic.Channels = append(topic.Channels, channelStats("channel-"+string(rune('a'+len(topic.Channels))), 5, 5, 5, 5, 5))
		}
		s.Topics = append(s.Topics, topic)
	}
	at := time.Now()
	c := counted{s, nil, at}
	b.ReportAllocs()
	for b.Loop() {
		c.next(s, at.Add(2*time.Second))
	}
}
