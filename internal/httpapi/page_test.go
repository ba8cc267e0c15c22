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
