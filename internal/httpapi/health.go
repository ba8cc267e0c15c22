package httpapi

import (
	"encoding/json"
	"net/http"
	"strings"
)

// What orchestrators ask: whether the process is to be started again, and
// whether requests may be sent to it.
const (
	livePath  = "/health/live"
	readyPath = "/health/ready"
)

// Health adds the routes /health/live and /health/ready. They answer 200 and OK,
// or 503 and the reason in a line of text; as JSON to who accepts that first.
// The checks must not wait for anything. The answers are not in the access log, and
// are given without TLS, too, where all else needs it.
func (s *Server) Health(live, ready func() error) {
	s.health = map[string]bool{s.wholePath(livePath): true, s.wholePath(readyPath): true}
	for path, check := range map[string]func() error{livePath: live, readyPath: ready} {
		answer := func(w http.ResponseWriter, r *http.Request) { answerHealth(w, r, check()) }
		s.handle(http.MethodGet, path, answer)
		s.handle(http.MethodHead, path, answer)
	}
}

// IsHealth reports whether a request is for one of the routes of Health.
func (s *Server) IsHealth(r *http.Request) bool { return s.health[r.URL.Path] }

// health is an answer as JSON.
type health struct {
	Status string `json:"status"` // OK or NOK
	Reason string `json:"reason,omitempty"`
}

func answerHealth(w http.ResponseWriter, r *http.Request, err error) {
	status, h, text := http.StatusOK, health{Status: "OK"}, "OK"
	if err != nil {
		text = strings.ReplaceAll(err.Error(), "\n", "; ")
		status, h = http.StatusServiceUnavailable, health{"NOK", text}
	}
	if !strings.HasPrefix(r.Header.Get("Accept"), "application/json") {
		respond(w, status, typeText, []byte(text+"\n"))
		return
	}
	body, _ := json.Marshal(h) // texts always encode
	respond(w, status, typeJSON, body)
}
