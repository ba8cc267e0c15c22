package nsqadmin

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/seed893f581e/nsq/internal/httpapi"
)

// Another site's page cannot have a browser change things; programs that are no
// browsers, and what only looks, are not concerned.
func TestRequestsOfOtherSites(t *testing.T) {
	opts := testOptions(t)
	opts.LookupdHTTPAddresses = []string{"127.0.0.1:1"}
	opts.TrustedOrigins = []string{"https://console.example.com"}
	opts.LevelVar = new(slog.LevelVar)
	a := start(t, opts)
	for name, c := range map[string]struct {
		method  string
		headers []string
		want    int
	}{
		"curl":                               {"PUT", nil, 200},
		"a page of ours":                     {"PUT", []string{"Sec-Fetch-Site: same-origin"}, 200},
		"a page of ours, of an old browser":  {"PUT", []string{"Origin: " + a.url("")}, 200},
		"the address bar":                    {"PUT", []string{"Sec-Fetch-Site: none"}, 200},
		"another site":                       {"PUT", []string{"Sec-Fetch-Site: cross-site"}, 403},
		"another host of the site":           {"PUT", []string{"Sec-Fetch-Site: same-site"}, 403},
		"another site, of an old browser":    {"PUT", []string{"Origin: https://evil.example"}, 403},
		"a page without origin":              {"PUT", []string{"Origin: null"}, 403},
		"behind a proxy that changes Host":   {"PUT", []string{"Origin: https://console.example.com"}, 200},
		"its other scheme":                   {"PUT", []string{"Origin: http://console.example.com"}, 403},
		"another site that looks":            {"GET", []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}, 200},
		"a link of another site to a page":   {"GET", []string{"Sec-Fetch-Site: cross-site"}, 200},
		"another site, with a trusted label": {"PUT", []string{"Sec-Fetch-Site: cross-site", "Origin: https://console.example.com"}, 200},
	} {
		resp, body := a.do(c.method, "/config/log_level", "warn", c.headers...)
		if resp.StatusCode != c.want || c.want == 403 && body != `{"message":"CROSS_ORIGIN_REQUEST"}` {
			t.Errorf("%s: %d %s, want %d", name, resp.StatusCode, body, c.want)
		}
	}
	for _, path := range []string{"/action", "/api/topics", "/api/topics/t", "/unknown"} {
		if resp, body := a.do("POST", path, "{}", "Sec-Fetch-Site: cross-site"); resp.StatusCode != 403 {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
}

func TestAdmins(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		admins []string
		sent   []string
		user   string
		admin  bool
	}{
		"without admins everybody is one": {"X-Forwarded-User", nil, nil, "", true},
		"and has a name all the same":     {"X-Forwarded-User", nil, []string{"bob"}, "bob", true},
		"an admin":                        {"X-Forwarded-User", []string{"ann", "bob"}, []string{"bob"}, "bob", true},
		"another user":                    {"X-Forwarded-User", []string{"ann"}, []string{"bob"}, "bob", false},
		"in another case":                 {"X-Forwarded-User", []string{"ann"}, []string{"ANN"}, "ANN", false},
		"no user":                         {"X-Forwarded-User", []string{"ann"}, nil, "", false},
		"an empty name":                   {"X-Forwarded-User", []string{"ann"}, []string{""}, "", false},
		"one name too many":               {"X-Forwarded-User", []string{"ann"}, []string{"ann", "bob"}, "", false},
		"a header in lower case":          {"x-user", []string{"ann"}, []string{"ann"}, "ann", true},
	} {
		s := httpServer{access: newAccess(&Options{ACLHTTPHeader: c.header, AdminUsers: c.admins})}
		r := httptest.NewRequest("POST", "/", nil)
		for _, value := range c.sent {
			r.Header.Add(c.header, value)
		}
		if user, admin := s.admin(r); user != c.user || admin != c.admin {
			t.Errorf("%s: %q, %v, want %q, %v", name, user, admin, c.user, c.admin)
		}
	}
}

// The peer is who is connected, in the forms that an address can have.
func TestPeersOfConfig(t *testing.T) {
	for _, c := range []struct {
		cidr, peer string
		want       int
	}{
		{"127.0.0.1/8", "127.5.5.5:1", 200},
		{"127.0.0.1/8", "[::ffff:127.0.0.1]:1", 200},
		{"127.0.0.1/8", "10.0.0.1:1", 403},
		{"::1/128", "[::1]:1", 200},
		{"fe80::/10", "[fe80::1%eth0]:1", 200},
		{"127.0.0.1/8", "@", 400},
		{"", "@", 200},
	} {
		n := &NSQAdmin{opts: NewOptions()}
		s := httpServer{n: n, access: newAccess(&Options{AllowConfigFromCIDR: c.cidr})}
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		_, err := s.fromCIDR(func(*http.Request) (any, error) { return nil, nil })(r)
		status := 200
		if e, ok := errors.AsType[httpapi.Error](err); ok {
			status = e.Status
		}
		if status != c.want {
			t.Errorf("%s from %s: %v, want %d", c.cidr, c.peer, err, c.want)
		}
	}
}
