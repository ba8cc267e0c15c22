package nsqadmin

import (
	"net/http"

	"github.com/seed893f581e/nsq/internal/chart"
	"github.com/seed893f581e/nsq/internal/history"
	"github.com/seed893f581e/nsq/internal/stats"
)

// counterPage is /counter.
type counterPage struct {
	Finished  uint64 // by consumers, since the nodes started
	Published uint64
	Finish    float64 // messages per second, NaN where not known
	Publish   float64
	Nodes     int // that the numbers are of
	Silent    int // that have said nothing for a while: their last numbers count
	Charts    []chart.Chart
	Estimated int // nodes that do not count what is finished
}

func (s *httpServer) counterPage(w http.ResponseWriter, r *http.Request) {
	v := s.n.poller.View()
	data := counterPage{Charts: historyCharts(v.Series(history.Key{}))[2:]}
	data.Publish, data.Finish = v.Rates(history.Key{})
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if n.Stats == nil {
			continue
		}
		data.Nodes++
		if n.Err != nil {
			data.Silent++
		}
		finished, counted := finishedOn(n.Stats)
		data.Finished += finished
		if !counted {
			data.Estimated++
		}
		for _, t := range n.Stats.Topics {
			data.Published += t.Messages
		}
	}
	s.page(w, r, http.StatusOK, "counter", page{Title: "Counter", Nav: "counter", Data: data})
}

// finishedOn returns how many messages consumers have finished on a node. A
// node that does not count them is taken to have finished what it has received
// and does not have any more.
func finishedOn(s *stats.Stats) (finished uint64, counted bool) {
	counted = true
	for i := range s.Topics {
		for j := range s.Topics[i].Channels {
			ch := &s.Topics[i].Channels[j]
			if ch.Finished != nil {
				finished += *ch.Finished
				continue
			}
			counted = false
			left := uint64(max(0, heldBy(ch).messages()))
			finished += ch.Messages - min(ch.Messages, left)
		}
	}
	return finished, counted
}
