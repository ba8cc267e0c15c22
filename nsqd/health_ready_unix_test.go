//go:build unix

package nsqd_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// While a data path is loaded, HTTP says so.
func TestHealthWhileLoading(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.HTTPAddress = filepath.Join(t.TempDir(), "http.sock")
	slow := filepath.Join(opts.DataPath, "t:c.deferred.dat") // it is there when somebody writes it
	if err := syscall.Mkfifo(slow, 0o600); err != nil {
		t.Fatal(err)
	}
	loaded := make(chan *nsqd.NSQD)
	go func() {
		n, err := nsqd.New(opts)
		if err != nil {
			t.Error(err)
		}
		loaded <- n
	}()
	a := newSocketAPI(t, opts.HTTPAddress)
	nsqtest.Eventually(t, "HTTP is served", func() bool {
		_, _, err := a.try("GET", "/health/live", nil)
		return err == nil
	})
	a.want(200, "OK\n", "GET", "/health/live", "")
	a.want(503, "loading\n", "GET", "/health/ready", "")
	for _, r := range []string{"GET /ping", "GET /stats", "GET /nothing", "POST /topic/create?topic=u", "POST /pub?topic=u", "POST /mpub?topic=u", "POST /drain"} {
		method, path, _ := strings.Cut(r, " ")
		a.want(503, `{"message":"LOADING"}`, method, path, "x")
	}

	w, err := os.OpenFile(slow, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	n := <-loaded
	a.want(503, "starting\n", "GET", "/health/ready", "")
	main := make(chan error)
	go func() { main <- n.Main() }()
	nsqtest.Eventually(t, "it is ready", func() bool { return n.Ready() == nil })
	a.want(200, "OK\n", "GET", "/health/ready", "")
	a.want(200, "OK", "POST", "/pub?topic=u", "x")
	if err := n.Exit(); err != nil {
		t.Error(err)
	}
	if err := <-main; err != nil {
		t.Error(err)
	}
	if err := n.Ready(); err == nil || err.Error() != "stopping" {
		t.Errorf("after the stop: %v", err)
	}
}
