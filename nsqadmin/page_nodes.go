package nsqadmin

import (
	"cmp"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/history"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/nsqadmin/internal/table"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

// A nodeRow is a node on the page of all nodes.
type nodeRow struct {
	*watch.NodeState
	Findings      []watch.Finding
	Registrations []watch.Registration
	Registered    int     // with how many nsqlookupds
	Counted       bool    // its numbers are known, and not too old
	Started       int64   // seconds since the Unix epoch, 0 if not known
	Publish       float64 // messages per second, NaN for unknown
	Finish        float64 // likewise
	rank          int     // how bad the findings are, the worst first
}

var nodeColumns = []table.Column[nodeRow]{
	{Key: "host", Name: "Node", Title: "Hostname, and the addresses under which clients reach it", Compare: table.By(func(r nodeRow) string { return r.Hostname })},
	{Key: "state", Name: "State", Title: "Whether it is healthy and registered, and how long its last answer took", Compare: nodeRow.compareState},
	{Key: "version", Name: "Version", Title: "Of nsqd, and the region and zone in which it runs", Compare: table.By(func(r nodeRow) string { return r.Version })},
	{Key: "lookupds", Name: "Registered", Title: "With how many of the nsqlookupds", Numeric: true, Compare: table.By(func(r nodeRow) int { return r.Registered })},
	{Key: "topics", Name: "Topics", Title: "That it has", Numeric: true, Compare: table.By(func(r nodeRow) int { return r.TopicCount() })},
	{Key: "depth", Name: "Depth", Title: "Messages that wait in topics and channels", Numeric: true, Compare: table.By(func(r nodeRow) int64 { return r.Totals.Depth })},
	{Key: "publish", Name: "Published", Title: "Messages that are published each second", Numeric: true, Compare: table.By(func(r nodeRow) float64 { return r.Publish })},
	{Key: "finish", Name: "Finished", Title: "Messages that consumers finish each second", Numeric: true, Compare: table.By(func(r nodeRow) float64 { return r.Finish })},
	{Key: "consumers", Name: "Consumers", Title: "Connections that are subscribed", Numeric: true, Compare: table.By(func(r nodeRow) int64 { return r.Totals.Consumers })},
	{Key: "uptime", Name: "Uptime", Title: "How long ago it was started", Numeric: true, Compare: table.By(nodeRow.uptime)},
}

// compareState has the worst come first, and of those that are equally well the
// slowest to answer.
func (r nodeRow) compareState(other nodeRow) int {
	return cmp.Or(cmp.Compare(r.rank, other.rank), cmp.Compare(other.Took, r.Took))
}

// uptime orders nodes: those of which it is not known come last.
func (r nodeRow) uptime() int64 {
	if r.Started == 0 {
		return math.MinInt64
	}
	return -r.Started
}

// StartTime is when it started, the zero time if that is not known.
func (r nodeRow) StartTime() time.Time {
	if r.Started == 0 {
		return time.Time{}
	}
	return time.Unix(r.Started, 0)
}

// Place is its region and zone.
func (r nodeRow) Place() string {
	return strings.Join(slices.DeleteFunc([]string{r.Region, r.Zone}, func(s string) bool { return s == "" }), ", ")
}

// Silent reports whether it does not answer, has not yet, or is missing.
func (r nodeRow) Silent() bool { return r.Err != nil || r.Missing || r.Stats == nil }

// TopicCount is how many topics it has, as it says itself or as the nsqlookupds
// know.
func (r nodeRow) TopicCount() int {
	if r.Stats != nil {
		return len(r.Stats.Topics)
	}
	return len(r.Topics)
}

// clusterRoutes adds the pages of nodes and nsqlookupds, and those that are of
// everything: the counter, the search and the actions.
func (s *httpServer) clusterRoutes() {
	s.server.Page("GET", "/nodes", s.nodesPage)
	s.server.Page("GET", "/nodes/:node", s.nodePage)
	s.server.Page("GET", "/lookup", s.lookupPage)
	s.server.Page("GET", "/counter", s.counterPage)
	s.server.Page("GET", "/search", s.searchPage)
	s.server.Page("GET", "/action", s.actionPage)
	s.server.Page("POST", "/action", s.act)
}

// nodesPage is /nodes.
type nodesPage struct {
	Table     *table.Table[nodeRow]
	Silent    int // that do not answer, or are missing
	OutOfDate int
	Lookupds  int // that nodes register with
	Totals    watch.Counts
	Topics    int
}

// nodeTotals are sums over nodes, as they said last.
type nodeTotals struct {
	Depth, InFlight, Deferred int64
	Messages                  uint64
	Topics, Channels          int
	Consumers                 int
}

func (s *httpServer) nodesPage(w http.ResponseWriter, r *http.Request) {
	v := s.n.poller.View()
	data := nodesPage{Lookupds: len(v.Lookupds), Totals: v.Totals, Topics: len(v.Topics)}
	rows := make([]nodeRow, 0, len(v.Nodes))
	for i := range v.Nodes {
		row := newNodeRow(v, &v.Nodes[i])
		rows = append(rows, row)
		if row.Silent() {
			data.Silent++
		}
		if row.OutOfDate {
			data.OutOfDate++
		}
	}
	slices.SortStableFunc(rows, func(a, b nodeRow) int { return cmp.Compare(a.rank, b.rank) }) // what needs attention on top
	data.Table = table.New(r.URL.Query(), "", nodeColumns, rows, func(row nodeRow, text string) bool {
		return table.Contains(text, row.Hostname, row.Address, row.BroadcastAddress, row.Version, row.Region, row.Zone)
	})
	s.page(w, r, http.StatusOK, "nodes", page{Title: "Nodes", Nav: "nodes", Data: data})
}

// newNodeRow returns what the page of all nodes shows of one.
func newNodeRow(v *watch.View, n *watch.NodeState) nodeRow {
	row := nodeRow{NodeState: n, Findings: nodeFindings(v, n), Registrations: v.Registrations(n), Counted: n.Counts(v.At)}
	row.Publish, row.Finish = v.Rates(history.Key{Node: n.Address})
	row.rank = rankOf(row.Findings)
	for _, reg := range row.Registrations {
		if len(reg.Peers) > 0 {
			row.Registered++
		}
	}
	if n.Stats != nil {
		row.Started = n.Stats.StartTime
	}
	return row
}

// nodeFindings are all findings about a node, also those that are nothing to
// attend to at once, or are said of the cluster as a whole.
func nodeFindings(v *watch.View, n *watch.NodeState) []watch.Finding {
	list := v.Findings(n)
	if n.Err == nil && n.Stats == nil {
		list = append(list, watch.Finding{Severity: watch.Warning, Word: "no answer yet", Text: "has been asked and has not answered yet"})
	}
	if n.OutOfDate {
		list = append(list, watch.Finding{Severity: watch.Warning, Word: "old version", Text: "has an older version than other nodes"})
	}
	return list
}

// rankOf is how bad the worst of the findings is.
func rankOf(list []watch.Finding) int {
	switch {
	case len(list) == 0:
		return 2
	case list[0].Severity == watch.Problem:
		return 0
	}
	return 1
}

// add adds what a node said.
func (t *nodeTotals) add(s *stats.Stats) {
	if s == nil {
		return
	}
	t.Topics += len(s.Topics)
	for i := range s.Topics {
		topic := &s.Topics[i]
		t.Depth += topic.Depth
		t.Messages += topic.Messages
		t.Channels += len(topic.Channels)
		for j := range topic.Channels {
			ch := &topic.Channels[j]
			t.Depth += ch.Depth
			t.InFlight += int64(ch.InFlight)
			t.Deferred += int64(ch.Deferred)
			t.Consumers += ch.ClientCount
		}
	}
}
