package watch

import (
	"errors"
	"math"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/history"
	"github.com/seed893f581e/nsq/internal/stats"
)

// A rulesTest is a healthy cluster of one nsqlookupd and one nsqd with a channel,
// for a case to spoil.
type rulesTest struct {
	at      time.Time
	history *history.Store
	lookupd daemon
	node    daemon
	known   knownNode
	missing bool
	topic   stats.Topic
	channel stats.Channel

	unserved       time.Time     // since when, zero for always
	elsewhere      stats.Channel // on another nsqd of the host, unless it has no name
	elsewhereSince time.Time     // when that started
}

func newRulesTest() *rulesTest {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := &rulesTest{at: start.Add(30 * time.Minute), history: history.NewStore(start, 3)}
	r.lookupd = daemon{address: "l:4161", answered: r.at, lookupd: &lookupdAnswer{}}
	r.node = daemon{address: "n:4151", answered: r.at, node: &nodeAnswer{stats: nodeStats(1)}}
	r.known = knownNode{seen: r.at, node: cluster.Node{Hostname: "n", RemoteAddresses: []string{"l:4161/10.0.0.1:5"}, Version: "1.3.0"}}
	r.channel = channelStats("c", 1000, 1000, 0, 0, 0)
	r.topic = topicStats("t", 1000)
	return r
}

// before has the history know of the last minutes, one value for each.
func (r *rulesTest) before(samples ...history.Sample) {
	for i, s := range samples {
		for _, seconds := range []int{0, 10, 20, 30, 40, 50} {
			at := r.at.Add(time.Duration(i-len(samples))*time.Minute + time.Duration(seconds+10)*time.Second)
			r.history.Add(at, func(yield func(history.Key, history.Sample) bool) { yield(history.Key{Topic: "t", Channel: "c"}, s) })
		}
	}
}

func (r *rulesTest) attention() []attention {
	r.topic.Channels = []stats.Channel{r.channel}
	if r.channel.Name == "" {
		r.topic.Channels = nil
	}
	if r.node.node != nil {
		r.node.node.stats.Topics = []stats.Topic{r.topic}
	}
	nodes := []NodeState{r.node.nodeState(&r.known, r.missing)}
	if r.elsewhere.Name != "" {
		other, d := r.known, daemon{address: "m:4151", answered: r.at, node: &nodeAnswer{stats: nodeStats(r.elsewhereSince.Unix())}}
		d.node.stats.Topics = []stats.Topic{topicStats("t", 0, r.elsewhere)}
		nodes = append(nodes, d.nodeState(&other, false))
	}
	v := NewView(r.at, r.history, nodes, []LookupdState{r.lookupd.lookupdState()})
	for i := range v.rows {
		for j := range v.rows[i].Channels {
			v.rows[i].Channels[j].Unserved.Since = r.unserved
		}
	}
	return v.Attention()
}

var errNoAnswer = errors.New("connection refused")

func depths(list ...int64) (samples []history.Sample) {
	for _, d := range list {
		samples = append(samples, history.Sample{Depth: d})
	}
	return samples
}

// Every rule: what it finds, and what comes near it and is all right.
func TestAttention(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: errNoAnswer}
	for name, c := range map[string]struct {
		spoil func(r *rulesTest)
		want  string // kind, severity, text and page; "" for nothing
	}{
		"all is well": {func(*rulesTest) {}, ""},

		"no consumer": {func(r *rulesTest) { r.channel.ClientCount, r.channel.Depth = 0, 1234 },
			"no-consumers problem /topics/t/c: Channel c of topic t has no consumer, and 1,234 messages waiting."},
		"no consumer since a while ago": {func(r *rulesTest) {
			r.channel.ClientCount, r.channel.Depth, r.unserved = 0, 1234, r.at.Add(-30*time.Second)
		}, "no-consumers problem /topics/t/c: Channel c of topic t has no consumer since " + chart.Clock(newRulesTest().at.Add(-30*time.Second)) + ", and 1,234 messages waiting."},
		"no consumer since a moment ago": {func(r *rulesTest) {
			r.channel.ClientCount, r.channel.Depth, r.unserved = 0, 1234, r.at.Add(-29*time.Second)
		}, ""},
		"no consumer on one of two nodes": {func(r *rulesTest) {
			r.elsewhere = channelStats("c", 9, 9, 0, 0, 0)
			r.elsewhere.Depth = 9
			r.elsewhere.ClientCount = 0
		},
			"no-consumers-there problem /topics/t/c: Channel c of topic t has no consumer on nsqd m:4151, and 9 messages waiting there."},
		"no consumer on one of two nodes, and nothing to do": {func(r *rulesTest) { r.elsewhere = channelStats("c", 9, 9, 0, 0, 0); r.elsewhere.ClientCount = 0 }, ""},
		"no consumer, and nothing to do":                     {func(r *rulesTest) { r.channel.ClientCount = 0 }, ""},
		"paused with a backlog": {func(r *rulesTest) { r.channel.Paused, r.channel.Depth, r.channel.ClientCount = true, 1, 0 },
			"paused warning /topics/t/c: Channel c of topic t is paused with 1 message waiting."},
		"paused": {func(r *rulesTest) { r.channel.Paused = true }, ""},
		"a paused topic with a backlog": {func(r *rulesTest) { r.topic.Paused, r.topic.Depth = true, 7 },
			"paused warning /topics/t: Topic t is paused with 7 messages waiting."},
		"a topic without channels": {func(r *rulesTest) { r.channel, r.topic.Depth = stats.Channel{}, 7 },
			"no-channels warning /topics/t: Topic t has no channel, and 7 messages waiting."},

		"depth that grows": {func(r *rulesTest) { r.channel.Depth = 700; r.before(depths(100, 200, 300, 400, 500, 600, 700)...) },
			"growing warning /topics/t/c: Channel c of topic t falls behind: its depth grew from 200 to 700 within 5 minutes."},
		"depth that grows, and went back once": {func(r *rulesTest) { r.channel.Depth = 700; r.before(depths(100, 200, 300, 250, 500, 600, 700)...) }, ""},
		"depth that grows while consumers restart": {func(r *rulesTest) {
			r.channel.Depth, r.channel.ClientCount, r.unserved = 700, 0, r.at.Add(-time.Second)
			r.before(depths(100, 200, 300, 400, 500, 600, 700)...)
		}, ""},
		"depth that grows a little": {func(r *rulesTest) { r.channel.Depth = 9105; r.before(depths(9000, 9021, 9042, 9063, 9084, 9105)...) }, ""},
		"depth that began to grow":  {func(r *rulesTest) { r.channel.Depth = 700; r.before(depths(500, 600, 700)...) }, ""},

		"much requeued": {func(r *rulesTest) {
			r.channel.Requeues, r.channel.Timeouts = 100, 100
			r.before(slices.Repeat([]history.Sample{{Requeue: 1, Finish: 1.5}}, 6)...)
		}, "requeued warning /topics/t/c: Channel c of topic t got messages back 300 times within 5 minutes, requeued or timed out, while its consumers finished 450."},
		"much requeued, for half a minute": {func(r *rulesTest) {
			r.channel.Requeues = 2000
			for _, seconds := range []int{30, 20, 10} {
				r.history.Add(r.at.Add(time.Duration(-seconds)*time.Second), func(yield func(history.Key, history.Sample) bool) {
					yield(history.Key{Topic: "t", Channel: "c"}, history.Sample{Requeue: 40})
				})
			}
		}, "requeued warning /topics/t/c: Channel c of topic t got messages back 1,200 times within 5 minutes, requeued or timed out, while its consumers finished none."},
		"less requeued than finished": {func(r *rulesTest) {
			r.channel.Requeues = 200
			r.before(slices.Repeat([]history.Sample{{Requeue: 1, Finish: 2.5}}, 6)...)
		}, ""},
		"much requeued an hour ago": {func(r *rulesTest) {
			r.channel.Requeues = 200
			r.before(slices.Concat(slices.Repeat([]history.Sample{{Requeue: 9}}, 6), slices.Repeat([]history.Sample{{}}, 6))...)
		}, ""},
		"requeued, of unknown finishes": {func(r *rulesTest) {
			r.channel.Requeues = 200
			r.before(slices.Repeat([]history.Sample{{Requeue: 1, Finish: math.NaN()}}, 6)...)
		}, "requeued warning /topics/t/c: Channel c of topic t got messages back 300 times within 5 minutes, requeued or timed out, while its consumers finished none."},

		"nsqlookupd that does not answer": {func(r *rulesTest) { r.lookupd.err, r.lookupd.answered = errNoAnswer, r.at.Add(-12*time.Second) },
			"lookupd-silent problem /lookup: nsqlookupd l:4161 has not answered for 12 s: connection refused."},
		"node that does not answer": {func(r *rulesTest) { r.node.err, r.node.answered = errNoAnswer, r.at.Add(-12*time.Second) },
			"node-silent problem /nodes/n:4151: nsqd n:4151 has not answered for 12 s: connection refused."},
		"node that was never reached": {func(r *rulesTest) { r.node.err, r.node.answered, r.node.node = dial, time.Time{}, nil },
			"node-unreachable problem /nodes/n:4151: nsqd n:4151 cannot be reached from here: dial tcp: connection refused."},
		"node that was never reached, without nsqlookupd": {func(r *rulesTest) {
			r.node.err, r.node.answered, r.node.node = dial, time.Time{}, nil
			r.known.node.RemoteAddresses = nil
			r.lookupd.answered = time.Time{}
		}, "node-silent problem /nodes/n:4151: nsqd n:4151 has not answered so far: dial tcp: connection refused."},
		"node that was reached and refuses": {func(r *rulesTest) { r.node.err, r.node.answered, r.node.node = errors.New("403"), time.Time{}, nil },
			"node-silent problem /nodes/n:4151: nsqd n:4151 has not answered so far: 403."},
		"missing node": {func(r *rulesTest) {
			r.missing, r.node.err, r.node.answered = true, errNoAnswer, r.at.Add(-time.Minute)
			r.known.seen = r.at.Add(-2 * time.Minute)
		}, "node-missing problem /nodes/n:4151: nsqd n:4151 is gone: it was registered until " +
			chart.Clock(newRulesTest().at.Add(-2*time.Minute)) + " and has not answered for 1 min: connection refused."},
		"missing node with another on its host since": {func(r *rulesTest) {
			r.missing, r.node.err, r.node.answered = true, errNoAnswer, r.at.Add(-time.Minute)
			r.known.seen = r.at.Add(-time.Minute)
			r.elsewhere = channelStats("c", 0, 0, 0, 0, 0)
			r.elsewhereSince = r.at.Add(-50 * time.Second)
		}, "node-moved warning /nodes/n:4151: nsqd n:4151 is gone since " + chart.Clock(newRulesTest().at.Add(-time.Minute)) + "; nsqd m:4151 has started on its host since."},
		"missing node that answers": {func(r *rulesTest) { r.missing = true },
			"node-missing problem /nodes/n:4151: nsqd n:4151 answers, but is registered with no nsqlookupd any more since " + chart.Clock(newRulesTest().at) + "."},

		"not registered": {func(r *rulesTest) { r.known.node.RemoteAddresses = []string{"l:41/1:1"} },
			"not-registered warning /nodes/n:4151: nsqd n:4151 is not registered with nsqlookupd l:4161."},
		"registered twice": {func(r *rulesTest) { r.known.node.RemoteAddresses = []string{"l:4161/a:1", "l:4161/a:2"} },
			"registered-twice warning /nodes/n:4151: nsqd n:4151 is registered 2 times with nsqlookupd l:4161."},
		"old version": {func(r *rulesTest) { r.known.node.OutOfDate = true },
			"old-version warning /nodes: 1 of 1 nsqds run an older version than others: n:4151 (1.3.0)."},

		"disk error": {func(r *rulesTest) { r.node.node.stats.Health = "NOK - open x: permission denied" },
			"unhealthy problem /nodes/n:4151: nsqd n:4151 cannot keep messages on disk: open x: permission denied."},
		"full disk": {func(r *rulesTest) { r.node.node.stats.Health = "NOK - write x: no space left on device" },
			"disk-full problem /nodes/n:4151: nsqd n:4151 has a full disk: write x: no space left on device."},
		"damage": {func(r *rulesTest) { r.node.node.stats.Damage = &stats.Damage{Ranges: 2, Bytes: 1024, Records: 3} },
			"damage warning /nodes/n:4151: nsqd n:4151 found damage on its disk: 1,024 bytes in 2 places, 3 messages lost as far as is known."},
		"panics": {func(r *rulesTest) { r.node.node.stats.Panics = 3 },
			"panics warning /nodes/n:4151: nsqd n:4151 ended 3 connections after a panic."},

		"history that is full": {func(r *rulesTest) {
			r.history.Add(r.at, func(yield func(history.Key, history.Sample) bool) {
				for _, name := range []string{"a", "b", "c", "d", "e"} {
					yield(history.Key{Topic: name}, history.Sample{})
				}
			})
		}, "history-full warning /: There are no charts of 2 topics, channels or nodes: the history has no more room."},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRulesTest()
			c.spoil(r)
			var got []string
			for _, a := range r.attention() {
				if manyOf[a.Kind] == "" && a.Kind != "old-version" && a.Kind != "history-full" {
					t.Errorf("there is no text for many of %q", a.Kind)
				}
				got = append(got, a.Kind+" "+a.Severity+" /"+strings.Join(a.Path, "/")+": "+a.Text)
			}
			if strings.Join(got, "\n") != c.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "\n"), c.want)
			}
		})
	}
}

func TestAttentionPutsProblemsFirst(t *testing.T) {
	r := newRulesTest()
	r.known.node.OutOfDate = true
	r.channel.ClientCount, r.channel.Depth = 0, 5
	got := r.attention()
	if len(got) != 2 || got[0].Kind != "no-consumers" || got[1].Kind != "old-version" {
		t.Errorf("got %+v", got)
	}
}
