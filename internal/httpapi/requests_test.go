package httpapi

import (
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Requests are counted by route, not by what their path happens to be.
func TestRequests(t *testing.T) {
	for _, compress := range []bool{false, true} {
		s := NewServer(Config{Log: slog.New(slog.DiscardHandler), BasePath: "/base", Compress: compress})
		s.V1("GET", "/", func(*http.Request) (any, error) { return nil, nil })
		s.Plain("GET", "/item/:name", func(r *http.Request) (any, error) {
			if r.URL.Path == "/base/item/none" {
				return nil, Error{Status: 404, Code: "NOT_FOUND"}
			}
			return "x", nil
		})
		s.V1("GET", "/written", func(*http.Request) (any, error) {
			return Written(func(w http.ResponseWriter) { w.WriteHeader(http.StatusTeapot) }), nil
		})
		for _, path := range []string{"/base/", "/base/item/a", "/base/item/b", "/base/item/none", "/base/written", "/elsewhere", "/base/nothing"} {
			s.serve(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
		}
		s.serve(httptest.NewRecorder(), httptest.NewRequest("POST", "/base/item/a", nil))
		want := map[Request]uint64{
			{"/item/:name", 200}: 2, {"/item/:name", 404}: 1, {"/written", 418}: 1, {"other", 404}: 2, {"other", 405}: 1,
		}
		got := maps.Collect(s.Requests())
		delete(got, Request{"other", 301}) // of "/base/", which is "/base"
		if !maps.Equal(got, want) {
			t.Errorf("compress %v: %v, want %v", compress, got, want)
		}
	}
}
