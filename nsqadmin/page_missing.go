package nsqadmin

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

// The pages in place of a topic or channel that no nsqd has.

// missingData is what missing.html shows.
type missingData struct {
	Topic, Channel string // Channel is "" where the topic is missing
	Valid          bool   // there could be one of that name
	Similar        []string

	// Of what nsqlookupds know and no nsqd has:
	Lookupds []string // that know it
	Channels []string // of the topic
	Silent   []silentDaemon

	Commands []commandHint
}

// topicMissing answers for a topic that no nsqd has: with 404, unless an
// nsqlookupd knows it.
func (s *httpServer) topicMissing(w http.ResponseWriter, r *http.Request, v *watch.View, topic string) {
	data := missingData{
		Topic: topic,
		Valid: wire.ValidName(topic),
	}
	status := http.StatusOK
	for _, l := range v.Lookupds {
		channels, ok := l.Topics[topic]
		if !ok {
			continue
		}
		data.Lookupds = append(data.Lookupds, l.Address)
		data.Channels = append(data.Channels, channels...)
	}
	slices.Sort(data.Channels)
	data.Channels = slices.Compact(data.Channels)
	data.Silent = silentNodes(v, func(n *watch.NodeState) bool { return n.Has(topic) })
	if len(data.Lookupds) > 0 || len(data.Silent) > 0 {
		data.Commands = s.commands(r, action{Topic: topic}, "delete_topic")
	} else {
		status = http.StatusNotFound
		data.Similar = similar(topic, v.Topics)
		if data.Valid {
			data.Commands = s.commands(r, action{Topic: topic}, "create_topic")
		}
	}
	s.page(w, r, status, "missing", page{
		Title: topic, Nav: "topics", Data: data,
		Crumbs: []crumb{{"Topics", s.url("topics")}},
	})
}

// channelMissing answers for a channel that no nsqd has.
func (s *httpServer) channelMissing(w http.ResponseWriter, r *http.Request, v *watch.View, topic, channel string) {
	t, ok := v.TopicRow(topic)
	if !ok {
		s.topicMissing(w, r, v, topic)
		return
	}
	data := missingData{
		Topic:   topic,
		Channel: channel,
		Valid:   wire.ValidName(channel),
	}
	status := http.StatusOK
	for _, l := range v.Lookupds {
		if slices.Contains(l.Topics[topic], channel) {
			data.Lookupds = append(data.Lookupds, l.Address)
		}
	}
	data.Silent = silentNodes(v, func(n *watch.NodeState) bool { return n.MayHave(topic, channel) })
	a := action{Topic: topic, Channel: channel}
	if len(data.Lookupds) > 0 || len(data.Silent) > 0 {
		data.Commands = s.commands(r, a, "delete_channel")
	} else {
		status = http.StatusNotFound
		data.Similar = similar(channel, channelNames(&t))
		if data.Valid {
			data.Commands = s.commands(r, a, "create_channel")
		}
	}
	s.page(w, r, status, "missing", page{
		Title: topic + " / " + channel, Nav: "topics", Data: data,
		Crumbs: []crumb{{"Topics", s.url("topics")}, {topic, s.url("topics", topic)}},
	})
}

func channelNames(t *watch.TopicRow) (names []string) {
	for i := range t.Channels {
		names = append(names, t.Channels[i].Name)
	}
	return names
}

// maxSimilar is how many names are offered in place of one that is not there.
const maxSimilar = 10

// similar returns the names that somebody may have meant, the most likely first.
func similar(name string, names []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var list []candidate
	lower := strings.ToLower(name)
	if name == "" {
		names = nil // every name contains it
	}
	for _, n := range names {
		other := strings.ToLower(n)
		d := distance(lower, other)
		if d <= max(1, min(len(lower), len(other))/4) || strings.Contains(other, lower) || strings.Contains(lower, other) {
			list = append(list, candidate{n, d})
		}
	}
	slices.SortStableFunc(list, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	found := []string{}
	for _, c := range list[:min(maxSimilar, len(list))] {
		found = append(found, c.name)
	}
	return found
}

// distance is how many bytes one must insert, delete or replace to get from a to
// b. What is too long for a name is far from everything.
func distance(a, b string) int {
	if max(len(a), len(b)) > 2*wire.MaxNameLen {
		return max(len(a), len(b))
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
