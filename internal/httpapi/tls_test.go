package httpapi

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// serveTLS has a server serve a second listener, over TLS.
func serveTLS(t *testing.T, r *running) *pipeListener {
	l := newPipeListener()
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := r.ServeTLS(l, &tls.Config{}); err != nil {
			t.Errorf("ServeTLS: %v", err)
		}
	})
	t.Cleanup(func() {
		r.Server.Close()
		serving.Wait()
	})
	return l
}

// startOfHello is how every handshake begins: the head of a record of 512 bytes.
const startOfHello = "\x16\x03\x01\x02\x00\x01"

func TestStalledHandshakesAreCut(t *testing.T) {
	for _, sent := range []string{"", "\x16", startOfHello} {
		synctest.Test(t, func(t *testing.T) {
			l := serveTLS(t, start(t, nil, func(*Server) {}))
			began := time.Now()
			conn := l.dial(t)
			io.WriteString(conn, sent)
			if _, err := io.Copy(io.Discard, conn); err != nil {
				t.Errorf("%q: the connection was not closed: %v", sent, err)
			}
			if took := time.Since(began); took != handshakeTimeout {
				t.Errorf("%q: closed after %v, want %v", sent, took, handshakeTimeout)
			}
		})
	}
}

func TestStalledHandshakesDoNotDelayClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, nil, func(*Server) {})
		l := serveTLS(t, r)
		for range 100 {
			io.WriteString(l.dial(t), startOfHello)
		}
		began := time.Now()
		if err := r.Server.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(began); took > answerTimeout {
			t.Errorf("Close took %v", took)
		}
	})
}

func TestPlainHTTPToTLS(t *testing.T) {
	l := serveTLS(t, start(t, nil, func(*Server) {}))
	conn := l.dial(t)
	go io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n") // a pipe: it is never read to its end
	answer, err := io.ReadAll(conn)
	if !strings.HasPrefix(string(answer), "HTTP/1.0 400 Bad Request\r\n") || err != nil {
		t.Errorf("got %q, %v", answer, err)
	}
}

func TestNeedsTLS(t *testing.T) {
	const refusal = `{"message": "USE TLS"}`
	r := startWith(t, Config{NeedsTLS: refusal}, func(s *Server) {
		s.V1("GET", "/known", func(*http.Request) (any, error) {
			t.Error("a handler was called")
			return nil, nil
		})
	})
	for _, request := range []string{"GET /known", "GET /KNOWN/", "POST /known", "GET /unknown?%zz", "OPTIONS /known", "OPTIONS *", "HEAD /known"} {
		method, target, _ := strings.Cut(request, " ")
		resp, body := r.do(t, method, target)
		want := refusal
		if method == "HEAD" {
			want = ""
		}
		if resp.StatusCode != 403 || body != want || resp.ContentLength != int64(len(refusal)) ||
			resp.Header.Get("Content-Type") != typeJSON || resp.Header.Get(versionHeader) != version {
			t.Errorf("%s: %d %s, %v", request, resp.StatusCode, body, resp.Header)
		}
		if line := "403 " + request + " (pipe) "; !strings.Contains(r.log.String(), line) {
			t.Errorf("%q is not in the log", line)
		}
	}
}
