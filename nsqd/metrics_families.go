package nsqd

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed893f581e/nsq/internal/metrics"
	"github.com/seed893f581e/nsq/internal/stats"
)

// unknown is a value that is left out.
var unknown = math.NaN()

func isUnknown(v float64) bool { return math.IsNaN(v) }

// A brokerFamily is a metric of the broker as a whole.
type brokerFamily struct {
	metrics.Family
	value func(*stats.Stats) float64 // unknown to leave it out
}

func (f brokerFamily) send(out chan<- prometheus.Metric, s *stats.Stats) {
	if v := f.value(s); !isUnknown(v) {
		f.Send(out, v)
	}
}

// A totalFamily is a counter of all topics or channels together.
type totalFamily struct {
	metrics.Family
	value func(*stats.Totals) float64
}

// A labelledFamily is a metric of each topic or channel and, if it is a gauge, one of all
// together.
type labelledFamily[T any] struct {
	one    metrics.Family
	all    metrics.Family // the zero Family for none
	value  func(T) float64
	sumUp  func(sum, v float64) float64
	sparse bool // left out where it is 0
}

func (f labelledFamily[T]) sendOne(out chan<- prometheus.Metric, item T, labels ...string) {
	if v := f.value(item); !isUnknown(v) && !(f.sparse && v == 0) {
		f.one.Send(out, v, labels...)
	}
}

func (f labelledFamily[T]) sendAll(out chan<- prometheus.Metric, items []T) {
	if f.all == (metrics.Family{}) {
		return
	}
	sum := 0.0
	for _, item := range items {
		if v := f.value(item); !isUnknown(v) {
			sum = f.sumUp(sum, v)
		}
	}
	f.all.Send(out, sum)
}

func add(sum, v float64) float64 { return sum + v }

func boolValue(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (c *metricsCollector) started() time.Time { return time.Unix(c.stats.StartTime, 0) }

// Families of topics have names in the singular and the label, those of all together
// have the plural.
func topicGauge(name, ofOne, ofAll string, value func(*stats.Topic) float64) labelledFamily[*stats.Topic] {
	return labelledFamily[*stats.Topic]{
		one: metrics.Gauge("nsqd_topic_"+name, ofOne, "topic"), all: metrics.Gauge("nsqd_topics_"+name, ofAll), value: value, sumUp: add,
	}
}

func topicCounter(name, help string, value func(*stats.Topic) float64) labelledFamily[*stats.Topic] {
	return labelledFamily[*stats.Topic]{one: metrics.Counter("nsqd_topic_"+name, help, "topic"), value: value}
}

func channelGauge(name, ofOne, ofAll string, value func(*stats.Channel) float64) labelledFamily[*stats.Channel] {
	return labelledFamily[*stats.Channel]{
		one: metrics.Gauge("nsqd_channel_"+name, ofOne, "topic", "channel"), all: metrics.Gauge("nsqd_channels_"+name, ofAll), value: value, sumUp: add,
	}
}

func channelCounter(name, help string, value func(*stats.Channel) float64) labelledFamily[*stats.Channel] {
	return labelledFamily[*stats.Channel]{one: metrics.Counter("nsqd_channel_"+name, help, "topic", "channel"), value: value}
}

func (f labelledFamily[T]) largest() labelledFamily[T] {
	f.sumUp = math.Max
	return f
}

func (f labelledFamily[T]) onlyIfAny() labelledFamily[T] {
	f.sparse = true
	return f
}

func ageOf(w stats.Waiting) float64 {
	if w.Age < 0 {
		return unknown
	}
	return w.Age.Seconds()
}

// damageOf returns one of the numbers, 0 where there is no damage.
func damageOf(d *stats.Damage, number func(*stats.Damage) int64) float64 {
	if d == nil {
		return 0
	}
	return float64(number(d))
}

// damageIfAny is damageOf where that is left out.
func damageIfAny(d *stats.Damage, number func(*stats.Damage) int64) float64 {
	if d == nil {
		return unknown
	}
	return float64(number(d))
}

var topicFamilies = []labelledFamily[*stats.Topic]{
	topicGauge("depth",
		"Messages that wait in the topic itself, in memory and on disk, to be given to its channels. They wait there while it has no channel, is paused, or the disk of a channel fails.",
		"Messages that wait in topics for channels, in memory and on disk.",
		func(t *stats.Topic) float64 { return float64(t.Depth) }),
	topicGauge("backend_depth",
		"Those of the messages that wait in the topic which are on disk.",
		"Those of the messages that wait in topics which are on disk.",
		func(t *stats.Topic) float64 { return float64(t.BackendDepth) }),
	topicGauge("backend_bytes",
		"Size of the files of the topic's own disk queue. Files go when all that is in them was read.",
		"Size of the files of the disk queues of topics.",
		func(t *stats.Topic) float64 { return float64(t.Waiting.Bytes) }),
	topicGauge("oldest_message_age_seconds",
		"How long ago the message was published that is the next to leave the topic for its channels, 0 if none waits. Not there while the disk does not tell.",
		"The largest age of a message that is the next in its topic.",
		func(t *stats.Topic) float64 { return ageOf(t.Waiting) }).largest(),
	topicGauge("paused",
		"1 while the topic is paused: messages stay in it and no channel gets any.",
		"Topics that are paused.",
		func(t *stats.Topic) float64 { return boolValue(t.Paused) }),
	topicCounter("messages_total",
		"Messages that were published to the topic.",
		func(t *stats.Topic) float64 { return float64(t.Messages) }),
	topicCounter("bytes_total",
		"Bytes of the bodies of messages that were published to the topic.",
		func(t *stats.Topic) float64 { return float64(t.Bytes) }),
	topicCounter("damaged_ranges_total",
		"Damaged places that were found in the topic's disk queue, and skipped. Only there once there was any.",
		func(t *stats.Topic) float64 {
			return damageIfAny(t.Damage, func(d *stats.Damage) int64 { return d.Ranges })
		}),
	topicCounter("damaged_bytes_total",
		"Bytes in the damaged places of the topic's disk queue. Only there once there was any.",
		func(t *stats.Topic) float64 {
			return damageIfAny(t.Damage, func(d *stats.Damage) int64 { return d.Bytes })
		}),
	topicCounter("damaged_messages_total",
		"Messages of the topic's disk queue that were lost by damage, as far as is known. Only there once there was any.",
		func(t *stats.Topic) float64 {
			return damageIfAny(t.Damage, func(d *stats.Damage) int64 { return d.Records })
		}),
}

var channelFamilies = []labelledFamily[*stats.Channel]{
	channelGauge("depth",
		"Messages that wait in the channel for consumers, in memory and on disk; those in flight and deferred are not among them. If it grows, consumers are too slow or gone.",
		"Messages that wait in channels for consumers, in memory and on disk.",
		func(ch *stats.Channel) float64 { return float64(ch.Depth) }),
	channelGauge("backend_depth",
		"Those of the messages that wait in the channel which are on disk.",
		"Those of the messages that wait in channels which are on disk.",
		func(ch *stats.Channel) float64 { return float64(ch.BackendDepth) }),
	channelGauge("backend_bytes",
		"Size of the files of the channel's disk queue. Files go when all that is in them was read.",
		"Size of the files of the disk queues of channels.",
		func(ch *stats.Channel) float64 { return float64(ch.Waiting.Bytes) }),
	channelGauge("oldest_message_age_seconds",
		"How long ago the message was published that is the next for a consumer, 0 if none waits. Not there while the disk does not tell. Requeued messages go to the end, so one may be older.",
		"The largest age of a message that is the next in its channel.",
		func(ch *stats.Channel) float64 { return ageOf(ch.Waiting) }).largest(),
	channelGauge("in_flight_messages",
		"Messages that consumers were sent and have not yet answered by FIN or REQ.",
		"Messages that consumers of all channels were sent and have not yet answered.",
		func(ch *stats.Channel) float64 { return float64(ch.InFlight) }),
	channelGauge("deferred_messages",
		"Messages of the channel that are not due yet, as they were published or requeued with a delay.",
		"Messages of all channels that are not due yet.",
		func(ch *stats.Channel) float64 { return float64(ch.Deferred) }),
	channelGauge("consumers",
		"Connections that are subscribed to the channel.",
		"Connections that are subscribed to a channel.",
		func(ch *stats.Channel) float64 { return float64(ch.ClientCount) }),
	channelGauge("paused",
		"1 while the channel is paused: consumers get nothing from it.",
		"Channels that are paused.",
		func(ch *stats.Channel) float64 { return boolValue(ch.Paused) }),
	channelCounter("messages_total",
		"Messages that the channel has got from its topic.",
		func(ch *stats.Channel) float64 { return float64(ch.Messages) }),
	channelCounter("delivered_messages_total",
		"Messages that were sent to consumers, each as often as it was.",
		func(ch *stats.Channel) float64 { return float64(ch.Delivered) }),
	channelCounter("finished_messages_total",
		"Messages that consumers have finished (FIN).",
		func(ch *stats.Channel) float64 { return float64(*ch.Finished) }),
	channelCounter("requeued_messages_total",
		"Messages that consumers gave back to get them again (REQ), mostly as they failed to handle them.",
		func(ch *stats.Channel) float64 { return float64(ch.Requeues) }),
	channelCounter("timed_out_messages_total",
		"Messages that no answer came for in time, so that they are delivered again. Consumers hang, or need longer than their message timeout.",
		func(ch *stats.Channel) float64 { return float64(ch.Timeouts) }),
	channelCounter("zone_local_messages_total",
		"Messages that consumers in this node's zone got from memory, with topology-aware consumption. Only there once there was one.",
		func(ch *stats.Channel) float64 { return float64(ch.ZoneLocal) }).onlyIfAny(),
	channelCounter("region_local_messages_total",
		"Messages that consumers in this node's region, but another zone, got from memory, with topology-aware consumption. Only there once there was one.",
		func(ch *stats.Channel) float64 { return float64(ch.RegionLocal) }).onlyIfAny(),
	channelCounter("global_messages_total",
		"Messages that other consumers got from memory; all of them, without topology-aware consumption. Only there once there was one.",
		func(ch *stats.Channel) float64 { return float64(ch.Global) }).onlyIfAny(),
	channelCounter("damaged_ranges_total",
		"Damaged places that were found in the channel's disk queue, and skipped. Only there once there was any.",
		func(ch *stats.Channel) float64 {
			return damageIfAny(ch.Damage, func(d *stats.Damage) int64 { return d.Ranges })
		}),
	channelCounter("damaged_bytes_total",
		"Bytes in the damaged places of the channel's disk queue. Only there once there was any.",
		func(ch *stats.Channel) float64 {
			return damageIfAny(ch.Damage, func(d *stats.Damage) int64 { return d.Bytes })
		}),
	channelCounter("damaged_messages_total",
		"Messages of the channel's disk queue that were lost by damage, as far as is known. Only there once there was any.",
		func(ch *stats.Channel) float64 {
			return damageIfAny(ch.Damage, func(d *stats.Damage) int64 { return d.Records })
		}),
}

var totalFamilies = []totalFamily{
	{metrics.Counter("nsqd_topics_messages_total", "Messages that were published to any topic, also to those that are deleted since."),
		func(t *stats.Totals) float64 { return float64(t.Published) }},
	{metrics.Counter("nsqd_topics_bytes_total", "Bytes of the bodies of messages that were published to any topic."),
		func(t *stats.Totals) float64 { return float64(t.PublishedBytes) }},
	{metrics.Counter("nsqd_channels_messages_total", "Messages that channels have got from topics, each as often as there were channels."),
		func(t *stats.Totals) float64 { return float64(t.Received) }},
	{metrics.Counter("nsqd_channels_delivered_messages_total", "Messages that were sent to consumers of any channel, each as often as it was."),
		func(t *stats.Totals) float64 { return float64(t.Delivered) }},
	{metrics.Counter("nsqd_channels_finished_messages_total", "Messages that consumers of any channel have finished (FIN)."),
		func(t *stats.Totals) float64 { return float64(t.Finished) }},
	{metrics.Counter("nsqd_channels_requeued_messages_total", "Messages that consumers of any channel gave back to get them again (REQ)."),
		func(t *stats.Totals) float64 { return float64(t.Requeues) }},
	{metrics.Counter("nsqd_channels_timed_out_messages_total", "Messages of any channel that no answer came for in time."),
		func(t *stats.Totals) float64 { return float64(t.Timeouts) }},
}

var (
	publishLatencyFamily = metrics.NewHistogram("nsqd_publish_latency_seconds",
		"Time from the arrival of a PUB, MPUB, DPUB, /pub or /mpub to its OK. If it grows, the disk is slow or the machine is busy.")
	channelLatencyFamily = metrics.NewHistogram("nsqd_channel_e2e_latency_seconds",
		"Time from the publish of a message to its FIN on the channel, waiting and all deliveries included. Only there once there was one.", "topic", "channel")
	channelsLatencyFamily = metrics.NewHistogram("nsqd_channels_e2e_latency_seconds",
		"Time from the publish of a message to its FIN, on any channel.")
	truncatedFamily = metrics.Gauge("nsqd_metrics_truncated",
		"1 if there are more than 2,000 topics or channels, so that only sums are here. The parameters full=1, topic=NAME and channel=NAME of the URL ask for more.")
)

// ofDisk is a value of the disk, left out where that cannot be asked.
func ofDisk(value func(*stats.Disk) int64) func(*stats.Stats) float64 {
	return func(s *stats.Stats) float64 {
		if s.Metrics.Disk == nil {
			return unknown
		}
		return float64(value(s.Metrics.Disk))
	}
}

func ofDamage(number func(*stats.Damage) int64) func(*stats.Stats) float64 {
	return func(s *stats.Stats) float64 { return damageOf(s.Damage, number) }
}

var brokerFamilies = []brokerFamily{
	{metrics.Gauge("nsqd_healthy", "1 if disk queues and metadata can be written, 0 if not: /ping says why."),
		func(s *stats.Stats) float64 { return boolValue(s.Health == healthText(nil)) }},
	{metrics.Gauge("nsqd_ready", "1 if messages may be published here, 0 while nsqd drains or stops, cannot write, or the disk is below its reserve: /health/ready says why. While it loads there are no metrics."),
		func(s *stats.Stats) float64 { return boolValue(s.Metrics.Ready) }},
	{metrics.Gauge("nsqd_draining", "1 from the beginning of a drain until it is cancelled or nsqd stops: publishes are refused."),
		func(s *stats.Stats) float64 { return boolValue(s.Drain != "") }},
	{metrics.Gauge("nsqd_drained", "1 while nsqd is draining and waits for nothing more: it may be stopped."),
		func(s *stats.Stats) float64 { return boolValue(s.Drain == stateDrained) }},
	{metrics.Gauge("nsqd_drain_waiting_messages", "Messages that a drain waits for, as of its latest look; what is left of them when its time is over. 0 without one."),
		func(s *stats.Stats) float64 { return float64(s.Metrics.DrainWaiting) }},
	{metrics.Gauge("nsqd_start_time_seconds", "When this nsqd started, in seconds since the Unix epoch. Counters count from then on."),
		func(s *stats.Stats) float64 { return float64(s.StartTime) }},
	{metrics.Counter("nsqd_panics_total", "Faults of nsqd that ended a connection or request each. The log has the stack."),
		func(s *stats.Stats) float64 { return float64(s.Panics) }},
	{metrics.Gauge("nsqd_topics", "Topics."),
		func(s *stats.Stats) float64 { return float64(len(s.Topics)) }},
	{metrics.Gauge("nsqd_channels", "Channels of all topics."),
		func(s *stats.Stats) float64 {
			n := 0
			for i := range s.Topics {
				n += len(s.Topics[i].Channels)
			}
			return float64(n)
		}},
	{metrics.Gauge("nsqd_connections", "Connections of producers and consumers, not of HTTP."),
		func(s *stats.Stats) float64 { return float64(s.Metrics.Connections) }},
	{metrics.Counter("nsqd_connections_accepted_total", "Connections of producers and consumers since the start."),
		func(s *stats.Stats) float64 { return float64(s.Metrics.Accepted) }},
	{metrics.Gauge("nsqd_producers", "Connections that have published, not those of HTTP."),
		func(s *stats.Stats) float64 { return float64(s.Metrics.Producers) }},
	{metrics.Counter("nsqd_publish_failures_total", "Publishes that were refused as their messages could not be kept: the disk is full or fails, or the daemon stops. The log says why."),
		func(s *stats.Stats) float64 { return float64(s.Metrics.PublishFailures) }},
	{metrics.Counter("nsqd_damaged_ranges_total", "Damaged places that were found in disk queues, and skipped. The log says where; a copy is beside the file."),
		ofDamage(func(d *stats.Damage) int64 { return d.Ranges })},
	{metrics.Counter("nsqd_damaged_bytes_total", "Bytes in the damaged places of disk queues."),
		ofDamage(func(d *stats.Damage) int64 { return d.Bytes })},
	{metrics.Counter("nsqd_damaged_messages_total", "Messages that were lost by damage of disk queues, as far as is known."),
		ofDamage(func(d *stats.Damage) int64 { return d.Records })},
	{metrics.Counter("nsqd_rebuilt_queues_total", "Disk queues whose meta file had to be made anew from their data."),
		ofDamage(func(d *stats.Damage) int64 { return d.Metas })},
	{metrics.Gauge("nsqd_disk_queue_bytes", "What the files of disk queues take below the data path."),
		ofDisk(func(d *stats.Disk) int64 { return d.Queues })},
	{metrics.Gauge("nsqd_disk_free_bytes", "What is free on the disk of the data path."),
		ofDisk(func(d *stats.Disk) int64 { return d.Free })},
	{metrics.Gauge("nsqd_disk_size_bytes", "Size of the disk of the data path."),
		ofDisk(func(d *stats.Disk) int64 { return d.Size })},
	{metrics.Gauge("nsqd_disk_reserve_bytes", "What disk queues leave free. When no more is free, publishes that need the disk are refused."),
		ofDisk(func(d *stats.Disk) int64 { return d.Reserve })},
	{metrics.Gauge("nsqd_lookupds", "Addresses of nsqlookupds that are configured."),
		func(s *stats.Stats) float64 { return float64(s.Metrics.Lookupds) }},
	{metrics.Gauge("nsqd_lookupds_connected", "Those of the configured addresses of nsqlookupds at which this nsqd is registered. If they are fewer than configured, consumers may not find it."),
		func(s *stats.Stats) float64 { return float64(s.Metrics.LookupdsConnected) }},
}
