package nsqd

import (
	"net/http"
	"time"

	"github.com/seed893f581e/nsq/internal/httpapi"
)

// stats answers /stats, as JSON or as a page of text.
func (s *httpServer) stats(r *http.Request) (any, error) {
	q, err := httpapi.ParseQuery(r)
	if err != nil {
		return nil, err
	}
	filter := statsFilter{
		clients: !q.Is("include_clients", "false", "0"),
		memory:  !q.Is("include_mem", "false", "0"),
	}
	filter.topic, _ = q.Lookup("topic")
	filter.channel, _ = q.Lookup("channel")
	snapshot := s.n.stats(filter)
	if q.Is("format", "json") {
		return snapshot, nil
	}
	return statsText(&snapshot, s.n.started, time.Now()), nil
}
