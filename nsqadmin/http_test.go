package nsqadmin

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/httpapi/httpapitest"
	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

func TestPing(t *testing.T) {
	a := start(t, testOptions(t, nsqtest.StartLookupd(t, nil)))
	a.want(200, "OK", "GET", "/ping", "")
}

// What cannot be reached is for the console to show, no reason to hide that.
func TestHealthIsNotThatOfDaemons(t *testing.T) {
	l := nsqtest.StartLookupd(t, nil)
	opts := testOptions(t, l)
	l.Stop()
	a := start(t, opts)
	nsqtest.Eventually(t, "it has tried", a.poller.HasAsked)
	for _, path := range []string{"/health/live", "/health/ready"} {
		a.want(200, "OK\n", "GET", path, "")
	}
	if err := a.Exit(); err != nil {
		t.Error(err)
	}
	if a.poller.IsAlive() || a.Live() == nil || a.Ready() == nil {
		t.Errorf("after the stop it is live: %v, ready: %v", a.Live(), a.Ready())
	}
}

// endpoints are all paths with their methods. Of some every other spelling is
// redirected; where a part of the path is a name, it is as it is.
var endpoints = []struct {
	path, methods string
	folds         bool
}{
	{"/ping", "GET", true},
	{"/health/live", "GET HEAD", true},
	{"/health/ready", "GET HEAD", true},
	{"/topics", "GET", true},
	{"/topics/t", "GET", false},
	{"/topics/t/c", "GET", false},
	{"/nodes", "GET", true},
	{"/nodes/n:1", "GET", false},
	{"/lookup", "GET", true},
	{"/counter", "GET", true},
	{"/search", "GET", true},
	{"/action", "GET POST", true},
	{"/static/x", "GET", false},
	{"/fonts/x", "GET", false},
	{"/config/x", "GET PUT", false},
	{"/api/topics", "GET POST", true},
	{"/api/topics/t", "DELETE GET POST", false},
	{"/api/topics/t/c", "DELETE GET POST", false},
	{"/api/nodes", "GET", true},
	{"/api/nodes/n:1", "DELETE GET", false},
	{"/api/counter", "GET", true},
	{"/api/graphite", "GET", true},
}

// What holds for every path, whatever is there.
func TestPathsAndMethods(t *testing.T) {
	for _, base := range []string{"", "/base"} {
		opts := testOptions(t, nsqtest.StartLookupd(t, nil))
		opts.BasePath = base + "/"
		a := start(t, opts)
		for _, e := range endpoints {
			for _, x := range httpapitest.PathRules(base+e.path, e.methods, e.folds) {
				resp, body := a.do(x.Method, x.Target, x.Body, "Accept-Encoding: identity")
				for name, values := range safeHeader {
					if got := resp.Header.Get(name); got != values[0] {
						t.Errorf("%s %s: %s is %q", x.Method, x.Target, name, got)
					}
					resp.Header.Del(name)
				}
				resp.Header.Del("Vary")
				got, want := httpapitest.Transcript(resp.StatusCode, resp.Header, body), x.Want(httpapitest.Form{}, body)
				if got != want {
					t.Errorf("%s %s:\n%s\nwant\n%s", x.Method, x.Target, got, want)
				}
			}
		}
		for _, unknown := range []string{"/info", "/stats", "/debug/pprof/", "/render", "/topics/a/b/c"} {
			a.want(404, `{"message":"NOT_FOUND"}`, "GET", base+unknown, "")
		}
		a.want(404, "NOT_FOUND", "GET", base+"/fonts/x.woff", "")
		a.want(404, "NOT_FOUND", "GET", base+"/static/x.js", "")
		a.want(200, "OK", "GET", base+"/ping", "")
		a.want(200, "OK\n", "GET", base+"/health/live", "")
	}
}

func TestBasePath(t *testing.T) {
	opts := testOptions(t, nsqtest.StartLookupd(t, nil))
	opts.BasePath = "admin/"
	a := start(t, opts)
	if page := a.get("/admin", "Accept: text/html"); !strings.Contains(page, `href="/admin/topics"`) || strings.Contains(page, `"/topics`) {
		t.Error("links are not below the base path")
	}
	if resp, _ := a.do("GET", "/admin/", ""); resp.StatusCode != 301 || resp.Header.Get("Location") != "/admin" {
		t.Errorf("/admin/: %d to %s", resp.StatusCode, resp.Header.Get("Location"))
	}
	a.want(404, `{"message":"NOT_FOUND"}`, "GET", "/", "")
	a.want(404, `{"message":"NOT_FOUND"}`, "GET", "/topics", "")
}

// A browser keeps what it has of a page's files, compressed or not.
func TestFilesAreLoadedOnce(t *testing.T) {
	a := start(t, testOptions(t, nsqtest.StartLookupd(t, nil)))
	for _, name := range []string{"nsqadmin.css", "nsqadmin.js", "favicon.svg"} {
		for _, encoding := range []string{"identity", "gzip", "deflate"} {
			resp, body := a.do("GET", "/static/"+name, "", "Accept-Encoding: "+encoding)
			if resp.StatusCode != 200 || body == "" || (resp.Header.Get("Content-Encoding") == encoding) != (encoding != "identity") {
				t.Errorf("%s as %s: %d, %q", name, encoding, resp.StatusCode, resp.Header.Get("Content-Encoding"))
			}
			resp, body = a.do("GET", "/static/"+name, "", "Accept-Encoding: "+encoding, "If-None-Match: "+resp.Header.Get("ETag"))
			if resp.StatusCode != 304 || body != "" {
				t.Errorf("%s as %s, again: %d %s", name, encoding, resp.StatusCode, body)
			}
		}
	}
}

// Files of --dev-static-dir are read anew for each request, and those of no other
// directory.
func TestDevStaticDir(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "static"), 0o700); err != nil {
		t.Fatal(err)
	}
	write("secret.css", "hush")
	opts := testOptions(t, nsqtest.StartLookupd(t, nil))
	opts.DevStaticDir = filepath.Join(dir, "static")
	a := start(t, opts)
	for _, text := range []string{"a {}", "b {}"} {
		write("static/own.css", text)
		a.want(200, text, "GET", "/static/own.css", "")
	}
	for _, path := range []string{"/static/..%2fsecret.css", "/static/%2e%2e%2fsecret.css", `/static/..%5csecret.css`, "/static/nsqadmin.css"} {
		if resp, body := a.do("GET", path, ""); resp.StatusCode != 404 {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	opts = testOptions(t, nsqtest.StartLookupd(t, nil))
	opts.DevStaticDir = filepath.Join(dir, "secret.css")
	if _, err := New(opts); err == nil || err.Error() != "--dev-static-dir "+opts.DevStaticDir+" - is no directory" {
		t.Errorf("a file: %v", err)
	}
}

// A name that does not resolve is in the log, and stops nothing.
func TestNamesThatDoNotResolve(t *testing.T) {
	log := new(loggingtest.Buffer)
	opts := testOptions(t, nsqtest.StartLookupd(t, nil))
	opts.LookupdHTTPAddresses = append(opts.LookupdHTTPAddresses, "lookupd.invalid:4161")
	opts.Logger = log.Logger(opts.LogLevel.Level())
	a := start(t, opts)
	nsqtest.Eventually(t, "the log names it", func() bool {
		return strings.Contains(log.String(), "failed to resolve --lookupd-http-address (lookupd.invalid:4161), which is tried again and again - ")
	})
	a.want(200, "OK", "GET", "/ping", "")
}
