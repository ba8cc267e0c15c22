package nsqadmin

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/config"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

func TestGetConfig(t *testing.T) {
	opts := testOptions(t)
	opts.LookupdHTTPAddresses = []string{"127.0.0.1:1"}
	opts.GraphiteURL = "http://ann:secret@graphite:8080"
	opts.ProxyGraphite = true
	opts.LevelVar = new(slog.LevelVar)
	a := start(t, opts)
	for key, want := range map[string]string{
		"log_level":                            "2",
		"log_format":                           "text",
		"log_prefix":                           "[nsqadmin] ",
		"http_address":                         "127.0.0.1:0",
		"base_path":                            "/",
		"dev_static_dir":                       "",
		"nsqlookupd_http_addresses":            `["127.0.0.1:1"]`,
		"nsqd_http_addresses":                  "[]",
		"graphite_url":                         "http://ann:xxxxx@graphite:8080",
		"proxy_graphite":                       "true",
		"statsd_interval":                      "60000000000",
		"statsd_prefix":                        "nsq.%s",
		"http_client_connect_timeout":          "2000000000",
		"http_client_tls_insecure_skip_verify": "false",
		"allow_config_from_cidr":               "127.0.0.1/8",
		"acl_http_header":                      "X-Forwarded-User",
		"admin_users":                          "[]",
		"trusted_origins":                      "[]",
	} {
		a.want(200, want, "GET", "/config/"+key, "")
	}
	for _, key := range []string{"admin_user", "lookupd_http_address", "verbose", "Log_level", "logger", "x"} {
		a.want(400, `{"message":"INVALID_OPTION"}`, "GET", "/config/"+key, "")
	}
}

func TestPutConfig(t *testing.T) {
	opts := testOptions(t)
	opts.LookupdHTTPAddresses = []string{"127.0.0.1:1"}
	opts.LevelVar = new(slog.LevelVar)
	a := start(t, opts)
	big := `["127.0.0.1:1"` + strings.Repeat(" ", 1<<20)
	for _, c := range []struct {
		key, value string
		status     int
		answer     string
	}{
		{"log_level", "debug", 200, "1"},
		{"log_level", "WARN", 200, "3"},
		{"log_level", `"debug"`, 400, "INVALID_VALUE"},
		{"log_level", "warning", 400, "INVALID_VALUE"},
		{"log_level", "", 413, "INVALID_VALUE"},
		{"nsqlookupd_http_addresses", `["127.0.0.1:2", "h:3", "127.0.0.1:2"]`, 200, `["127.0.0.1:2","h:3"]`},
		{"nsqlookupd_http_addresses", `["h"]`, 400, "INVALID_VALUE"},
		{"nsqlookupd_http_addresses", `["http://h:1"]`, 400, "INVALID_VALUE"},
		{"nsqlookupd_http_addresses", `"h:1"`, 400, "INVALID_VALUE"},
		{"nsqlookupd_http_addresses", `[1]`, 400, "INVALID_VALUE"},
		{"nsqlookupd_http_addresses", `[`, 400, "INVALID_VALUE"},
		{"nsqlookupd_http_addresses", "", 413, "INVALID_VALUE"},
		{"nsqlookupd_http_addresses", big, 413, "INVALID_VALUE"},
		{"nsqlookupd_http_addresses", big[:1<<20-1] + "]", 200, `["127.0.0.1:1"]`},
		{"nsqlookupd_http_addresses", "null", 200, "[]"},
		{"nsqlookupd_http_addresses", "[]", 200, "[]"},
		{"nsqd_http_addresses", "[]", 400, "INVALID_OPTION"},
		{"x", "1", 400, "INVALID_OPTION"},
		{"x", "", 413, "INVALID_VALUE"},
	} {
		want := c.answer
		if c.status != 200 {
			want = `{"message":"` + want + `"}`
		}
		a.want(c.status, want, "PUT", "/config/"+c.key, c.value)
		if c.status == 200 {
			a.want(200, want, "GET", "/config/"+c.key, "")
		}
	}
	if got := opts.LevelVar.Level(); got != slog.LevelWarn {
		t.Errorf("the level is %v", got)
	}
}

// What the documents say of an option can be changed, and nothing else can.
func TestPutChangesWhatIsDocumented(t *testing.T) {
	opts := testOptions(t)
	opts.LookupdHTTPAddresses = []string{"127.0.0.1:1"}
	opts.LevelVar = new(slog.LevelVar)
	a := start(t, opts)
	for _, o := range config.Describe(opts) {
		want := "INVALID_OPTION"
		if o.Change == "PUT /config/"+o.Key {
			want = "INVALID_VALUE"
		} else if o.Change != "" {
			t.Errorf("%s is said to be changed by %s", o.Key, o.Change)
		}
		a.want(400, `{"message":"`+want+`"}`, "PUT", "/config/"+o.Key, "{")
	}
}

// What PUT says is what is asked from then on.
func TestPutLookupdsIsInForce(t *testing.T) {
	l := nsqtest.StartLookupd(t, nil)
	opts := testOptions(t)
	opts.LookupdHTTPAddresses = []string{"127.0.0.1:1"}
	a := start(t, opts)
	if resp, body := a.do("GET", "/api/topics", ""); resp.StatusCode != 502 {
		t.Errorf("before: %d %s", resp.StatusCode, body)
	}
	a.want(200, `["`+l.HTTPAddr()+`"]`, "PUT", "/config/nsqlookupd_http_addresses", `["`+l.HTTPAddr()+`"]`)
	if resp, body := a.do("GET", "/api/topics", ""); resp.StatusCode != 200 {
		t.Errorf("after: %d %s", resp.StatusCode, body)
	}
}

func TestConfigIsForSomeOnly(t *testing.T) {
	for name, c := range map[string]struct {
		cidr       string
		admins     []string
		headers    []string
		get, write int
	}{
		"by default":           {"127.0.0.1/8", nil, nil, 200, 200},
		"from elsewhere":       {"10.0.0.0/8", nil, nil, 403, 403},
		"from everywhere":      {"", nil, nil, 200, 200},
		"of the other kind":    {"::1/128", nil, nil, 403, 403},
		"somebody":             {"127.0.0.1/8", []string{"ann"}, []string{"X-Forwarded-User: bob"}, 200, 403},
		"nobody":               {"127.0.0.1/8", []string{"ann"}, nil, 200, 403},
		"an admin":             {"127.0.0.1/8", []string{"ann", "bob"}, []string{"X-Forwarded-User: bob"}, 200, 200},
		"an admin's namesake":  {"127.0.0.1/8", []string{"ann"}, []string{"X-Forwarded-User: Ann"}, 200, 403},
		"two names":            {"127.0.0.1/8", []string{"ann"}, []string{"X-Forwarded-User: ann", "X-Forwarded-User: bob"}, 200, 403},
		"an admin, elsewhere":  {"10.0.0.0/8", []string{"ann"}, []string{"X-Forwarded-User: ann"}, 403, 403},
		"a header of no proxy": {"127.0.0.1/8", []string{"ann"}, []string{"X-Forwarded-For: 10.0.0.1", "X-User: ann"}, 200, 403},
	} {
		t.Run(name, func(t *testing.T) {
			opts := testOptions(t)
			opts.LookupdHTTPAddresses = []string{"127.0.0.1:1"}
			opts.LevelVar = new(slog.LevelVar)
			opts.AllowConfigFromCIDR, opts.AdminUsers = c.cidr, c.admins
			a := start(t, opts)
			for _, x := range []struct {
				method string
				want   int
			}{{"GET", c.get}, {"PUT", c.write}} {
				resp, body := a.do(x.method, "/config/log_level", "warn", c.headers...)
				if resp.StatusCode != x.want || resp.StatusCode == 403 && body != `{"message":"FORBIDDEN"}` {
					t.Errorf("%s: %d %s, want %d", x.method, resp.StatusCode, body, x.want)
				}
			}
		})
	}
}
