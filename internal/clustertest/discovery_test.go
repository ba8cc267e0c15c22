package clustertest

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// Every nsqlookupd learns of every topic and channel, and of their end.
func TestTopicsAndChannelsReachEveryLookupd(t *testing.T) {
	onEveryCluster(t, func(t *testing.T, c cluster) {
		lookupds := []node{c.lookupd(t), c.lookupd(t)}
		a, b := c.nsqd(t, lookupds...), c.nsqd(t, lookupds...)

		begin := time.Now()
		publish(t, a, "t", "hello")
		everywhere(t, lookupds, "t", at(nil, a))
		within(t, "a topic is registered after", begin, 5*time.Second)

		post(t, a.http()+"/channel/create?topic=t&channel=c", "")
		everywhere(t, lookupds, "t", at([]string{"c"}, a))
		post(t, b.http()+"/topic/create?topic=t", "")
		everywhere(t, lookupds, "t", at([]string{"c"}, a, b))
		post(t, a.http()+"/channel/create?topic=t&channel=gone%23ephemeral", "")
		everywhere(t, lookupds, "t", at([]string{"c", "gone#ephemeral"}, a, b))
		post(t, a.http()+"/channel/delete?topic=t&channel=gone%23ephemeral", "")
		everywhere(t, lookupds, "t", at([]string{"c"}, a, b))
		post(t, a.http()+"/topic/delete?topic=t", "")
		everywhere(t, lookupds, "t", at([]string{"c"}, b))

		b.stop()
		everywhere(t, lookupds, "t", at([]string{"c"})) // it is known that there was one
		b.start()
		everywhere(t, lookupds, "t", at([]string{"c"}, b))
	})
}

// An nsqlookupd that was away learns within seconds what there is.
func TestLookupdThatRestartsLearnsEverything(t *testing.T) {
	onEveryCluster(t, func(t *testing.T, c cluster) {
		one, other := c.lookupd(t), c.lookupd(t)
		both := []node{one, other}
		a, b := c.nsqd(t, both...), c.nsqd(t, both...)
		publish(t, a, "before", "hello")
		publish(t, b, "before", "hello")
		everywhere(t, both, "before", at(nil, a, b))

		one.stop()
		const topics = 20
		for i := range topics {
			post(t, fmt.Sprintf("%s/topic/create?topic=meanwhile%d", a.http(), i), "")
			post(t, fmt.Sprintf("%s/channel/create?topic=meanwhile%d&channel=c", a.http(), i), "")
		}
		post(t, b.http()+"/topic/delete?topic=before", "")
		everywhere(t, []node{other}, "meanwhile0", at([]string{"c"}, a))
		everywhere(t, []node{other}, "before", at(nil, a))

		one.start()
		begin := time.Now()
		for i := range topics {
			everywhere(t, both, fmt.Sprint("meanwhile", i), at([]string{"c"}, a))
		}
		everywhere(t, both, "before", at(nil, a))
		within(t, "an nsqlookupd that restarted knows everything after", begin, 5*time.Second)
	})
}

// A tombstone hides a topic of a node until that registers it anew.
func TestTombstoneEndsWithANewRegistration(t *testing.T) {
	onEveryCluster(t, func(t *testing.T, c cluster) {
		lookupds := []node{c.lookupd(t), c.lookupd(t)}
		a, b := c.nsqd(t, lookupds...), c.nsqd(t, lookupds...)
		publish(t, a, "t", "hello")
		publish(t, b, "t", "hello")
		everywhere(t, lookupds, "t", at(nil, a, b))

		for _, l := range lookupds {
			post(t, l.http()+"/topic/tombstone?topic=t&node="+a.http()[len("http://"):], "")
		}
		everywhere(t, lookupds, "t", at(nil, b))
		if status, answer := request("POST", a.http()+"/topic/delete?topic=t", ""); status != http.StatusOK {
			t.Fatalf("the deletion answered %d %s", status, answer)
		}
		publish(t, a, "t", "again") // at once: the nodes are told of both
		everywhere(t, lookupds, "t", at(nil, a, b))
	})
}
