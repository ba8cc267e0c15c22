package nsqadmin

import (
	"net/http"
	"slices"
	"strings"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/nsqadmin/internal/table"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

// lookupPage is /lookup.
type lookupPage struct {
	Lookupds []lookupRow
	Nodes    int // that are known
	Orphans  *table.Table[orphan]
	Form     createForm
}

// A lookupRow is an nsqlookupd.
type lookupRow struct {
	watch.LookupdState
	TopicCount, ChannelCount int
}

// Why tells why it does not answer.
func (r lookupRow) Why() string { return cluster.Reason(r.Err) }

// An orphan is a topic without a producer, or a channel that no producer of its
// topic has: left behind, or created and not yet used.
type orphan struct {
	Topic, Channel string   // the latter "" for a topic
	Channels       []string // of a topic
	Lookupds       []string // that know it
}

// A createForm is what was typed to create a topic and a channel, and what is
// wrong with it.
type createForm struct{ Topic, Channel, Durability, Problem string }

// Durabilities are those to choose from.
func (createForm) Durabilities() []string { return durabilities }

// TopicWrong reports whether the problem is the topic's name.
func (f createForm) TopicWrong() bool { return f.Problem != "" && nameProblem(ofTopic, f.Topic) != "" }

// ChannelWrong reports whether the problem is the channel's name.
func (f createForm) ChannelWrong() bool {
	return f.Problem != "" && !f.TopicWrong() && f.Channel != "" && nameProblem(ofChannel, f.Channel) != ""
}

// DurabilityWrong reports whether the problem is the durability.
func (f createForm) DurabilityWrong() bool {
	return f.Problem != "" && !f.TopicWrong() && !f.ChannelWrong()
}

var orphanColumns = []table.Column[orphan]{
	{Key: "name", Name: "Name", Title: "Of the topic, or topic/channel", Compare: table.By(orphan.name)},
	{Key: "kind", Name: "Kind", Title: "What it is", Compare: table.By(func(o orphan) string { return o.Kind() })},
	{Key: "channels", Name: "Channels", Title: "That go with the topic", Compare: table.By(func(o orphan) int { return len(o.Channels) })},
	{Key: "lookupds", Name: "Known to", Title: "The nsqlookupds that have it registered", Compare: table.By(func(o orphan) int { return len(o.Lookupds) })},
}

// Kind is what it is, in words.
func (o orphan) Kind() string {
	if o.Channel == "" {
		return "topic without a producer"
	}
	return "channel that no node has"
}

func (o orphan) name() string {
	if o.Channel == "" {
		return o.Topic
	}
	return o.Topic + "/" + o.Channel
}

func (s *httpServer) lookupPage(w http.ResponseWriter, r *http.Request) {
	s.showLookup(w, r, http.StatusOK, createForm{})
}

// showLookup shows the page with a form that was filled in, or not yet.
func (s *httpServer) showLookup(w http.ResponseWriter, r *http.Request, status int, form createForm) {
	v := s.n.poller.View()
	data := lookupPage{Form: form, Nodes: len(v.Nodes)}
	for _, l := range v.Lookupds {
		row := lookupRow{LookupdState: l, TopicCount: len(l.Topics)}
		for _, channels := range l.Topics {
			row.ChannelCount += len(channels)
		}
		data.Lookupds = append(data.Lookupds, row)
	}
	columns := orphanColumns
	if _, ok := s.admin(r); ok {
		columns = append(slices.Clip(columns), table.Column[orphan]{Key: "action", Name: "Action", Numeric: true, Title: "What can be done with it"})
	}
	data.Orphans = table.New(r.URL.Query(), "", columns, orphans(v), func(o orphan, text string) bool {
		return table.Contains(text, o.name())
	})
	s.page(w, r, status, "lookup", page{Title: "Lookup", Nav: "lookup", Data: data})
}

// orphans returns the topics without producers, and the channels of others that
// none of their producers has, by name. As long as a node does not answer, the
// channels of its topics may be there.
func orphans(v *watch.View) []orphan {
	byName := map[string]*orphan{}
	here := present(v)
	for _, l := range v.Lookupds {
		for topic, channels := range l.Topics {
			found, produced := here[topic]
			if !produced {
				o := orphanOf(byName, topic, "", l.Address)
				for _, ch := range channels {
					if !slices.Contains(o.Channels, ch) {
						o.Channels = append(o.Channels, ch)
					}
				}
				continue
			}
			if found == nil { // a node that has not answered may have any of them
				continue
			}
			for _, ch := range channels {
				if !found[ch] {
					orphanOf(byName, topic, ch, l.Address)
				}
			}
		}
	}
	list := make([]orphan, 0, len(byName))
	for _, o := range byName {
		slices.Sort(o.Channels)
		list = append(list, *o)
	}
	slices.SortFunc(list, func(a, b orphan) int { return strings.Compare(a.name(), b.name()) })
	return list
}

func orphanOf(byName map[string]*orphan, topic, channel, lookupd string) *orphan {
	key := topic + "/" + channel // neither name has a slash
	o := byName[key]
	if o == nil {
		o = &orphan{Topic: topic, Channel: channel}
		byName[key] = o
	}
	o.Lookupds = append(o.Lookupds, lookupd)
	return o
}

// present returns the channels of every topic that a node has; nil where one of
// its nodes does not answer, so that nobody knows them all.
func present(v *watch.View) map[string]map[string]bool {
	topics := map[string]map[string]bool{}
	silent := map[string]bool{}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		for _, t := range n.Topics {
			if topics[t.Topic] == nil {
				topics[t.Topic] = map[string]bool{}
			}
			silent[t.Topic] = silent[t.Topic] || n.Err != nil || n.Stats == nil
		}
		if n.Stats == nil {
			continue
		}
		for _, t := range n.Stats.Topics {
			channels := topics[t.Name]
			if channels == nil {
				channels = map[string]bool{}
				topics[t.Name] = channels
			}
			for _, ch := range t.Channels {
				channels[ch.Name] = true
			}
			silent[t.Name] = silent[t.Name] || n.Err != nil
		}
	}
	for topic, is := range silent {
		if is {
			topics[topic] = nil
		}
	}
	return topics
}
