package nsqlookupd_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/httpapi/httpapitest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/version"
)

// An exchange is a row of the tables.
type exchange httpapitest.Exchange

// endpoints are all paths with their methods.
var endpoints = []struct{ path, methods string }{
	{"/ping", "GET"},
	{"/health/live", "GET HEAD"},
	{"/health/ready", "GET HEAD"},
	{"/info", "GET"},
	{"/topics", "GET"},
	{"/channels", "GET"},
	{"/lookup", "GET"},
	{"/watch", "GET"},
	{"/nodes", "GET"},
	{"/debug", "GET"},
	{"/topic/create", "POST"},
	{"/topic/delete", "POST"},
	{"/topic/tombstone", "POST"},
	{"/channel/create", "POST"},
	{"/channel/delete", "POST"},
	{"/debug/pprof/block", "GET"},
	{"/debug/pprof/cmdline", "GET"},
	{"/debug/pprof/goroutine", "GET"},
	{"/debug/pprof/heap", "GET"},
	{"/debug/pprof/profile", "GET"},
	{"/debug/pprof/symbol", "GET POST"},
	{"/debug/pprof/threadcreate", "GET"},
}

// rulesOfPaths is what holds for every endpoint, whatever it does.
func rulesOfPaths() (rows []exchange) {
	for _, e := range endpoints {
		for _, x := range httpapitest.PathRules(e.path, e.methods, true) {
			rows = append(rows, exchange(x))
		}
		if e.path != "/debug" {
			rows = append(rows, exchange{"GET", e.path + "/deeper", "", 404, "NOT_FOUND"})
		}
	}
	return rows
}

// rulesOfNames is how the endpoints that have parameters check them.
func rulesOfNames() (rows []exchange) {
	for _, path := range []string{"/channels", "/lookup", "/watch", "/topic/create", "/topic/delete", "/topic/tombstone", "/channel/create", "/channel/delete"} {
		method := "POST"
		if strings.Count(path, "/") == 1 {
			method = "GET"
		}
		rows = append(rows, []exchange{
			{method, path, "", 400, "MISSING_ARG_TOPIC"},
			{method, path, "topic=t&channel=c&node=n:1", 400, "MISSING_ARG_TOPIC"}, // a form is not looked at
			{method, path + "?Topic=t", "", 400, "MISSING_ARG_TOPIC"},
			{method, path + "?channel=%20&node=", "", 400, "MISSING_ARG_TOPIC"},
			{method, path + "?topic=t&%zz", "", 400, "INVALID_REQUEST"},
			{method, path + "?topic=t;channel=c", "", 400, "INVALID_REQUEST"},
		}...)
	}
	for _, path := range []string{"/topic/create", "/channel/create", "/channel/delete"} {
		for _, name := range []string{"", "=", "=%20", "=*", "=a%2Fb", "=" + tooLong, "=%23ephemeral", "=t%00"} {
			rows = append(rows, exchange{"POST", path + "?topic" + name, "", 400, "INVALID_ARG_TOPIC"})
		}
	}
	for _, path := range []string{"/channel/create", "/channel/delete"} {
		rows = append(rows,
			exchange{"POST", path + "?topic=t", "", 400, "MISSING_ARG_CHANNEL"},
			exchange{"POST", path + "?topic=t", "channel=c", 400, "MISSING_ARG_CHANNEL"})
		for _, name := range []string{"", "=", "=%20", "=*", "=" + tooLong, "=%C3%A4"} {
			rows = append(rows, exchange{"POST", path + "?topic=t&channel" + name, "", 400, "INVALID_ARG_CHANNEL"})
		}
	}
	return rows
}

var (
	tooLong = strings.Repeat("x", 65) // for a name
	huge    = strings.Repeat("x\n", 5000)
)

// Nothing is registered. Each line is true after those before it.
var exchanges = []exchange{
	{"GET", "/", "", 404, "NOT_FOUND"},
	{"GET", "/nothing?%zz", "", 404, "NOT_FOUND"},
	{"OPTIONS", "/nothing", "", 404, "NOT_FOUND"},
	{"GET", "/topic", "", 404, "NOT_FOUND"},
	{"GET", "/stats", "", 404, "NOT_FOUND"},
	{"GET", "/config/log_level", "", 404, "NOT_FOUND"},
	{"POST", "/create_topic?topic=t", "", 404, "NOT_FOUND"},
	{"POST", "/delete_topic?topic=t", "", 404, "NOT_FOUND"},
	{"POST", "/tombstone_topic_producer?topic=t&node=n:1", "", 404, "NOT_FOUND"},
	{"POST", "/PING", "", 404, "NOT_FOUND"},
	{"GET", "/debug/pprof/mutex", "", 404, "NOT_FOUND"},
	{"GET", "/debug/pprof/allocs", "", 404, "NOT_FOUND"},
	{"GET", "/debug/pprof/trace", "", 404, "NOT_FOUND"},
	{"POST", "/debug/pprof", "", 405, "GET, OPTIONS"},
	{"POST", "/debug/pprof/", "", 405, "GET, OPTIONS"},

	{"GET", "/ping", "", 200, "OK"},
	{"GET", "/ping?topic=&%zz", huge, 200, "OK"},
	{"GET", "/info?%zz", huge, 200, `{"version":"` + version.Binary + `"}`},
	{"GET", "/topics?%zz", huge, 200, `{"topics":[]}`},
	{"GET", "/nodes?%zz", huge, 200, `{"producers":[]}`},
	{"GET", "/debug?%zz", huge, 200, `{}`},
	{"GET", "/channels?topic=t", "", 200, `{"channels":[]}`},
	{"GET", "/channels?topic=", "", 200, `{"channels":[]}`},
	{"GET", "/channels?topic=*", "", 200, `{"channels":[]}`},
	{"GET", "/channels?topic=" + tooLong, "", 200, `{"channels":[]}`},
	{"GET", "/lookup?topic=t", "", 404, "TOPIC_NOT_FOUND"},
	{"GET", "/lookup?topic=", "", 404, "TOPIC_NOT_FOUND"},
	{"GET", "/lookup?topic=*", "", 404, "TOPIC_NOT_FOUND"},
	{"GET", "/lookup?topic=%00%ff", "", 404, "TOPIC_NOT_FOUND"},
	{"GET", "/lookup?topic=" + tooLong, "", 404, "TOPIC_NOT_FOUND"},
	{"GET", "/watch?topic=", "", 404, "TOPIC_NOT_FOUND"}, // a name that cannot be waits for nothing
	{"GET", "/watch?topic=*&timeout=60s", "", 404, "TOPIC_NOT_FOUND"},
	{"GET", "/watch?topic=t&timeout=1ms", "", 404, "TOPIC_NOT_FOUND"},
	{"GET", "/watch?topic=t&timeout=1", "", 404, "TOPIC_NOT_FOUND"},
	{"GET", "/watch?topic=t&timeout=1&timeout=x", "", 404, "TOPIC_NOT_FOUND"},
	{"GET", "/watch?topic=t&timeout=", "", 400, "INVALID_ARG_TIMEOUT"},
	{"GET", "/watch?topic=t&timeout=x", "", 400, "INVALID_ARG_TIMEOUT"},
	{"GET", "/watch?topic=t&timeout=0", "", 400, "INVALID_ARG_TIMEOUT"},
	{"GET", "/watch?topic=t&timeout=0s", "", 400, "INVALID_ARG_TIMEOUT"},
	{"GET", "/watch?topic=t&timeout=-1", "", 400, "INVALID_ARG_TIMEOUT"},
	{"GET", "/watch?topic=t&timeout=-1s", "", 400, "INVALID_ARG_TIMEOUT"},
	{"GET", "/watch?topic=t&timeout=1.5", "", 400, "INVALID_ARG_TIMEOUT"},
	{"GET", "/watch?topic=*&timeout=x", "", 400, "INVALID_ARG_TIMEOUT"},

	{"POST", "/topic/delete?topic=t", "", 200, ""},
	{"POST", "/topic/delete?topic=", "", 200, ""},
	{"POST", "/topic/delete?topic=%00%ff", huge, 200, ""},
	{"POST", "/topic/tombstone?topic=t", "", 400, "MISSING_ARG_NODE"},
	{"POST", "/topic/tombstone?topic=t", "node=n:1", 400, "MISSING_ARG_NODE"},
	{"POST", "/topic/tombstone?topic=t&node=n:1", "", 200, ""},
	{"POST", "/topic/tombstone?topic=&node=", huge, 200, ""},
	{"POST", "/topic/tombstone?topic=t&node", "", 200, ""},
	{"POST", "/channel/delete?topic=t&channel=c", "", 404, "CHANNEL_NOT_FOUND"},
	{"GET", "/topics", "", 200, `{"topics":[]}`},

	{"GET", "/health/live?%zz", huge, 200, "OK\n"},
	{"HEAD", "/health/live", "", 200, "OK\n"},
	{"GET", "/health/ready", "", 200, "OK\n"},
	{"HEAD", "/health/ready", "", 200, "OK\n"},

	{"POST", "/topic/create?topic=t", "", 200, ""},
	{"POST", "/topic/create?topic=t", huge, 200, ""},
	{"POST", "/topic/create?topic=a&topic=%20", "", 200, ""},
	{"POST", "/topic/create?topic=e%23ephemeral", "", 200, ""},
	{"GET", "/topics", "", 200, `{"topics":["a","e#ephemeral","t"]}`},
	{"GET", "/lookup?topic=t", "", 200, `{"channels":[],"producers":[]}`},
	{"GET", "/lookup?topic=t&topic=none&unknown=1", huge, 200, `{"channels":[],"producers":[]}`},
	{"GET", "/watch?topic=t&timeout=1ms", "", 200, `{"channels":[],"producers":[]}`},
	{"GET", "/channels?topic=t", "", 200, `{"channels":[]}`},

	{"POST", "/channel/create?topic=t&channel=c2", "", 200, ""},
	{"POST", "/channel/create?topic=t&channel=c1&channel=%20", huge, 200, ""},
	{"POST", "/channel/create?topic=new&channel=c%23ephemeral", "", 200, ""},
	{"GET", "/topics", "", 200, `{"topics":["a","e#ephemeral","new","t"]}`},
	{"GET", "/channels?topic=t&topic=a", "", 200, `{"channels":["c1","c2"]}`},
	{"GET", "/channels?topic=new", "", 200, `{"channels":["c#ephemeral"]}`},
	{"GET", "/lookup?topic=t", "", 200, `{"channels":["c1","c2"],"producers":[]}`},
	{"GET", "/lookup?topic=*", "", 404, "TOPIC_NOT_FOUND"},
	{"GET", "/channels?topic=*", "", 200, `{"channels":[]}`},
	{"GET", "/debug", "", 200, `{}`},

	{"POST", "/channel/delete?topic=t&channel=c1", huge, 200, ""},
	{"POST", "/channel/delete?topic=t&channel=c1", "", 404, "CHANNEL_NOT_FOUND"},
	{"POST", "/channel/delete?topic=none&channel=c1", "", 404, "CHANNEL_NOT_FOUND"},
	{"GET", "/lookup?topic=t", "", 200, `{"channels":["c2"],"producers":[]}`},
	{"POST", "/topic/delete?topic=*", "", 200, ""}, // which is a name that no topic has
	{"GET", "/topics", "", 200, `{"topics":["a","e#ephemeral","new","t"]}`},
	{"POST", "/topic/delete?topic=t&topic=a", "", 200, ""},
	{"GET", "/topics", "", 200, `{"topics":["a","e#ephemeral","new"]}`},
	{"GET", "/channels?topic=t", "", 200, `{"channels":[]}`},
	{"GET", "/lookup?topic=t", "", 404, "TOPIC_NOT_FOUND"},
}

// Every endpoint with good and bad parameters, to the byte.
func TestHTTPTable(t *testing.T) {
	d := nsqtest.StartLookupd(t, nil)
	client := &http.Client{
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	for _, x := range slices.Concat(rulesOfPaths(), rulesOfNames(), exchanges) {
		req, err := http.NewRequest(x.Method, d.HTTPURL(), strings.NewReader(x.Body))
		if err != nil {
			t.Fatal(err)
		}
		path, query, _ := strings.Cut(x.Target, "?")
		req.URL.Path, req.URL.RawQuery = path, query
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := client.Do(req)
		if err != nil {
			t.Fatalf("%s %s: %v", x.Method, x.Target, err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatalf("%s %s: %v", x.Method, x.Target, err)
		}
		if got, want := httpapitest.Transcript(resp.StatusCode, resp.Header, string(body)), x.want(); got != want {
			t.Errorf("%s %s %.40q:\ngot  %s\nwant %s", x.Method, x.Target, x.Body, got, want)
		}
	}
}

// want is the whole answer that x stands for.
func (x exchange) want() string {
	path, _, _ := strings.Cut(x.Target, "?")
	isAnswer := x.Status == 200 && x.Method != "OPTIONS" || x.Answer == "TOPIC_NOT_FOUND"
	return httpapitest.Exchange(x).Want(httpapitest.Form{
		Plain:   path == "/ping" || x.Answer == "OK\n",
		IsValue: true,
		Tagged:  isAnswer && (path == "/lookup" || path == "/watch"),
	}, "")
}

// The index of profiles has links that lead somewhere only with a slash at the
// end; it is there without one, too.
func TestProfiles(t *testing.T) {
	d := nsqtest.StartLookupd(t, nil)
	for path, want := range map[string]string{
		"/debug/pprof":                      "<html>",
		"/debug/pprof/":                     "<html>",
		"/debug/pprof/cmdline":              "",
		"/debug/pprof/symbol":               "num_symbols: 1\n",
		"/debug/pprof/heap?debug=1":         "heap profile: ",
		"/debug/pprof/goroutine?debug=1":    "goroutine profile: total ",
		"/debug/pprof/block?debug=1":        "--- contention:",
		"/debug/pprof/threadcreate?debug=1": "threadcreate profile: total ",
	} {
		if status, body := get(t, d, path); status != 200 || !strings.HasPrefix(body, want) {
			t.Errorf("%s: %d %.40q, want %q", path, status, body, want)
		}
	}
}
