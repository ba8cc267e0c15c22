package cluster

import (
	"errors"
	"testing"
)

func TestNodesToTheByte(t *testing.T) {
	answers := []Answer[[]Producer]{{Address: "127.0.0.1:4161", Value: []Producer{{
		RemoteAddress: "127.0.0.1:38048", Hostname: "vm", BroadcastAddress: "127.0.0.1", TCPPort: 4150, HTTPPort: 4151, Version: "1.3.0",
		TopologyZone: "z1", TopologyRegion: "r1", Tombstones: []bool{false}, Topics: []string{"t1"},
	}}}}
	const want = `[{"remote_addresses":["127.0.0.1:4161/127.0.0.1:38048"],"remote_address":"127.0.0.1:38048","hostname":"vm","broadcast_address":"127.0.0.1",` +
		`"tcp_port":4150,"http_port":4151,"version":"1.3.0","topology_zone":"z1","topology_region":"r1","topics":[{"topic":"t1","tombstoned":false}],"out_of_date":false}]`
	if got := toJSON(t, MergeNodes(answers)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	const itself = `[{"remote_addresses":null,"remote_address":"","hostname":"","broadcast_address":"::1","tcp_port":1,"http_port":2,"version":"","topics":null,"out_of_date":false}]`
	answers = []Answer[[]Producer]{{Address: "[::1]:2", Value: []Producer{{BroadcastAddress: "::1", TCPPort: 1, HTTPPort: 2}}}}
	nodes := MergeNodes(answers)
	if got := toJSON(t, nodes); got != itself {
		t.Errorf("got  %s\nwant %s", got, itself)
	}
	if got := nodes[0].HTTPAddress() + " " + nodes[0].LookupName(); got != "[::1]:2 ::1:2" {
		t.Errorf("names of a node with an IPv6 address: %s", got)
	}
	if got := toJSON(t, MergeNodes(nil)); got != "[]" {
		t.Errorf("no answers: %s", got)
	}
}

func TestNodesAreMergedByAddress(t *testing.T) {
	node := func(peer, host string, port int, topics []string, tombstones ...bool) Producer {
		return Producer{RemoteAddress: peer, Hostname: "h-" + host, BroadcastAddress: host, TCPPort: port, HTTPPort: port + 1, Topics: topics, Tombstones: tombstones}
	}
	nodes := MergeNodes([]Answer[[]Producer]{
		{Address: "l1", Value: []Producer{
			node("p1", "b", 1, []string{"z", "a"}, false, false),
			node("p2", "b", 3, nil),
			node("p3", "b", 1, []string{"m"}), // connected twice
		}},
		{Address: "l2", Err: errors.New("down"), Value: []Producer{node("p4", "x", 1, nil)}},
		{Address: "l3", Value: []Producer{node("p5", "b", 1, []string{"a", "z"}, true), node("p6", "a", 9, []string{"t", "t"}, false, true, true)}},
	})
	const want = `[{"remote_addresses":["l3/p6"],"remote_address":"p6","hostname":"h-a","broadcast_address":"a","tcp_port":9,"http_port":10,"version":"",` +
		`"topics":[{"topic":"t","tombstoned":true}],"out_of_date":false},` +
		`{"remote_addresses":["l1/p1","l1/p3","l3/p5"],"remote_address":"p1","hostname":"h-b","broadcast_address":"b","tcp_port":1,"http_port":2,"version":"",` +
		`"topics":[{"topic":"a","tombstoned":true},{"topic":"m","tombstoned":false},{"topic":"z","tombstoned":false}],"out_of_date":false},` +
		`{"remote_addresses":["l1/p2"],"remote_address":"p2","hostname":"h-b","broadcast_address":"b","tcp_port":3,"http_port":4,"version":"","topics":null,"out_of_date":false}]`
	if got := toJSON(t, nodes); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestOutOfDate(t *testing.T) {
	for name, c := range map[string]struct {
		versions []string
		want     []bool
	}{
		"one":                         {[]string{"0.1.0"}, []bool{false}},
		"the same":                    {[]string{"1.3.0", "1.3.0"}, []bool{false, false}},
		"by number, not by text":      {[]string{"1.9.0", "1.10.0"}, []bool{true, false}},
		"before the release":          {[]string{"1.3.0-rc.1", "1.3.0"}, []bool{true, false}},
		"builds of the same":          {[]string{"1.3.0+a", "1.3.0+b"}, []bool{false, false}},
		"what is no version":          {[]string{"1.3", "v1.3.0", "", "x", "0.0.1"}, []bool{true, true, true, true, false}},
		"nothing that is a version":   {[]string{"", "x"}, []bool{false, false}},
		"more than a number can hold": {[]string{"99999999999999999999.0.0", "1.0.0"}, []bool{false, true}},
	} {
		var producers []Producer
		for i, v := range c.versions {
			producers = append(producers, Producer{BroadcastAddress: "h", TCPPort: i, Version: v})
		}
		for i, n := range MergeNodes([]Answer[[]Producer]{{Value: producers}}) {
			if n.OutOfDate != c.want[i] {
				t.Errorf("%s: %q is out of date: %v", name, n.Version, n.OutOfDate)
			}
		}
	}
}
