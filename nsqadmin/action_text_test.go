package nsqadmin

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

func TestActionKindsAreAllThereAre(t *testing.T) {
	for _, k := range actionKinds {
		a := action{Name: k.Name, Topic: "t", Node: "127.0.0.1:4151"}
		if k.Chooses {
			a.Durability = "disk"
		}
		if k.Of == ofChannel {
			a.Channel = "c"
		}
		if err := a.check(); err != nil {
			t.Errorf("%s cannot be done: %v", k.Name, err)
		}
	}
	for _, name := range []string{
		createTopic, createChannel, deleteTopic, deleteChannel, pauseTopic, unpauseTopic, emptyTopic, changeTopic,
		pauseChannel, unpauseChannel, emptyChannel, tombstoneTopic,
	} {
		if _, ok := kindOf(name); !ok {
			t.Errorf("%s has no page", name)
		}
	}
}

func TestCurl(t *testing.T) {
	for _, c := range []struct {
		action  action
		headers []string
		want    string
	}{
		{action{Name: pauseTopic, Topic: "t"}, nil, `curl -X POST -d '{"action":"pause"}' 'http://h:4171/x/api/topics/t'`},
		{action{Name: unpauseChannel, Topic: "t#ephemeral", Channel: "c"}, nil, `curl -X POST -d '{"action":"unpause"}' 'http://h:4171/x/api/topics/t%23ephemeral/c'`},
		{action{Name: deleteTopic, Topic: "t"}, nil, `curl -X DELETE 'http://h:4171/x/api/topics/t'`},
		{action{Name: deleteChannel, Topic: "t", Channel: "c"}, []string{"X-Forwarded-User: o'neil"}, `curl -X DELETE -H 'X-Forwarded-User: o'\''neil' 'http://h:4171/x/api/topics/t/c'`},
		{action{Name: createTopic, Topic: "t"}, nil, `curl -X POST -d '{"topic":"t"}' 'http://h:4171/x/api/topics'`},
		{action{Name: createChannel, Topic: "t", Channel: "c"}, nil, `curl -X POST -d '{"topic":"t","channel":"c"}' 'http://h:4171/x/api/topics'`},
		{action{Name: createTopic, Topic: "t", Durability: "fsync"}, nil, `curl -X POST -d '{"topic":"t","durability":"fsync"}' 'http://h:4171/x/api/topics'`},
		{action{Name: changeTopic, Topic: "t", Durability: "fsync"}, nil, `curl -X POST -d '{"action":"change_durability","durability":"fsync"}' 'http://h:4171/x/api/topics/t'`},
		{action{Name: tombstoneTopic, Topic: "t", Node: "[::1]:4151"}, nil, `curl -X DELETE -d '{"topic":"t"}' 'http://h:4171/x/api/nodes/%5B::1%5D:4151'`},
	} {
		k, _ := kindOf(c.action.Name)
		if got := k.curl("http://h:4171/x", c.action, c.headers...); got != c.want {
			t.Errorf("%+v:\n%s, want\n%s", c.action, got, c.want)
		}
	}
}

// What is copied into a shell is one word there, whatever it has in it.
func TestShellQuote(t *testing.T) {
	for _, text := range []string{"", "a b", "o'neil", "$(touch x)`y`", `\'"`, "a\nb", "''"} {
		got, err := exec.Command("sh", "-c", "printf %s "+shellQuote(text)).Output()
		if err != nil || string(got) != text {
			t.Errorf("%q comes out as %q, %v", text, got, err)
		}
	}
}

func TestEffectsTellNumbers(t *testing.T) {
	all := stats.Stats{Topics: []stats.Topic{{Name: "t", Depth: 1234, Channels: []stats.Channel{
		{Name: "c", Depth: 10, InFlight: 2, Deferred: 3, ClientCount: 1},
		{Name: "d", Depth: 1, ClientCount: 2},
	}}}}
	v := &watch.View{
		Nodes:    []watch.NodeState{{Address: "a:1", Stats: &all}, {Address: "b:1", Stats: &stats.Stats{}}},
		Lookupds: []watch.LookupdState{{Address: "l:1"}, {Address: "m:1"}},
	}
	for name, want := range map[string]string{
		createTopic:    "Registers the topic with 2 nsqlookupds. A node creates",
		createChannel:  "Registers topic and channel with 2 nsqlookupds and creates the channel on 1 node that",
		pauseTopic:     "its 2 channels get no new ones until it is unpaused. 1,234 messages wait there now.",
		unpauseTopic:   "1,234 messages wait in the topic and go to its 2 channels.",
		emptyTopic:     "Deletes 1,234 messages waiting in the topic itself. What its 2 channels hold",
		deleteTopic:    "its 2 channels and 1,250 messages (1,245 waiting, 2 in flight, 3 deferred), and disconnects 3 consumers.",
		changeTopic:    "on 1 node. From disk to fsync and back that is done at any time. To and from memory it is done only where the topic and its channels have no message, waiting, in flight or deferred; consumers are disconnected then, and come back. The topic has 1,250 messages",
		pauseChannel:   "1 consumer gets no more messages until it is unpaused; the channel goes on collecting them. 10 messages wait now, and 2 messages in flight",
		unpauseChannel: "1 consumer gets messages again. 10 messages wait now.",
		emptyChannel:   "Deletes 15 messages (10 waiting, 2 in flight, 3 deferred).",
		deleteChannel:  "with 15 messages (10 waiting, 2 in flight, 3 deferred), and disconnects 1 consumer.",
		tombstoneTopic: "Has 2 nsqlookupds hide this node",
	} {
		k, _ := kindOf(name)
		s, known := scopeOf(v, k, action{Name: name, Topic: "t", Channel: map[bool]string{true: "c"}[k.Of == ofChannel], Node: map[bool]string{true: "a:1"}[k.Of == ofNode]})
		if got := k.effect(s); !known || !strings.Contains(got, want) || len(s.Nodes) != 1 {
			t.Errorf("%s on %d nodes, %v: %s\nwant %s", name, len(s.Nodes), known, got, want)
		}
		if k.mustType(s) != k.Danger {
			t.Errorf("%s: the name must be typed: %v", name, k.mustType(s))
		}
	}
}

func TestEffectsTellWhatADurabilityMeans(t *testing.T) {
	lookupds := []watch.LookupdState{{Address: "l:1"}}
	v := &watch.View{Nodes: []watch.NodeState{{Address: "a:1"}, {Address: "b:1"}}}
	for _, c := range []struct {
		action   action
		lookupds []watch.LookupdState
		want     string
	}{
		{action{Name: createTopic, Topic: "t", Durability: "fsync"}, nil, "Creates the topic on 2 nodes, with durability fsync: what is published survives a power cut."},
		{action{Name: createChannel, Topic: "t", Channel: "c", Durability: "disk"}, lookupds, "Registers topic and channel with 1 nsqlookupd. Creates topic and channel on 2 nodes, with durability disk: what"},
	} {
		v.Lookupds = c.lookupds
		k, _ := kindOf(c.action.Name)
		s, _ := scopeOf(v, k, c.action)
		if got := k.effect(s); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}

func TestNameProblems(t *testing.T) {
	for name, want := range map[string]string{
		"t":                      "",
		"t#ephemeral":            "",
		"":                       "The name of the topic is missing.",
		"a b":                    `"a b" is no name of a topic.`,
		"*":                      `"*" is no name of a topic.`,
		strings.Repeat("x", 65):  "is too long: it has 65 characters.",
		"<script>alert</script>": "is no name of a topic.",
	} {
		if got := nameProblem(ofTopic, name); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestBodiesOfCurlAreJSON(t *testing.T) {
	for _, body := range []string{jsonObject("topic", "a.b_c-1#ephemeral", "channel", ""), jsonObject("action", "pause")} {
		if !json.Valid([]byte(body)) {
			t.Errorf("%s is no JSON", body)
		}
	}
}
