package watch

import (
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/history"
	"github.com/seed893f581e/nsq/internal/stats"
)

// What waits without a consumer is known since it does, not since the last look;
// what did so when nsqadmin started may have for long.
func TestViewRemembersUnserved(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	h := history.NewStore(start, 0)
	look := func(before *View, after time.Duration, consumers int) *View {
		c := channelStats("c", 5, 0, 0, 0, 0)
		c.Depth, c.ClientCount = 5, consumers
		d := daemon{address: "n:4151", answered: start.Add(after), node: &nodeAnswer{stats: nodeStats(1)}}
		d.node.stats.Topics = []stats.Topic{topicStats("t", 5, c)}
		v := NewView(start.Add(after), h, []NodeState{d.nodeState(&knownNode{seen: start.Add(after)}, false)}, nil)
		v.rememberUnserved(before)
		return v
	}
	want := func(v *View, nodes int, since time.Time) {
		t.Helper()
		c, _ := v.ChannelRow("t", "c")
		if u := c.Unserved; u.Nodes != nodes || u.Since != since {
			t.Errorf("after %v: %+v, want %d nodes, since %v", v.At.Sub(start), u, nodes, since)
		}
	}
	v := look(nil, time.Second, 0)
	want(v, 1, time.Time{})
	v = look(v, time.Minute, 0)
	want(v, 1, time.Time{})
	v = look(v, 2*time.Minute, 1)
	want(v, 0, time.Time{})
	v = look(v, 3*time.Minute, 0)
	want(v, 1, start.Add(3*time.Minute))
	v = look(v, 4*time.Minute, 0)
	want(v, 1, start.Add(3*time.Minute))
}
