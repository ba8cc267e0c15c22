package httpapi

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// get asks with an Accept-Encoding and returns the answer and its
// body as it was sent.
func (r *running) get(t *testing.T, path, accept string) (*http.Response, []byte, error) {
	t.Helper()
	req, err := http.NewRequest("GET", "http://pipe"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", accept)
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// decoded is a body without its encoding.
func decoded(t *testing.T, encoding string, body []byte) string {
	t.Helper()
	var plain io.Reader = bytes.NewReader(body)
	var err error
	switch encoding {
	case "gzip":
		plain, err = gzip.NewReader(plain)
	case "deflate":
		plain, err = zlib.NewReader(plain)
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(plain)
	if err != nil {
		t.Errorf("%s: %v", encoding, err)
	}
	return string(text)
}

func TestCompression(t *testing.T) {
	long := strings.Repeat("much of the same ", 1000)
	r := startWith(t, Config{Compress: true}, func(s *Server) {
		s.Plain("GET", "/text", func(*http.Request) (any, error) { return long, nil })
		s.V1("GET", "/tagged", func(*http.Request) (any, error) { return Tagged{ETag: `"1"`, Value: "text"}, nil })
		s.V1("GET", "/stream", func(*http.Request) (any, error) {
			return Stream(func(w io.Writer) error {
				_, err := io.WriteString(w, `"`+long+`"`)
				return err
			}), nil
		})
		s.V1("GET", "/empty", func(*http.Request) (any, error) { return nil, nil })
		s.V1("GET", "/error", func(*http.Request) (any, error) { return nil, Error{Status: 400, Code: "NO"} })
		s.Page("GET", "/untyped", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") })
		s.Page("GET", "/picture", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/png")
			io.WriteString(w, "png")
		})
		s.Page("GET", "/packed", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			io.WriteString(w, "packed")
		})
		s.Page("GET", "/known", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
	})
	for _, c := range []struct {
		path, accept string
		status       int
		encoding     string
		body         string
	}{
		{"/text", "identity", 200, "", long},
		{"/text", "gzip", 200, "gzip", long},
		{"/text", "deflate", 200, "deflate", long},
		{"/text", "br, deflate;q=0.5, gzip", 200, "deflate", long}, // the first, whatever it weighs
		{"/text", "GZIP ; q=1", 200, "gzip", long},
		{"/text", "gzip;q=0, deflate;q=0.000", 200, "", long},
		{"/text", "gzip;q=0.001", 200, "gzip", long},
		{"/text", "identity, *", 200, "", long},
		{"/stream", "gzip", 200, "gzip", `"` + long + `"`},
		{"/tagged", "gzip", 200, "gzip", "text"},
		{"/error", "gzip", 400, "gzip", `{"message":"NO"}`},
		{"/unknown", "deflate", 404, "deflate", `{"message":"NOT_FOUND"}`},
		{"/untyped", "gzip", 200, "gzip", "<html>"},
		{"/empty", "gzip", 200, "", ""},
		{"/picture", "gzip", 200, "", "png"},
		{"/packed", "gzip", 200, "br", "packed"},
		{"/known", "gzip", 304, "", ""},
	} {
		resp, body, err := r.get(t, c.path, c.accept)
		if err != nil || resp.StatusCode != c.status || resp.Header.Get("Content-Encoding") != c.encoding {
			t.Errorf("%s for %q: %d, encoding %q, %v", c.path, c.accept, resp.StatusCode, resp.Header.Get("Content-Encoding"), err)
			continue
		}
		if got := decoded(t, c.encoding, body); got != c.body {
			t.Errorf("%s for %q: %.40q, want %.40q", c.path, c.accept, got, c.body)
		}
		if len(c.body) > 1000 && c.encoding != "" && len(body) > len(c.body)/10 {
			t.Errorf("%s for %q: %d bytes of %d", c.path, c.accept, len(body), len(c.body))
		}
		if got := resp.Header.Get("Vary"); got != "Accept-Encoding" {
			t.Errorf("%s for %q: Vary %q", c.path, c.accept, got)
		}
	}

	for accept, want := range map[string]string{"identity": `"1"`, "gzip": `W/"1"`} {
		if resp, _, _ := r.get(t, "/tagged", accept); resp.Header.Get("ETag") != want {
			t.Errorf("for %q the ETag is %s, want %s", accept, resp.Header.Get("ETag"), want)
		}
	}
	if resp, _, _ := r.get(t, "/untyped", "gzip"); resp.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("the type is %s", resp.Header.Get("Content-Type"))
	}
}

// What was begun is sent when it is flushed, and half of it never looks whole.
func TestCompressedInPieces(t *testing.T) {
	more := make(chan struct{})
	r := startWith(t, Config{Compress: true}, func(s *Server) {
		s.Page("GET", "/pieces", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "first ")
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			<-more
			io.WriteString(w, "second")
		})
		s.Page("GET", "/panic", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, "half")
			http.NewResponseController(w).Flush()
			panic("a fault")
		})
	})
	resp, err := r.client.Get("http://pipe/pieces") // the client asks for gzip by itself
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, len("first "))
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "first " {
		t.Errorf("%q, %v", first, err)
	}
	close(more)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "second" {
		t.Errorf("%q, %v", rest, err)
	}
	if _, body, err := r.get(t, "/panic", "gzip"); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%q, %v", body, err)
	}
}

func TestBasePathHeaderAndCheck(t *testing.T) {
	ok := func(*http.Request) (any, error) { return "OK", nil }
	r := startWith(t, Config{
		BasePath: "/base",
		Header:   http.Header{"X-Every": {"1"}, "Cache-Control": {"no-cache"}},
		Check: func(r *http.Request) error {
			if r.Method == "POST" {
				return Error{Status: http.StatusForbidden, Code: "NO_POST"}
			}
			return nil
		},
	}, func(s *Server) {
		s.Plain("GET", "/", ok)
		s.Plain("GET", "/a", ok)
		s.V1("POST", "/a", ok)
		s.Page("GET", "/files/:name", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Cache-Control", "immutable")
			io.WriteString(w, "OK")
		})
	})
	for request, want := range map[string]struct {
		status         int
		location, body string
	}{
		"GET /base":         {200, "", "OK"},
		"GET /base/":        {301, "/base", ""},
		"GET /base/a":       {200, "", "OK"},
		"GET /base/a/":      {301, "/base/a", ""},
		"GET /":             {404, "", `{"message":"NOT_FOUND"}`},
		"GET /a":            {404, "", `{"message":"NOT_FOUND"}`},
		"POST /base/a":      {403, "", `{"message":"NO_POST"}`},
		"POST /base/other":  {403, "", `{"message":"NO_POST"}`},
		"PUT /base/a":       {405, "", `{"message":"METHOD_NOT_ALLOWED"}`},
		"GET /base/files/x": {200, "", "OK"},
	} {
		method, path, _ := strings.Cut(request, " ")
		resp, body := r.do(t, method, path)
		if resp.StatusCode == http.StatusMovedPermanently {
			body = "" // a line of HTML for people
		}
		if resp.StatusCode != want.status || body != want.body || resp.Header.Get("Location") != want.location || resp.Header.Get("X-Every") != "1" {
			t.Errorf("%s: %d %s, to %q, header %q", request, resp.StatusCode, body, resp.Header.Get("Location"), resp.Header)
		}
		cache := "no-cache"
		if path == "/base/files/x" {
			cache = "immutable"
		}
		if got := resp.Header.Get("Cache-Control"); got != cache {
			t.Errorf("%s: Cache-Control %q", request, got)
		}
	}
}
