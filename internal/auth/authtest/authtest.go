// Package authtest has an auth server for tests.
package authtest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
)

// A Server is an http.Handler that answers as it was told, by secret, and
// remembers what it was asked. It is safe for concurrent use.
type Server struct {
	URL string // set by Start and StartTLS

	mu       sync.Mutex // answers, requests
	answers  map[string]answer
	requests []Request
}

type answer struct {
	status int
	body   string
}

// A Request is one that was received.
type Request struct {
	Method      string
	URI         string // path and query
	ContentType string
	Accept      string
	Referer     string
	Body        string
}

// Start runs a server over HTTP until the end of the test.
func Start(tb testing.TB) *Server {
	s := new(Server)
	h := httptest.NewServer(s)
	tb.Cleanup(h.Close)
	s.URL = h.URL
	return s
}

// StartTLS runs a server over HTTPS, whose certificate the returned client
// knows, until the end of the test.
func StartTLS(tb testing.TB) (*Server, *http.Client) {
	s := new(Server)
	h := httptest.NewTLSServer(s)
	tb.Cleanup(h.Close)
	s.URL = h.URL
	return s, h.Client()
}

// Answer sets what is answered to who has that secret. Secrets for which
// nothing was set are refused with 403.
func (s *Server) Answer(secret string, status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answers == nil {
		s.answers = make(map[string]answer)
	}
	s.answers[secret] = answer{status, body}
}

// Requests returns what was received since the last call.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := slices.Clone(s.requests)
	s.requests = nil
	return list
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	secret := r.URL.Query().Get("secret")
	if r.Method == http.MethodPost {
		var form map[string][]string
		if json.Unmarshal(body, &form) == nil && len(form["secret"]) == 1 {
			secret = form["secret"][0]
		}
	}
	s.mu.Lock()
	s.requests = append(s.requests, Request{
		Method:      r.Method,
		URI:         r.RequestURI,
		ContentType: r.Header.Get("Content-Type"),
		Accept:      r.Header.Get("Accept"),
		Referer:     r.Header.Get("Referer"),
		Body:        string(body),
	})
	a, ok := s.answers[secret]
	s.mu.Unlock()
	if !ok {
		a.status = http.StatusForbidden
	}
	w.WriteHeader(a.status)
	io.WriteString(w, a.body)
}
