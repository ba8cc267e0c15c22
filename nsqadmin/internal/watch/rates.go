package watch

import (
	"math"
	"time"

	"github.com/seed893f581e/nsq/internal/history"
	"github.com/seed893f581e/nsq/internal/stats"
)

// Messages per second from the counters of two answers of one nsqd.
//
// Where nsqd tells finish_count, the finish rate is exact to the moments at which
// the two snapshots were taken. Others do not tell what was finished, and it is
// derived: what came in and is neither queued, in flight nor deferred any more.
// Messages move while a snapshot is taken, so that this can be off by as many as
// are under way at that moment, which evens out over the next answers; what an
// ephemeral channel drops, and what consumers with a sample rate leave out,
// counts as finished. Nothing is finished while there is no consumer. Where all
// that a channel had is gone and far more than it used to finish, it was probably
// emptied: then its rate is not known.

// rates are messages per second, NaN for unknown.
type rates struct {
	Publish float64 // into a channel: received from its topic
	Finish  float64
	Requeue float64 // came back: by REQ or by time-out
}

var unknownRates = rates{math.NaN(), math.NaN(), math.NaN()}

// plus adds rates. What is unknown of one of them is left out.
func (r rates) plus(o rates) rates {
	return rates{addRate(r.Publish, o.Publish), addRate(r.Finish, o.Finish), addRate(r.Requeue, o.Requeue)}
}

// nodeRates are those of an answer, parallel to its topics; nil while nothing is
// known.
type nodeRates []topicRates

type topicRates struct {
	publish  float64
	channels []rates // parallel to the channels
}

// of returns those of a topic or a channel of the answer that r belongs to. Those
// of a topic are of its channels together, but what is published.
func (r nodeRates) of(s *stats.Stats, k history.Key) rates {
	i, ok := findTopic(s.Topics, k.Topic)
	if !ok || r == nil {
		return unknownRates
	}
	if k.Channel != "" {
		if j, ok := findChannel(s.Topics[i].Channels, k.Channel); ok {
			return r[i].channels[j]
		}
		return unknownRates
	}
	sum := unknownRates
	for _, c := range r[i].channels {
		sum = sum.plus(c)
	}
	sum.Publish = r[i].publish
	return sum
}

// channel returns those of channel j of topic i.
func (r nodeRates) channel(i, j int) rates {
	if r == nil || i < 0 {
		return unknownRates
	}
	return r[i].channels[j]
}

// topic returns how much is published to topic i.
func (r nodeRates) topic(i int) float64 {
	if r == nil {
		return math.NaN()
	}
	return r[i].publish
}

// A counted is an answer with the rates that belong to it.
type counted struct {
	stats *stats.Stats
	rates nodeRates
	at    time.Time
}

// leastSpan is the time between answers from which rates are taken. Answers that
// follow faster, after an action, have those of the answer before.
const leastSpan = time.Second

// next returns the rates of the next answer, of the same node. It reports whether
// they are new: then the answer takes the place of c.
func (c *counted) next(s *stats.Stats, at time.Time) (r nodeRates, isNew bool) {
	if c.stats == nil || c.stats.StartTime != s.StartTime {
		return nil, true // another process has other counters
	}
	elapsed := at.Sub(c.at)
	isNew = elapsed >= leastSpan
	if !isNew && c.rates == nil {
		return nil, false
	}
	r = make(nodeRates, len(s.Topics))
	none := new(stats.Topic)
	for i := range s.Topics {
		now, before, was := &s.Topics[i], none, -1
		if i < len(c.stats.Topics) && c.stats.Topics[i].Name == now.Name { // as nearly always
			before, was = &c.stats.Topics[i], i
		} else if at, ok := findTopic(c.stats.Topics, now.Name); ok {
			before, was = &c.stats.Topics[at], at
		}
		r[i] = topicRates{publish: math.NaN(), channels: make([]rates, len(now.Channels))}
		switch {
		case isNew:
			r[i].publish = perSecondOf(before.Messages, now.Messages, elapsed)
		case was >= 0:
			r[i].publish = c.rates.topic(was)
		}
		for j := range now.Channels {
			r[i].channels[j] = c.channelRates(before, was, &now.Channels[j], elapsed, isNew)
		}
	}
	return r, isNew
}

func (c *counted) channelRates(topic *stats.Topic, topicAt int, now *stats.Channel, elapsed time.Duration, isNew bool) rates {
	before, known := new(stats.Channel), unknownRates
	if at, ok := findChannel(topic.Channels, now.Name); ok {
		before, known = &topic.Channels[at], c.rates.channel(topicAt, at)
	}
	if !isNew {
		return known
	}
	return ratesBetween(before, now, known.Finish, elapsed)
}

// perSecondOf returns the rate of a counter, unknown if it went back.
func perSecondOf(before, now uint64, elapsed time.Duration) float64 {
	if now < before {
		return math.NaN()
	}
	return float64(now-before) / elapsed.Seconds()
}

// ratesBetween returns the rates of a channel that finished as many as known
// before. It is not the same channel any more if a counter went back.
func ratesBetween(before, now *stats.Channel, known float64, elapsed time.Duration) rates {
	if now.Messages < before.Messages || now.Requeues < before.Requeues || now.Timeouts < before.Timeouts {
		return unknownRates
	}
	r := rates{
		Publish: perSecondOf(before.Messages, now.Messages, elapsed),
		Requeue: perSecondOf(before.Requeues+before.Timeouts, now.Requeues+now.Timeouts, elapsed),
	}
	switch {
	case now.Finished == nil:
		r.Finish = derivedFinish(before, now, known, elapsed)
	case before.Finished == nil: // the channel is new
		r.Finish = perSecondOf(0, *now.Finished, elapsed)
	default:
		r.Finish = perSecondOf(*before.Finished, *now.Finished, elapsed)
	}
	return r
}

// What is gone from an emptied channel at least, in times of what it finished
// before, and beyond that.
const (
	emptiedTimes = 10
	emptiedMore  = 1000
)

// derivedFinish returns the finish rate of a channel that does not tell it.
func derivedFinish(before, now *stats.Channel, known float64, elapsed time.Duration) float64 {
	if before.ClientCount == 0 && now.ClientCount == 0 {
		return 0
	}
	held := func(c *stats.Channel) int64 { return c.Depth + int64(c.InFlight) + int64(c.Deferred) }
	came := int64(now.Messages - before.Messages)
	gone := held(before) + came - held(now)
	usual := 0.0
	if !math.IsNaN(known) {
		usual = known * elapsed.Seconds()
	}
	if held(before) > 0 && held(now) <= came && float64(gone) > emptiedTimes*usual+emptiedMore {
		return math.NaN()
	}
	return float64(max(0, gone)) / elapsed.Seconds()
}
