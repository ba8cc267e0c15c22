package httpapi

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
)

func TestHealth(t *testing.T) {
	log := new(loggingtest.Buffer)
	s := NewServer(Config{Log: log.Logger(slog.LevelInfo), NeedsTLS: `{"message":"TLS_REQUIRED"}`, BasePath: "/base"})
	bad := errors.New("draining: 3 messages\nand more")
	s.Health(func() error { return nil }, func() error { return bad })
	for _, c := range []struct {
		method, path, accept string
		status               int
		contentType, body    string
	}{
		{"GET", "/base/health/live", "", 200, typeText, "OK\n"},
		{"GET", "/base/health/live?x=%zz", "*/*", 200, typeText, "OK\n"},
		{"GET", "/base/health/live", "application/json", 200, typeJSON, `{"status":"OK"}`},
		{"GET", "/base/health/ready", "text/plain, application/json", 503, typeText, "draining: 3 messages; and more\n"},
		{"GET", "/base/health/ready", "application/json, */*", 503, typeJSON, `{"status":"NOK","reason":"draining: 3 messages; and more"}`},
		{"HEAD", "/base/health/ready", "", 503, typeText, "draining: 3 messages; and more\n"}, // net/http leaves the body out
		{"POST", "/base/health/ready", "", 405, typeJSON, `{"message":"METHOD_NOT_ALLOWED"}`},
		{"GET", "/health/ready", "", 403, typeJSON, `{"message":"TLS_REQUIRED"}`},
	} {
		r := httptest.NewRequest(c.method, c.path, http.NoBody)
		r.Header.Set("Accept", c.accept)
		w := httptest.NewRecorder()
		s.serve(w, r)
		if w.Code != c.status || w.Header().Get("Content-Type") != c.contentType || w.Body.String() != c.body {
			t.Errorf("%s %s: %d %s %q, want %d %s %q", c.method, c.path, w.Code, w.Header().Get("Content-Type"), w.Body, c.status, c.contentType, c.body)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if got := strings.Count(log.String(), "\n"); got != 1 {
		t.Errorf("logged %s, want the one request that is not for health", log.String())
	}
}
