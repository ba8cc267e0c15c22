package nsqadmin

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

// What the pages say about actions before they are done: on which nodes, with
// what effect in numbers, and how a script would do the same.

// An actionKind is one of the things that can be done.
type actionKind struct {
	Name   string // as in notifications
	Verb   string // for buttons and headings
	Done   string // the same when it is done
	Of     string // what it is done to: topic, channel, or a topic on a node
	Danger bool   // it cannot be undone
	new    bool   // what it is done to need not exist

	Chooses bool // its page has the durabilities to choose from

	method string // of this program's API
	body   string // the action in the body of a POST
	effect func(s scope) string
}

const (
	ofTopic   = "topic"
	ofChannel = "channel"
	ofNode    = "topic on a node"
)

// actionKinds are all of them.
var actionKinds = []actionKind{
	{Name: "create_topic", Verb: "Create", Done: "Created", Of: ofTopic, new: true, method: http.MethodPost, effect: createTopicEffect},
	{Name: "create_channel", Verb: "Create", Done: "Created", Of: ofChannel, new: true, method: http.MethodPost, effect: createChannelEffect},
	{Name: "pause_topic", Verb: "Pause", Done: "Paused", Of: ofTopic, method: http.MethodPost, body: "pause", effect: pauseTopicEffect},
	{Name: "unpause_topic", Verb: "Unpause", Done: "Unpaused", Of: ofTopic, method: http.MethodPost, body: "unpause", effect: unpauseTopicEffect},
	{Name: "empty_topic", Verb: "Empty", Done: "Emptied", Of: ofTopic, Danger: true, method: http.MethodPost, body: "empty", effect: emptyTopicEffect},
	{Name: "change_topic_durability", Verb: "Change durability", Done: "Changed", Of: ofTopic, Chooses: true, method: http.MethodPost, body: "change_durability", effect: changeTopicEffect},
	{Name: "delete_topic", Verb: "Delete", Done: "Deleted", Of: ofTopic, Danger: true, method: http.MethodDelete, effect: deleteTopicEffect},
	{Name: "pause_channel", Verb: "Pause", Done: "Paused", Of: ofChannel, method: http.MethodPost, body: "pause", effect: pauseChannelEffect},
	{Name: "unpause_channel", Verb: "Unpause", Done: "Unpaused", Of: ofChannel, method: http.MethodPost, body: "unpause", effect: unpauseChannelEffect},
	{Name: "empty_channel", Verb: "Empty", Done: "Emptied", Of: ofChannel, Danger: true, method: http.MethodPost, body: "empty", effect: emptyChannelEffect},
	{Name: "delete_channel", Verb: "Delete", Done: "Deleted", Of: ofChannel, Danger: true, method: http.MethodDelete, effect: deleteChannelEffect},
	{Name: "tombstone_topic_producer", Verb: "Tombstone", Done: "Tombstoned", Of: ofNode, Danger: true, method: http.MethodDelete, effect: tombstoneEffect},
}

// Noun is what it is done to, as in "Delete topic t" or "Change durability of topic t".
func (k actionKind) Noun() string {
	switch {
	case k.Chooses:
		return "of topic"
	case k.Of == ofChannel:
		return "channel"
	}
	return "topic"
}

// kindOf returns the kind with that name.
func kindOf(name string) (actionKind, bool) {
	for _, k := range actionKinds {
		if k.Name == name {
			return k, true
		}
	}
	return actionKind{}, false
}

// A scope is what an action is done to, in numbers: as the nodes said last.
type scope struct {
	action
	Nodes    []scopeNode
	Lookupds int
	Channels int // of the topic, each counted once
	held         // the sums
	Unknown  int // nodes that have said nothing of it for a while, or never
}

// A scopeNode is the part of a scope that is on one node.
type scopeNode struct {
	Node    watch.NodeState
	Present bool   // it has the topic or channel, as far as is known
	Has     string // the topic's durability, "" if that is not known
	held
}

// held is what is there.
type held struct {
	Waiting, InFlight, Deferred int64
	Consumers                   int
}

func (h held) messages() int64 { return h.Waiting + h.InFlight + h.Deferred }

func (h *held) add(other held) {
	h.Waiting += other.Waiting
	h.InFlight += other.InFlight
	h.Deferred += other.Deferred
	h.Consumers += other.Consumers
}

func heldBy(ch *stats.Channel) held {
	return held{ch.Depth, int64(ch.InFlight), int64(ch.Deferred), ch.ClientCount}
}

// holds returns what an action concerns on a node: of a topic its own queue
// and, where they go with it, its channels.
func (k actionKind) holds(a action, s *stats.Stats) (h held, channels []string, present bool) {
	for i := range s.Topics {
		t := &s.Topics[i]
		if t.Name != a.Topic {
			continue
		}
		if k.Of != ofChannel {
			h.Waiting = t.Depth
			present = true
		}
		for j := range t.Channels {
			ch := &t.Channels[j]
			channels = append(channels, ch.Name)
			switch {
			case k.Of == ofChannel && ch.Name == a.Channel:
				h, present = heldBy(ch), true
			case k.Name == "delete_topic" || k.Chooses || k.Of == ofNode:
				h.add(heldBy(ch))
			}
		}
	}
	return h, channels, present
}

// mustType reports whether the name has to be typed: what is deleted has
// messages, or nobody can say whether it has.
func (k actionKind) mustType(s scope) bool { return k.Danger && (s.messages() > 0 || s.Unknown > 0) }

// kept is what each durability means to who publishes.
var kept = map[string]string{
	"memory": "what is published is lost when nsqd is killed",
	"disk":   "what is published survives when nsqd is killed",
	"fsync":  "what is published survives a power cut",
}

// createDurableEffect is the effect where a durability was chosen.
func createDurableEffect(s scope) string {
	what, registers := "the topic", ""
	if s.Channel != "" {
		what = "topic and channel"
	}
	if s.Lookupds > 0 {
		registers = fmt.Sprintf("Registers %s with %s. ", what, chart.Several(s.Lookupds, "nsqlookupd"))
	}
	return fmt.Sprintf("%sCreates %s on %s, with durability %s: %s. A node that has the topic with another one must have no message of it.",
		registers, what, chart.Several(len(s.Nodes), "node"), s.Durability, kept[s.Durability])
}

func createTopicEffect(s scope) string {
	if s.Durability != "" {
		return createDurableEffect(s)
	}
	if s.Lookupds == 0 {
		return fmt.Sprintf("Creates the topic on %s.", chart.Several(len(s.Nodes), "node"))
	}
	return fmt.Sprintf("Registers the topic with %s. A node creates it when a message is published there.", chart.Several(s.Lookupds, "nsqlookupd"))
}

func createChannelEffect(s scope) string {
	if s.Durability != "" {
		return createDurableEffect(s)
	}
	if s.Lookupds == 0 {
		return fmt.Sprintf("Creates topic and channel on %s. The channel gets every message published from then on.", chart.Several(len(s.Nodes), "node"))
	}
	if len(s.Nodes) == 0 {
		return fmt.Sprintf("Registers topic and channel with %s. No node has the topic yet: one that creates it has the channel from the first message on.", chart.Several(s.Lookupds, "nsqlookupd"))
	}
	return fmt.Sprintf("Registers topic and channel with %s and creates the channel on %s that has the topic. It gets every message published from then on.",
		chart.Several(s.Lookupds, "nsqlookupd"), chart.Several(len(s.Nodes), "node"))
}

func pauseTopicEffect(s scope) string {
	return fmt.Sprintf("Messages that are published wait in the topic, and its %s get no new ones until it is unpaused. %s there now.",
		chart.Several(s.Channels, "channel"), wait(s.Waiting))
}

func unpauseTopicEffect(s scope) string {
	return fmt.Sprintf("%s in the topic and go to its %s.", wait(s.Waiting), chart.Several(s.Channels, "channel"))
}

func emptyTopicEffect(s scope) string {
	return fmt.Sprintf("Deletes %s waiting in the topic itself. What its %s hold already stays there.",
		chart.Several(s.Waiting, "message"), chart.Several(s.Channels, "channel"))
}

func changeTopicEffect(s scope) string {
	return fmt.Sprintf("Changes what the OK of a publish means, on %s. From disk to fsync and back that is done at any time. To and from memory it is done only where the topic and its channels have no message, waiting, in flight or deferred; consumers are disconnected then, and come back. The topic has %s now.",
		chart.Several(len(s.Nodes), "node"), s.breakdown())
}

func deleteTopicEffect(s scope) string {
	return fmt.Sprintf("Deletes the topic, its %s and %s, and disconnects %s. A producer that goes on publishing creates the topic again.",
		chart.Several(s.Channels, "channel"), s.breakdown(), chart.Several(s.Consumers, "consumer"))
}

func pauseChannelEffect(s scope) string {
	return fmt.Sprintf("%s no more messages until it is unpaused; the channel goes on collecting them. %s now, and %s in flight can still be finished.",
		subject(s.Consumers, "consumer", "gets", "get"), wait(s.Waiting), chart.Several(s.InFlight, "message"))
}

func unpauseChannelEffect(s scope) string {
	return fmt.Sprintf("%s messages again. %s now.", subject(s.Consumers, "consumer", "gets", "get"), wait(s.Waiting))
}

func emptyChannelEffect(s scope) string {
	return fmt.Sprintf("Deletes %s. Consumers stay connected.", s.breakdown())
}

func deleteChannelEffect(s scope) string {
	return fmt.Sprintf("Deletes the channel with %s, and disconnects %s. A consumer that subscribes again creates it again, empty.",
		s.breakdown(), chart.Several(s.Consumers, "consumer"))
}

func tombstoneEffect(s scope) string {
	return fmt.Sprintf("Has %s hide this node from consumers of the topic for a while (their --tombstone-lifetime), and deletes the topic there with %s. Other nodes keep theirs. Stop publishing to this node first, or it has the topic again.",
		chart.Several(s.Lookupds, "nsqlookupd"), s.breakdown())
}

// breakdown is how many messages of which sort there are.
func (h held) breakdown() string {
	text := chart.Several(h.messages(), "message")
	if h.InFlight == 0 && h.Deferred == 0 {
		return text
	}
	return fmt.Sprintf("%s (%s waiting, %s in flight, %s deferred)", text, chart.Count(h.Waiting), chart.Count(h.InFlight), chart.Count(h.Deferred))
}

func wait(n int64) string { return subject(n, "message", "waits", "wait") }

func subject[N int | int64](n N, noun, one, more string) string {
	if n == 1 {
		return "1 " + noun + " " + one
	}
	return chart.Several(n, noun) + " " + more
}

// curl is the command that does the same through this program's API at base,
// the URL of the front page without a slash at the end. headers are sent, too.
func (k actionKind) curl(base string, a action, headers ...string) string {
	path, body := "/api/topics", ""
	switch {
	case k.new:
		body = jsonObject("topic", a.Topic, "channel", a.Channel, "durability", a.Durability)
	case k.Of == ofNode:
		path = "/api/nodes/" + url.PathEscape(a.Node)
		body = jsonObject("topic", a.Topic)
	default:
		path += "/" + url.PathEscape(a.Topic)
		if k.Of == ofChannel {
			path += "/" + url.PathEscape(a.Channel)
		}
		body = jsonObject("action", k.body, "durability", a.Durability)
	}
	words := []string{"curl -X", k.method}
	for _, h := range headers {
		words = append(words, "-H", shellQuote(h))
	}
	if body != "{}" {
		words = append(words, "-d", shellQuote(body))
	}
	return strings.Join(append(words, shellQuote(base+path)), " ")
}

// jsonObject encodes names and values, without those that are empty. They are
// names of topics and channels and need no escapes.
func jsonObject(pairs ...string) string {
	var fields []string
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fields = append(fields, fmt.Sprintf("%q:%q", pairs[i], pairs[i+1]))
		}
	}
	return "{" + strings.Join(fields, ",") + "}"
}

// ownURL is the URL of the front page, without a slash at the end, by which who
// asks has reached this program.
func (s *httpServer) ownURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Scheme") == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host + s.n.opts.basePath()
}

// curlHeaders are those that a script sends in place of the proxy that says who
// the user is.
func (s *httpServer) curlHeaders(user string) []string {
	if len(s.access.admins) == 0 || user == "" {
		return nil
	}
	return []string{s.access.header + ": " + user}
}
