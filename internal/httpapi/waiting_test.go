package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// A handler may wait longer than any time-out, and the answer is whole when the
// server closes meanwhile.
func TestWaitingHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, func(s *Server) {
			s.V1Waiting("GET", "/wait", func(r *http.Request) (any, error) {
				select {
				case <-r.Context().Done():
					return nil, Exiting
				case <-time.After(10 * writeTimeout):
					return []string{"done"}, nil
				}
			})
		})
		if resp, body := r.do(t, "GET", "/wait"); resp.StatusCode != http.StatusOK || body != `["done"]` || resp.Header.Get(versionHeader) != version {
			t.Errorf("got %v %q", resp, body)
		}

		answered := make(chan struct{})
		go func() {
			defer close(answered)
			if resp, body := r.do(t, "GET", "/wait"); resp.StatusCode != http.StatusServiceUnavailable || body != `{"message":"EXITING"}` {
				t.Errorf("got %v %q", resp, body)
			}
		}()
		synctest.Wait()
		began := time.Now()
		if err := r.Server.Close(); err != nil {
			t.Error(err)
		}
		<-answered
		if took := time.Since(began); took >= stopTimeout {
			t.Errorf("the stop took %v", took)
		}
	})
}

func TestHandlersWaitForNobodyWhoWentAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		r := start(t, nil, func(s *Server) {
			s.V1Waiting("GET", "/wait", func(r *http.Request) (any, error) {
				<-r.Context().Done()
				ended <- r.Context().Err()
				return nil, nil
			})
		})
		conn := r.dial(t)
		if _, err := io.WriteString(conn, "GET /wait HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case err := <-ended:
			t.Fatalf("the wait ended with %v while the peer was there", err)
		default:
		}
		conn.Close()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the context ended with %v", err)
		}
	})
}
