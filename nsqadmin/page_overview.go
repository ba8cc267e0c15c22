package nsqadmin

import (
	"cmp"
	"math"
	"net/http"
	"slices"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/history"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

// How much of long lists the front page shows.
const (
	shownAlerts  = 8
	shownBusiest = 10
)

// An overviewPage is the data of the front page.
type overviewPage struct {
	*watch.View
	Answering int // nsqds
	Channels  int
	Start     *firstSteps   // nil where there are topics to show
	Alerts    []watch.Alert // the most severe
	MoreAlert []watch.Alert // the others
	Charts    []chart.Chart
	Busiest   []busyTopic
}

// A busyTopic is one of the topics with most traffic.
type busyTopic struct {
	watch.TopicRow
	DepthSpark []float64
	RateSpark  []float64
}

// firstSteps tell somebody who sees an empty page what is missing.
type firstSteps struct {
	Title, Text string
	Commands    []string
}

// overview is the front page.
func (s *httpServer) overview(w http.ResponseWriter, r *http.Request) {
	v := s.n.poller.View()
	s.page(w, r, http.StatusOK, "overview", page{Title: "Overview", Nav: "overview", Names: true, Data: newOverview(v)})
}

func newOverview(v *watch.View) overviewPage {
	p := overviewPage{View: v, Start: firstStepsOf(v), Busiest: busiest(v)}
	for i := range v.Nodes {
		if v.Nodes[i].Counts(v.At) && v.Nodes[i].Err == nil {
			p.Answering++
		}
	}
	for _, t := range v.TopicRows() {
		p.Channels += len(t.Channels)
	}
	all := watch.Alerts(v.Attention())
	n := min(len(all), shownAlerts)
	p.Alerts, p.MoreAlert = all[:n], all[n:]
	if p.Start == nil {
		p.Charts = historyCharts(v.Series(history.Key{}))
	}
	return p
}

// busiest returns the topics to which most is published, and of those with the
// same rate the ones with most messages that wait.
func busiest(v *watch.View) []busyTopic {
	rows := busiestOf(v.TopicRows())
	topics := make([]busyTopic, len(rows))
	for i, row := range rows {
		k := history.Key{Topic: row.Name}
		topics[i] = busyTopic{
			TopicRow:   row,
			DepthSpark: v.Spark(k, history.Depth),
			RateSpark:  v.Spark(k, history.Publish),
		}
	}
	return topics
}

func busiestOf(rows []watch.TopicRow) []watch.TopicRow {
	rate := func(t watch.TopicRow) float64 {
		if math.IsNaN(t.Publish) {
			return -1
		}
		return t.Publish
	}
	slices.SortStableFunc(rows, func(a, b watch.TopicRow) int {
		return cmp.Or(cmp.Compare(rate(b), rate(a)), cmp.Compare(b.Waiting(), a.Waiting()))
	})
	return rows[:min(len(rows), shownBusiest)]
}

// firstStepsOf returns what to do where there is nothing to see yet, nil where
// there is.
func firstStepsOf(v *watch.View) *firstSteps {
	silentNodes, silentLookupds, failed := 0, 0, 0
	for i := range v.Nodes {
		if v.Nodes[i].Stats == nil {
			silentNodes++
		}
		if v.Nodes[i].Err != nil {
			failed++
		}
	}
	for i := range v.Lookupds {
		if v.Lookupds[i].Answered.IsZero() {
			silentLookupds++
		}
		if v.Lookupds[i].Err != nil {
			failed++
		}
	}
	switch {
	case failed == 0 && silentLookupds == len(v.Lookupds) && silentNodes == len(v.Nodes):
		return &firstSteps{
			Title: "Asking the daemons",
			Text:  "nsqadmin has just started, and no daemon has answered yet.",
		}
	case len(v.Nodes) == 0 && len(v.Lookupds) > 0 && silentLookupds == len(v.Lookupds):
		return &firstSteps{
			Title:    "No nsqlookupd answers",
			Text:     "Without one it is not known which nsqds there are. Is nsqlookupd running, is this the address of its HTTP API (port 4161, not 4160), and can this machine reach it? nsqadmin asks again by itself.",
			Commands: commandsFor(v.Lookupds, func(l watch.LookupdState) string { return shellCommand("curl", "http://"+l.Address+"/ping") }),
		}
	case len(v.Nodes) == 0:
		return &firstSteps{
			Title:    "No nsqd is registered",
			Text:     "nsqlookupd answers and knows no nsqd yet. Start one and tell it where nsqlookupd listens for TCP (port 4160 by default).",
			Commands: []string{"nsqd --lookupd-tcp-address=127.0.0.1:4160"},
		}
	case silentNodes == len(v.Nodes):
		return &firstSteps{
			Title:    "No nsqd answers",
			Text:     "They are known by these addresses, and none could be asked so far. An nsqd behind a proxy or in a container must be told with --broadcast-address where others reach it.",
			Commands: commandsFor(v.Nodes, func(n watch.NodeState) string { return shellCommand("curl", "http://"+n.Address+"/ping") }),
		}
	case len(v.Topics) == 0:
		return &firstSteps{
			Title: "Ready for the first message",
			Text:  "There is no topic yet. Publishing to a topic creates it, and it shows here two seconds later.",
			Commands: commandsFor(answeringNodes(v), func(n watch.NodeState) string {
				return shellCommand("curl", "-d", "hello", "http://"+n.Address+"/pub?topic=greetings")
			}),
		}
	}
	return nil
}

func answeringNodes(v *watch.View) []watch.NodeState {
	var nodes []watch.NodeState
	for i := range v.Nodes {
		if v.Nodes[i].Stats != nil && v.Nodes[i].Err == nil {
			nodes = append(nodes, v.Nodes[i])
		}
	}
	return nodes[:min(len(nodes), 1)] // any will do
}

// commandsFor returns commands for the first few of a list.
func commandsFor[T any](list []T, command func(T) string) []string {
	const few = 4
	var commands []string
	for _, item := range list[:min(len(list), few)] {
		commands = append(commands, command(item))
	}
	return commands
}
