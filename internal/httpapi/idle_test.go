package httpapi

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/seed893f581e/nsq/internal/netlimit"
)

// Clients that keep a connection, in case they need it again, shut out nobody.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(Config{Log: slog.New(slog.DiscardHandler)})
	s.Plain("GET", "/ping", func(*http.Request) (any, error) { return "OK", nil })
	limited := netlimit.NewPool(3, "the test", slog.New(slog.DiscardHandler)).Group("HTTP", 0).Listener(l)
	var serving sync.WaitGroup
	serving.Go(func() { s.Serve(limited) })
	t.Cleanup(func() {
		s.Close()
		serving.Wait()
	})

	for i := range 10 {
		conn := dialTCP(t, l.Addr().String())
		io.WriteString(conn, "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("client %d: %v", i, err)
		}
		if body, err := io.ReadAll(resp.Body); string(body) != "OK" || err != nil {
			t.Errorf("client %d: %q, %v", i, body, err)
		}
	}
}
