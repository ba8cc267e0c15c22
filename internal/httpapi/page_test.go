package httpapi

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A page may take longer than any time-out, and ends with the server.
func TestPagesTakeTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, func(s *Server) {
			s.Page("GET", "/page", func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-r.Context().Done():
					io.WriteString(w, "cut short")
				case <-time.After(10 * writeTimeout):
					io.WriteString(w, "whole")
				}
			})
		})
		ask := func() (answer func() string) {
			conn := r.dial(t)
			io.WriteString(conn, "GET /page HTTP/1.1\r\nHost: h\r\n\r\n")
			return func() string {
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Error(err)
				}
				return string(body)
			}
		}
		if got := ask()(); got != "whole" {
			t.Errorf("the answer is %q", got)
		}
		answer := ask()
		synctest.Wait()
		began := time.Now()
		closed := make(chan struct{})
		defer func() { <-closed }()
		go func() {
			defer close(closed)
			r.Server.Close()
		}()
		if got := answer(); got != "cut short" || time.Since(began) > 0 {
			t.Errorf("the answer is %q, %v after Close", got, time.Since(began))
		}
	})
}

func TestBodiesOfPagesAreLimited(t *testing.T) {
	r := start(t, nil, func(s *Server) {
		s.Page("POST", "/page", func(w http.ResponseWriter, r *http.Request) {
			n, err := io.Copy(io.Discard, r.Body)
			if _, ok := errors.AsType[*http.MaxBytesError](err); !ok || n != maxPageBody {
				t.Errorf("%d bytes were read, then %v", n, err)
			}
		})
	})
	if resp, err := r.client.Post("http://pipe/page", "", strings.NewReader(strings.Repeat("x", maxPageBody+1))); err == nil {
		resp.Body.Close()
	}
}

// A daemon with pages tells browsers in its own way what the server refuses.
func TestRefusalsInAnotherForm(t *testing.T) {
	r := startWith(t, Config{
		Check: func(r *http.Request) error {
			if r.Header.Get("Origin") != "" {
				return Error{Status: http.StatusForbidden, Code: "CROSS_ORIGIN"}
			}
			return nil
		},
		Refuse: func(w http.ResponseWriter, r *http.Request, refused Error) bool {
			if strings.HasPrefix(r.URL.Path, "/api") {
				return false
			}
			w.WriteHeader(refused.Status)
			io.WriteString(w, "sorry: "+refused.Code)
			return true
		},
	}, func(s *Server) {
		s.V1("GET", "/fine", func(*http.Request) (any, error) { return "fine", nil })
		s.V1("GET", "/bad", func(*http.Request) (any, error) { return nil, Error{Status: 400, Code: "BAD"} })
		s.Page("GET", "/panic", func(http.ResponseWriter, *http.Request) { panic("oh dear") })
	})
	for _, c := range []struct {
		method, path string
		status       int
		want         string
	}{
		{"GET", "/fine", 200, "fine"},
		{"GET", "/bad", 400, `{"message":"BAD"}`}, // the handler's own
		{"GET", "/none", 404, "sorry: NOT_FOUND"},
		{"POST", "/fine", 405, "sorry: METHOD_NOT_ALLOWED"},
		{"GET", "/panic", 500, "sorry: INTERNAL_ERROR"},
		{"GET", "/api/none", 404, `{"message":"NOT_FOUND"}`},
	} {
		if resp, body := r.do(t, c.method, c.path); resp.StatusCode != c.status || body != c.want {
			t.Errorf("%s %s: %d %q, want %d %q", c.method, c.path, resp.StatusCode, body, c.status, c.want)
		}
	}
	req, _ := http.NewRequest("POST", "http://pipe/fine", nil)
	req.Header.Set("Origin", "http://elsewhere")
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 403 || string(body) != "sorry: CROSS_ORIGIN" {
		t.Errorf("from elsewhere: %d %q", resp.StatusCode, body)
	}
	if !strings.Contains(r.log.String(), "code=CROSS_ORIGIN") {
		t.Errorf("the refusal is not in the log: %s", r.log)
	}
}
