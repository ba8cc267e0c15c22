//go:build unix

package main

import (
	"bytes"
	"log"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// Redirects after which the message is not sent again are warned of, once.
func TestRedirects(t *testing.T) {
	var logged bytes.Buffer
	r := &redirects{log: log.New(&logged, "", 0)}
	client := &http.Client{CheckRedirect: r.check}
	s := newServer(t)
	s.handle(func(w http.ResponseWriter, r *http.Request) {
		if status, err := strconv.Atoi(r.URL.Path[1:]); err == nil {
			http.Redirect(w, r, "/there", status)
		}
	})
	for path, want := range map[string]string{
		"301": "Warning: URL/301 answers POST with status code 301, after which a GET without the message follows; it may be meant to be sent to URL/there\n",
		"302": "Warning: URL/302 answers POST with status code 302, after which a GET without the message follows; it may be meant to be sent to URL/there\n",
		"303": "", "307": "", "308": "",
		"there": "",
	} {
		logged.Reset()
		for range 2 {
			resp, err := client.Post(s.URL+"/"+path, "text/plain", strings.NewReader("a message"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK || resp.Request.URL.Path != "/there" {
				t.Errorf("%s: got %s from %s", path, resp.Status, resp.Request.URL)
			}
		}
		resp, err := client.Get(s.URL + "/" + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := strings.ReplaceAll(logged.String(), s.URL, "URL"); got != want {
			t.Errorf("%s: logged %q, want %q", path, got, want)
		}
	}
}

func TestTooManyRedirects(t *testing.T) {
	s := newServer(t)
	s.handle(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
	})
	client := &http.Client{CheckRedirect: (&redirects{log: log.Default()}).check}
	if resp, err := client.Post(s.URL, "text/plain", nil); err == nil || !strings.Contains(err.Error(), "too many redirects") {
		t.Errorf("got %v, %v", resp, err)
	}
	if n := len(s.all()); n != maxRedirects {
		t.Errorf("there were %d requests, want %d", n, maxRedirects)
	}
}

func TestRedirectIsInTheLog(t *testing.T) {
	d, s := nsqtest.Start(t, nil), newServer(t)
	s.handle(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			http.Redirect(w, r, "/there", http.StatusMovedPermanently)
		}
	})
	tooltest.Publish(t, d, "t", "one")
	p := start(t, d, "-post="+s.URL)
	finished(t, d, 1)
	if r := stop(t, p); !strings.Contains(r.Stderr, "Warning: "+s.URL+" answers POST with status code 301") {
		t.Errorf("stderr:\n%s", r.Stderr)
	}
}
