package nsqadmin

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

// maxHits is how many are shown.
const maxHits = 200

// searchPage is /search.
type searchPage struct {
	Query   string
	Hits    []hit // the best ones
	Found   int
	Clients bool           // nodes were asked for their clients, too
	Silent  []silentDaemon // that did not tell them
}

func (s *httpServer) searchPage(w http.ResponseWriter, r *http.Request) {
	v := s.n.poller.View()
	values := r.URL.Query()
	data := searchPage{Query: strings.Join(strings.Fields(values.Get("q")), " "), Clients: values.Get("clients") != ""}
	if data.Query != "" {
		found := search{query: strings.ToLower(data.Query)}
		found.view(v)
		if data.Clients {
			data.Silent = s.searchClients(r.Context(), v, &found)
		}
		data.Hits = found.ranked()
		data.Found = len(data.Hits)
		data.Hits = data.Hits[:min(maxHits, data.Found)]
	}
	s.page(w, r, http.StatusOK, "search", page{Title: "Search", Search: data.Query, Data: data})
}

// view offers what a view has.
func (s *search) view(v *watch.View) {
	for _, t := range v.TopicRows() {
		h := hit{Kind: "topic", Name: t.Name, Detail: "no node has it", Page: []string{"topics", t.Name}}
		if t.Nodes > 0 {
			h.Detail = fmt.Sprintf("%s waiting, %s, on %s", chart.Several(t.Depth+t.In.Depth, "message"), chart.Several(len(t.Channels), "channel"), chart.Several(t.Nodes, "node"))
		}
		s.offer(h)
		for _, ch := range t.Channels {
			s.offer(hit{
				Kind:   "channel",
				Name:   t.Name + "/" + ch.Name,
				Detail: fmt.Sprintf("%s waiting, %s", chart.Several(ch.Depth, "message"), chart.Several(ch.Consumers, "consumer")),
				Page:   []string{"topics", t.Name, ch.Name},
			}, ch.Name)
		}
	}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		s.offer(hit{
			Kind:   "node",
			Name:   cmp.Or(n.Hostname, n.Address),
			Detail: fmt.Sprintf("%s, %s", n.Address, n.Version),
			Page:   []string{"nodes", n.Address},
		}, n.Address, n.BroadcastAddress)
	}
	for _, l := range v.Lookupds {
		s.offer(hit{Kind: "nsqlookupd", Name: l.Address, Detail: l.Version, Page: []string{"lookup"}})
	}
}

// searchClients offers the producers and consumers of all nodes, which are asked
// for them, and returns those that did not tell.
func (s *httpServer) searchClients(ctx context.Context, v *watch.View, found *search) (silent []silentDaemon) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	addresses := make([]string, len(v.Nodes))
	for i := range v.Nodes {
		addresses[i] = v.Nodes[i].Address
	}
	for i, answer := range cluster.Ask(addresses, func(address string) (*stats.Stats, error) {
		return s.n.client.Stats(ctx, address, cluster.StatsQuery{Clients: true})
	}) {
		if answer.Err != nil {
			silent = append(silent, silentNode(&v.Nodes[i], noAnswer(answer.Err)))
			continue
		}
		found.clients(answer.Address, answer.Value)
	}
	return silent
}

// clients offers the connections of a node.
func (s *search) clients(node string, st *stats.Stats) {
	for _, c := range st.Producers {
		var topics []string
		for _, p := range c.Published {
			topics = append(topics, p.Topic)
		}
		s.client("producer", c, fmt.Sprintf("%s, publishes to %s on %s", c.UserAgent, strings.Join(topics, ", "), node), "nodes", node)
	}
	for _, t := range st.Topics {
		for _, ch := range t.Channels {
			for _, c := range ch.Clients {
				s.client("consumer", c, fmt.Sprintf("%s, consumes %s/%s on %s", c.UserAgent, t.Name, ch.Name, node), "topics", t.Name, ch.Name)
			}
		}
	}
}

func (s *search) client(kind string, c stats.Client, detail string, page ...string) {
	name := cmp.Or(c.Hostname, c.ClientID, c.RemoteAddress)
	s.offer(hit{Kind: kind, Name: name, Detail: c.RemoteAddress + ", " + detail, Page: page}, c.ClientID, c.RemoteAddress, c.UserAgent)
}
