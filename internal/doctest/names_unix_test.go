//go:build unix

package doctest

import (
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/daemon/daemontest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

var (
	codeSpan   = regexp.MustCompile("`([^`\n]+)`")
	flagName   = regexp.MustCompile(`(?:^|[\s(])--([a-z][a-z0-9-]*\*?)`)
	helpFlag   = regexp.MustCompile(`(?m)^  -([a-z0-9-]+)`)
	pathSpan   = regexp.MustCompile(`^(?:(GET|POST|PUT|DELETE) )?(/[A-Za-z0-9_/.:-]*)(?:\?.*)?$`)
	filePath   = regexp.MustCompile(`^/(usr|var|etc|data|srv|tmp|dev|proc|run|nsqd|nsqlookupd|nsqadmin)\b`)
	metricName = regexp.MustCompile(`\bnsq(?:d|lookupd|admin)_[a-z0-9_]+\b`)
	sampleName = regexp.MustCompile(`(?m)^([a-z0-9_]+)(?:\{| )`)
)

// spans calls f with every piece of code in the prose of every page.
func spans(t *testing.T, f func(p page, code string)) {
	for _, p := range pages(t) {
		for _, m := range codeSpan.FindAllStringSubmatch(p.prose(), -1) {
			f(p, m[1])
		}
	}
}

// programs are those that are installed.
func programs(tb testing.TB) []string {
	tb.Helper()
	dirs, err := os.ReadDir(nsqtest.Root() + "/apps")
	if err != nil {
		tb.Fatal(err)
	}
	var names []string
	for _, d := range dirs {
		if _, err := os.Stat(tooltest.Bin + "/" + d.Name()); err == nil {
			names = append(names, d.Name())
		}
	}
	if len(names) != 10 {
		tb.Fatalf("programs are %q, want ten", names)
	}
	return names
}

// Every flag that a page names is one of a program: of the one named before it, if one is.
func TestFlags(t *testing.T) {
	flags := make(map[string][]string) // by program; under "" those of all
	for _, name := range programs(t) {
		r := tooltest.Run(t, nil, name, "-h")
		for _, m := range helpFlag.FindAllStringSubmatch(r.Stdout+r.Stderr, -1) {
			flags[name] = append(flags[name], m[1])
			flags[""] = append(flags[""], m[1])
		}
	}
	flags[""] = append(flags[""], "flag", "enable-feature") // which stand for any, and one of Prometheus
	named := 0
	spans(t, func(p page, code string) {
		program := ""
		if first, _, _ := strings.Cut(code, " "); !strings.HasPrefix(code, "-") {
			if program = strings.TrimPrefix(first, "build/"); flags[program] == nil {
				return // of others
			}
		}
		for _, m := range flagName.FindAllStringSubmatch(code, -1) {
			named++
			prefix, open := strings.CutSuffix(m[1], "*")
			if !slices.ContainsFunc(flags[program], func(f string) bool { return f == m[1] || open && strings.HasPrefix(f, prefix) }) {
				t.Errorf("%s: `%s`: there is no flag --%s", p.name, code, m[1])
			}
		}
	})
	if named < 50 {
		t.Errorf("pages name %d flags, which cannot be all", named)
	}
}

// daemons starts one of each and returns their URLs.
func daemons(t *testing.T) []string {
	var urls []string
	start := func(name string, args ...string) *tooltest.Process {
		d := tooltest.Start(t, name, append(args, "--http-address=127.0.0.1:0")...)
		urls = append(urls, "http://"+daemontest.WaitFor(t, d, ` INFO: HTTP: listening on (\S+)$`)[1])
		return d
	}
	start("nsqlookupd", "--tcp-address=127.0.0.1:0")
	start("nsqd", "--tcp-address=127.0.0.1:0", "--broadcast-address=127.0.0.1")
	start("nsqadmin", "--nsqd-http-address="+strings.TrimPrefix(urls[1], "http://"))
	return urls
}

// request returns an answer with its body.
func request(t *testing.T, method, url string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// Every HTTP path that a page names is served by a daemon, by the method that the page
// names: a method that no path has tells which there are.
func TestPaths(t *testing.T) {
	urls := daemons(t)
	named := 0
	spans(t, func(p page, code string) {
		m := pathSpan.FindStringSubmatch(code)
		if m == nil || filePath.MatchString(m[2]) || p.name == "docs/security.md" && m[2] == "/auth" {
			return
		}
		named++
		var allowed []string
		for _, url := range urls {
			if resp, _ := request(t, "PATCH", url+m[2]); resp.StatusCode == http.StatusMethodNotAllowed {
				allowed = append(allowed, resp.Header.Get("Allow"))
			}
		}
		if !slices.ContainsFunc(allowed, func(methods string) bool { return strings.Contains(methods, m[1]) }) {
			t.Errorf("%s: `%s` is served by no daemon; methods: %q", p.name, code, allowed)
		}
	})
	if named < 15 {
		t.Errorf("pages name %d paths, which cannot be all", named)
	}
}

// Every metric that a page names is in a scrape. The list of all of them, many of which
// are there only once there is something to tell, has a test of its own (internal/metrics).
func TestMetrics(t *testing.T) {
	urls := daemons(t)
	request(t, "POST", urls[1]+"/topic/create?topic=orders")
	request(t, "POST", urls[1]+"/channel/create?topic=orders&channel=billing")
	known := make(map[string]bool)
	for _, url := range urls {
		_, body := request(t, "GET", url+"/metrics")
		for _, m := range sampleName.FindAllStringSubmatch(body, -1) {
			known[m[1]] = true
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				known[strings.TrimSuffix(m[1], suffix)] = true
			}
		}
	}
	for _, name := range programs(t) { // keys of config files look the same
		r := tooltest.Run(t, nil, name, "-h")
		for _, key := range metricName.FindAllString(r.Stdout+r.Stderr, -1) {
			known[key] = true
		}
	}
	spans(t, func(p page, code string) {
		if p.name == "docs/metrics.md" {
			return
		}
		for _, name := range metricName.FindAllString(code, -1) {
			if !known[name] {
				t.Errorf("%s: `%s`: there is no metric %s", p.name, code, name)
			}
		}
	})
}
