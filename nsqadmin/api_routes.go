package nsqadmin

import (
	"errors"
	"net/http"
	"strings"

	"github.com/seed893f581e/nsq/internal/httpapi"
)

// apiRoutes adds the JSON API. What is asked ends when the server closes; what
// is done ends when it is done.
func (s *httpServer) apiRoutes() {
	get := func(path string, h httpapi.Handler) { s.server.V1Waiting("GET", path, withStatus(h)) }
	get("/api/topics", s.apiTopics)
	get("/api/topics/:topic", s.apiTopic)
	get("/api/topics/:topic/:channel", s.apiChannel)
	get("/api/nodes", s.apiNodes)
	get("/api/nodes/:node", s.apiNode)
	get("/api/counter", s.apiCounter)
	get("/api/graphite", s.apiGraphite)

	change := func(method, path string, h httpapi.Handler) { s.server.V1(method, path, s.adminOnly(withStatus(h))) }
	change("POST", "/api/topics", s.apiCreate)
	change("POST", "/api/topics/:topic", s.apiTopicAction)
	change("POST", "/api/topics/:topic/:channel", s.apiChannelAction)
	change("DELETE", "/api/topics/:topic", s.apiDeleteTopic)
	change("DELETE", "/api/topics/:topic/:channel", s.apiDeleteChannel)
	change("DELETE", "/api/nodes/:node", s.apiTombstone)

	if s.n.graphite.proxied() {
		s.server.Page("GET", "/render", s.n.graphite.render())
	}
}

// withStatus has failures of daemons answered with the status for them.
func withStatus(h httpapi.Handler) httpapi.Handler {
	return func(r *http.Request) (any, error) {
		value, err := h(r)
		if failed, ok := errors.AsType[*upstreamError](err); ok {
			status, text := failed.answer()
			return nil, httpapi.Error{Status: status, Code: text}
		}
		return value, err
	}
}

// warning is the message of an answer: empty, or what went wrong with some of the
// daemons, by step.
func warning(steps ...[]error) string {
	var texts []string
	for _, errs := range steps {
		if len(errs) > 0 {
			texts = append(texts, lines(errs))
		}
	}
	if len(texts) == 0 {
		return ""
	}
	return "WARNING: " + strings.Join(texts, "; ")
}

// message is all that is in an answer to a change.
type message struct {
	Message string `json:"message"`
}
