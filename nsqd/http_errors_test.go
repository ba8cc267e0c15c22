package nsqd

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/seed893f581e/nsq/internal/httpapi"
)

func TestPublishErrorSaysWhy(t *testing.T) {
	disk := func(err error) error {
		return fmt.Errorf("writing to disk queue %q: %w", "t", &fs.PathError{Op: "write", Path: "/f", Err: err})
	}
	for _, c := range []struct {
		err    error
		status int
		code   string
		logged bool
	}{
		{fmt.Errorf("so: %w", errExiting), 503, "EXITING", false},
		{disk(syscall.ENOSPC), 507, "DISK_FULL", true},
		{disk(syscall.EDQUOT), 507, "DISK_FULL", true},
		{disk(syscall.EMFILE), 503, "TOO_MANY_OPEN_FILES", true},
		{disk(syscall.ENFILE), 503, "TOO_MANY_OPEN_FILES", true},
		{disk(syscall.EIO), 503, "DISK_ERROR", true},
		{disk(syscall.ENOENT), 503, "DISK_ERROR", true},
	} {
		e, _ := errors.AsType[httpapi.Error](diskError(c.err))
		if e.Status != c.status || e.Code != c.code || (e.Err != nil) != c.logged {
			t.Errorf("%v: %d %s %v, want %+v", c.err, e.Status, e.Code, e.Err, c)
		}
	}
}

// startForHTTP runs a broker until the end of the test and returns the URL of
// its API.
func startForHTTP(t *testing.T, change func(*NSQD)) (n *NSQD, url string) {
	opts := NewOptions()
	opts.DataPath = t.TempDir()
	opts.TCPAddress, opts.HTTPAddress = "127.0.0.1:0", "127.0.0.1:0"
	opts.MemQueueSize = 0
	n, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	change(n)
	var main sync.WaitGroup
	main.Go(func() { n.Main() })
	t.Cleanup(func() {
		n.Exit() // which may fail: the test has damaged something
		main.Wait()
	})
	return n, "http://" + n.RealHTTPAddr().String()
}

func answer(t *testing.T, method, url, body string) string {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(resp.StatusCode, " ", string(text))
}

func TestHTTPWithoutDisk(t *testing.T) {
	n, url := startForHTTP(t, func(*NSQD) {})
	if got := answer(t, "POST", url+"/pub?topic=before", "x"); got != "200 OK" {
		t.Fatal(got)
	}
	aside := n.opts.DataPath + ".aside"
	if err := os.Rename(n.opts.DataPath, aside); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/pub?topic=t", "/mpub?topic=t", "/pub?topic=before2"} {
		if got := answer(t, "POST", url+path, "x"); got != `503 {"message":"DISK_ERROR"}` {
			t.Errorf("%s: %s", path, got)
		}
	}
	ping := answer(t, "GET", url+"/ping", "")
	if !strings.HasPrefix(ping, "500 NOK - ") || !strings.Contains(ping, " "+n.opts.DataPath) || !strings.HasSuffix(ping, ": no such file or directory") {
		t.Errorf("/ping: %s", ping)
	}
	if health := n.stats(statsFilter{}).Health; "500 "+health != ping {
		t.Errorf("/stats says %s, /ping %s", health, ping)
	}
	if got := answer(t, "POST", url+"/topic/create?topic=t", ""); got != `503 {"message":"NOT_SAVED"}` {
		t.Errorf("/topic/create: %s, although it cannot be saved", got)
	}
	if err := os.Rename(aside, n.opts.DataPath); err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{"t", "before2", "after"} {
		if got := answer(t, "POST", url+"/pub?topic="+topic, "x"); got != "200 OK" {
			t.Errorf("with the disk back: %s", got)
		}
	}
	if got := answer(t, "POST", url+"/topic/create?topic=saved", ""); got != "200 " { // does not wait for the next try
		t.Errorf("/topic/create with the disk back: %s", got)
	}
	if got := answer(t, "GET", url+"/ping", ""); got != "200 OK" {
		t.Errorf("/ping: %s", got)
	}
}

func TestHTTPSurvivesPanics(t *testing.T) {
	n, url := startForHTTP(t, func(n *NSQD) {
		n.http.server.V1("GET", "/panic", func(*http.Request) (any, error) { panic("oh dear") })
	})
	for range 2 {
		if got := answer(t, "GET", url+"/panic", ""); got != `500 {"message":"INTERNAL_ERROR"}` {
			t.Errorf("/panic: %s", got)
		}
	}
	if got := answer(t, "GET", url+"/ping", ""); got != "200 OK" {
		t.Errorf("/ping after the panics: %s", got)
	}
	if got := n.env.panics.Load(); got != 2 {
		t.Errorf("%d panics were counted, want 2", got)
	}
}
