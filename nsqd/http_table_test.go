package nsqd_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/httpapi/httpapitest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/version"
	"github.com/seed893f581e/nsq/nsqd"
)

// An exchange is a row of the tables.
type exchange httpapitest.Exchange

// endpoints are all paths with their methods.
var endpoints = []struct{ path, methods string }{
	{"/ping", "GET"},
	{"/health/live", "GET HEAD"},
	{"/health/ready", "GET HEAD"},
	{"/drain", "DELETE GET POST"},
	{"/info", "GET"},
	{"/pub", "POST"},
	{"/mpub", "POST"},
	{"/stats", "GET"},
	{"/metrics", "GET"},
	{"/topic/create", "POST"},
	{"/topic/delete", "POST"},
	{"/topic/empty", "POST"},
	{"/topic/pause", "POST"},
	{"/topic/unpause", "POST"},
	{"/channel/create", "POST"},
	{"/channel/delete", "POST"},
	{"/channel/empty", "POST"},
	{"/channel/pause", "POST"},
	{"/channel/unpause", "POST"},
	{"/config/msg_timeout", "GET PUT"},
	{"/config/unknown", "GET PUT"},
	{"/debug/pprof/allocs", "GET"},
	{"/debug/pprof/block", "GET"},
	{"/debug/pprof/cmdline", "GET"},
	{"/debug/pprof/goroutine", "GET"},
	{"/debug/pprof/heap", "GET"},
	{"/debug/pprof/mutex", "GET"},
	{"/debug/pprof/profile", "GET"},
	{"/debug/pprof/symbol", "GET POST"},
	{"/debug/pprof/threadcreate", "GET"},
	{"/debug/pprof/trace", "GET"},
	{"/debug/setblockrate", "PUT"},
	{"/debug/freememory", "POST"},
}

// rulesOfPaths is what holds for every endpoint, whatever it does.
func rulesOfPaths() (rows []exchange) {
	for _, e := range endpoints {
		isName := strings.HasPrefix(e.path, "/config/") // where case is part of it
		for _, x := range httpapitest.PathRules(e.path, e.methods, !isName) {
			rows = append(rows, exchange(x))
		}
		rows = append(rows, exchange{"GET", e.path + "/deeper", "", 404, "NOT_FOUND"})
	}
	return rows
}

var (
	tooLong = strings.Repeat("x", 65) // for a name
	tooBig  = strings.Repeat("x", 101)
	huge    = strings.Repeat("x\n", 201)

	statsPage = "nsqd v" + version.Binary + " (built w/go..."
)

// There is a topic t with a channel c; messages have up to 100 bytes and bodies
// 400. No line makes a difference to a later one, except where that is the point.
var exchanges = []exchange{
	{"GET", "/", "", 404, "NOT_FOUND"},
	{"GET", "/nothing?%zz", "", 404, "NOT_FOUND"},
	{"OPTIONS", "/nothing", "", 404, "NOT_FOUND"},
	{"GET", "/topic", "", 404, "NOT_FOUND"},
	{"GET", "/config", "", 404, "NOT_FOUND"},
	{"GET", "/config/", "", 404, "NOT_FOUND"},
	{"GET", "/debug", "", 404, "NOT_FOUND"},
	{"GET", "/debug/pprof", "", 301, "/debug/pprof/"},
	{"GET", "/Debug/PProf/", "", 301, "/debug/pprof/"},
	{"POST", "/debug/pprof/", "", 405, "GET, OPTIONS"},
	{"POST", "/debug/pprof", "", 404, "NOT_FOUND"},
	{"GET", "/debug/pprof/nothing", "", 404, "NOT_FOUND"},
	{"POST", "/PING", "", 404, "NOT_FOUND"},
	{"GET", "/CONFIG/id", "", 301, "/config/id"},

	{"GET", "/ping", "", 200, "OK"},
	{"GET", "/ping?topic=&%zz", huge, 200, "OK"},
	{"GET", "/health/live?%zz", huge, 200, "OK\n"},
	{"HEAD", "/health/live", "", 200, "OK\n"},
	{"GET", "/health/ready", "", 200, "OK\n"},
	{"HEAD", "/health/ready", "", 200, "OK\n"},
	{"GET", "/health", "", 404, "NOT_FOUND"},
	{"GET", "/drain", "", 200, `{"state":"serving","waiting":0,"depth":...`},
	{"DELETE", "/drain", "", 200, `{"state":"serving","waiting":0,"depth":...`},
	{"POST", "/drain?timeout=", "", 400, "INVALID_TIMEOUT"},
	{"POST", "/drain?timeout=5", "", 400, "INVALID_TIMEOUT"},
	{"POST", "/drain?timeout=-5s", "", 400, "INVALID_TIMEOUT"},
	{"POST", "/drain?timeout=0s", "", 400, "INVALID_TIMEOUT"},
	{"POST", "/drain?timeout=1000000h", "", 400, "INVALID_TIMEOUT"},
	{"POST", "/drain?%zz", "", 400, "INVALID_REQUEST"},

	{"GET", "/info?%zz", huge, 200, `{"version":"...`},
	{"GET", "/stats", "", 200, statsPage},
	{"GET", "/stats?format=", "", 200, statsPage},
	{"GET", "/stats?format=JSON", "", 200, statsPage},
	{"GET", "/stats?format=text&format=json", "", 200, statsPage},
	{"GET", "/stats?format=json", huge, 200, `{"version":"...`},
	{"GET", "/stats?format=json&format=text", "", 200, `{"version":"...`},
	{"GET", "/stats?format=json&topic=%20&channel=%20&include_mem=x&include_clients=", "", 200, `{"version":"...`},
	{"GET", "/stats?%zz", "", 400, "INVALID_REQUEST"},
	{"GET", "/stats?format=json;topic=t", "", 400, "INVALID_REQUEST"},

	{"POST", "/topic/create?topic=t", "", 200, ""},
	{"POST", "/topic/create?topic=t", huge, 200, ""},
	{"POST", "/topic/create?topic=t&topic=%20", "", 200, ""},
	{"POST", "/topic/create?topic=u%23ephemeral", "", 200, ""},
	{"POST", "/topic/create", "", 400, "MISSING_ARG_TOPIC"},
	{"POST", "/topic/create", "topic=t", 400, "MISSING_ARG_TOPIC"},
	{"POST", "/topic/create?topic", "", 400, "INVALID_TOPIC"},
	{"POST", "/topic/create?topic=", "", 400, "INVALID_TOPIC"},
	{"POST", "/topic/create?topic=" + tooLong, "", 400, "INVALID_TOPIC"},
	{"POST", "/topic/create?topic=a%2Fb", "", 400, "INVALID_TOPIC"},
	{"POST", "/topic/create?topic=t&%zz", "", 400, "INVALID_REQUEST"},
	{"POST", "/topic/create?topic=t;x=1", "", 400, "INVALID_REQUEST"},

	{"POST", "/topic/empty?topic=t", "", 200, ""},
	{"POST", "/topic/empty", "", 400, "MISSING_ARG_TOPIC"},
	{"POST", "/topic/empty?topic=", "", 400, "INVALID_TOPIC"},
	{"POST", "/topic/empty?topic=%20", "", 400, "INVALID_TOPIC"},
	{"POST", "/topic/empty?topic=none", "", 404, "TOPIC_NOT_FOUND"},
	{"POST", "/topic/empty?%zz", "", 400, "INVALID_REQUEST"},

	{"POST", "/channel/create?topic=t&channel=c", "", 200, ""},
	{"POST", "/channel/create?topic=t&channel=d&channel=%20", huge, 200, ""},
	{"POST", "/channel/delete?topic=t&channel=d", "", 200, ""},
	{"POST", "/channel/delete?topic=t&channel=d", "", 404, "CHANNEL_NOT_FOUND"},
	{"POST", "/channel/pause?topic=t&channel=c", "", 200, ""},
	{"POST", "/channel/pause?topic=t&channel=c", "", 200, ""},
	{"POST", "/channel/unpause?topic=t&channel=c", "", 200, ""},
	{"POST", "/channel/unpause?topic=t&channel=c", "", 200, ""},
	{"POST", "/channel/empty?topic=t&channel=c", "", 200, ""},
	{"POST", "/channel/empty?topic=t&channel=c", huge, 200, ""},

	{"POST", "/topic/create?topic=gone", "", 200, ""},
	{"POST", "/topic/pause?topic=gone", "", 200, ""},
	{"POST", "/topic/pause?topic=gone", "", 200, ""},
	{"POST", "/topic/unpause?topic=gone", "", 200, ""},
	{"POST", "/topic/unpause?topic=gone", "", 200, ""},
	{"POST", "/topic/delete?topic=gone", "", 200, ""},
	{"POST", "/topic/delete?topic=gone", "", 404, "TOPIC_NOT_FOUND"},

	{"POST", "/pub?topic=none", tooBig, 413, "MSG_TOO_BIG"},
	{"POST", "/pub?%zz", tooBig, 413, "MSG_TOO_BIG"},
	{"POST", "/pub?topic=t", "", 400, "MSG_EMPTY"},
	{"POST", "/pub?%zz", "", 400, "MSG_EMPTY"},
	{"POST", "/pub?%zz", "x", 400, "INVALID_REQUEST"},
	{"POST", "/pub", "x", 400, "MISSING_ARG_TOPIC"},
	{"POST", "/pub?topic=", "x", 400, "INVALID_TOPIC"},
	{"POST", "/pub?topic=%20&defer=x", "x", 400, "INVALID_TOPIC"},
	{"POST", "/pub?topic=none&defer=", "x", 400, "INVALID_DEFER"},
	{"POST", "/pub?topic=none&defer=1.5", "x", 400, "INVALID_DEFER"},
	{"POST", "/pub?topic=none&defer=-1", "x", 400, "INVALID_DEFER"},
	{"POST", "/pub?topic=none&defer=3600001", "x", 400, "INVALID_DEFER"},
	{"POST", "/pub?topic=none&defer=99999999999999999999", "x", 400, "INVALID_DEFER"},
	{"POST", "/pub?topic=t", "x", 200, "OK"},
	{"POST", "/pub?topic=t&topic=%20&unknown=1", tooBig[1:], 200, "OK"},
	{"POST", "/pub?topic=t&defer=0", "x", 200, "OK"},
	{"POST", "/pub?topic=t&defer=3600000", "x", 200, "OK"},
	{"POST", "/pub?topic=t&defer=%2B5", "x", 200, "OK"},
	{"POST", "/pub?topic=t&defer=1&defer=x", "x", 200, "OK"},

	{"POST", "/mpub?%zz", huge, 413, "BODY_TOO_BIG"},
	{"POST", "/mpub?topic=none", huge, 413, "BODY_TOO_BIG"},
	{"POST", "/mpub?topic=none", "a\n" + tooBig, 413, "MSG_TOO_BIG"},
	{"POST", "/mpub?%zz", "x", 400, "INVALID_REQUEST"},
	{"POST", "/mpub", "x", 400, "MISSING_ARG_TOPIC"},
	{"POST", "/mpub?topic=%20", "x", 400, "INVALID_TOPIC"},
	{"POST", "/mpub?topic=t", "", 200, "OK"},
	{"POST", "/mpub?topic=t", huge[2:], 200, "OK"},
	{"POST", "/mpub?topic=t&defer=x", "a\nb", 200, "OK"},
	{"POST", "/mpub?topic=t&binary=false&binary=true", "a\nb", 200, "OK"},
	{"POST", "/mpub?topic=t&binary=true", "\x00\x00\x00\x01\x00\x00\x00\x01a", 200, "OK"},
	{"POST", "/mpub?topic=none&binary=true", huge, 413, "BODY_TOO_BIG"},
	{"POST", "/mpub?topic=none&binary=true", "", 413, "BAD_BODY"},
	{"POST", "/mpub?topic=none&binary=1", "a\nb", 413, "BAD_BODY"},
	{"POST", "/mpub?topic=none&binary=", "a\nb", 413, "BAD_BODY"},
	{"POST", "/mpub?topic=none&binary=TRUE", "a\nb", 413, "BAD_BODY"},
	{"POST", "/mpub?topic=none&binary=1", "\x00\x00\x00\x00", 413, "BAD_BODY"},
	{"POST", "/mpub?topic=none&binary=1", "\xff\xff\xff\xff", 413, "BAD_BODY"},
	{"POST", "/mpub?topic=none&binary=1", "\x7f\xff\xff\xff", 413, "BAD_BODY"},
	{"POST", "/mpub?topic=none&binary=1", "\x00\x00\x00\x01", 413, "BAD_MESSAGE"},
	{"POST", "/mpub?topic=none&binary=1", "\x00\x00\x00\x01\x00\x00\x00\x00", 413, "BAD_MESSAGE"},
	{"POST", "/mpub?topic=none&binary=1", "\x00\x00\x00\x01\x00\x00\x00\x02a", 413, "BAD_MESSAGE"},
	{"POST", "/mpub?topic=none&binary=1", "\x00\x00\x00\x02\x00\x00\x00\x01a\x00\x7f\xff\xffb", 413, "BAD_MESSAGE"},

	// The topic none is still none: no request that was rejected has created it.
	{"POST", "/topic/empty?topic=none", "", 404, "TOPIC_NOT_FOUND"},

	{"GET", "/config/max_msg_size?%zz", huge, 200, "100"},
	{"GET", "/config/msg_timeout", "", 200, "60000000000"},
	{"GET", "/config/auth_http_request_method", "", 200, "get"},
	{"GET", "/config/tls_root_ca_file", "", 200, ""},
	{"GET", "/config/MSG_TIMEOUT", "", 400, "INVALID_OPTION"},
	{"GET", "/config/msg-timeout", "", 400, "INVALID_OPTION"},
	{"GET", "/config/node_id", "", 400, "INVALID_OPTION"},
	{"GET", "/config/lookupd_tcp_address", "", 400, "INVALID_OPTION"},
	{"GET", "/config/queue_scan_interval", "", 400, "INVALID_OPTION"},
	{"GET", "/config/version", "", 400, "INVALID_OPTION"},
	{"GET", "/config/config", "", 400, "INVALID_OPTION"},
	{"GET", "/config/verbose", "", 400, "INVALID_OPTION"},
	{"GET", "/config/%20", "", 400, "INVALID_OPTION"},

	{"PUT", "/config/msg_timeout", "1", 400, "INVALID_OPTION"},
	{"PUT", "/config/unknown", "1", 400, "INVALID_OPTION"},
	{"PUT", "/config/unknown", "", 413, "INVALID_VALUE"},
	{"PUT", "/config/unknown", tooBig, 413, "INVALID_VALUE"},
	{"PUT", "/config/log_level", "", 413, "INVALID_VALUE"},
	{"PUT", "/config/log_level", tooBig, 413, "INVALID_VALUE"},
	{"PUT", "/config/log_level", tooBig[1:], 400, "INVALID_VALUE"},
	{"PUT", "/config/log_level", "warning", 400, "INVALID_VALUE"},
	{"PUT", "/config/log_level", `"debug"`, 400, "INVALID_VALUE"},
	{"PUT", "/config/log_level", "3", 400, "INVALID_VALUE"},
	{"PUT", "/config/log_level", "Fatal", 200, "5"},
	{"PUT", "/config/log_level", "DEBUG", 200, "1"},
	{"PUT", "/config/log_level", "debug", 200, "1"},
	{"PUT", "/config/log_level?%zz", "warn", 200, "3"},
	{"GET", "/config/log_level", "", 200, "3"},
	{"PUT", "/config/nsqlookupd_tcp_addresses", "", 413, "INVALID_VALUE"},
	{"PUT", "/config/nsqlookupd_tcp_addresses", huge, 413, "INVALID_VALUE"},
	{"PUT", "/config/nsqlookupd_tcp_addresses", "127.0.0.1:4160", 400, "INVALID_VALUE"},
	{"PUT", "/config/nsqlookupd_tcp_addresses", `"127.0.0.1:4160"`, 400, "INVALID_VALUE"},
	{"PUT", "/config/nsqlookupd_tcp_addresses", `["127.0.0.1:4160", 1]`, 400, "INVALID_VALUE"},
	{"PUT", "/config/nsqlookupd_tcp_addresses", `["127.0.0.1:4160", null]`, 400, "INVALID_VALUE"},
	{"PUT", "/config/nsqlookupd_tcp_addresses", `["127.0.0.1:4160"] x`, 400, "INVALID_VALUE"},
	{"PUT", "/config/nsqlookupd_tcp_addresses", `["127.0.0.1"]`, 400, "INVALID_VALUE"},
	{"PUT", "/config/nsqlookupd_tcp_addresses", `["127.0.0.1:0"]`, 400, "INVALID_VALUE"},
	{"PUT", "/config/nsqlookupd_tcp_addresses", `["127.0.0.1:65536"]`, 400, "INVALID_VALUE"},
	{"GET", "/config/nsqlookupd_tcp_addresses", "", 200, "[]"},
	{"PUT", "/config/nsqlookupd_tcp_addresses", ` ["127.0.0.1:4160", "localhost:1"] `, 200, `["127.0.0.1:4160","localhost:1"]`},
	{"GET", "/config/nsqlookupd_tcp_addresses", "", 200, `["127.0.0.1:4160","localhost:1"]`},
	{"PUT", "/config/nsqlookupd_tcp_addresses", "null", 200, "[]"},
	{"PUT", "/config/nsqlookupd_tcp_addresses", "[]", 200, "[]"},
	{"PUT", "/config/NSQLookupd_tcp_addresses", "[]", 400, "INVALID_OPTION"},

	{"PUT", "/debug/setblockrate", "", 400, `invalid block rate : strconv.Atoi: parsing "": invalid syntax`},
	{"PUT", "/debug/setblockrate", huge, 400, `invalid block rate : strconv.Atoi: parsing "": invalid syntax`},
	{"PUT", "/debug/setblockrate?rate=", "", 400, `invalid block rate : strconv.Atoi: parsing "": invalid syntax`},
	{"PUT", "/debug/setblockrate?rate=x", "", 400, `invalid block rate : strconv.Atoi: parsing "x": invalid syntax`},
	{"PUT", "/debug/setblockrate?rate=0&rate=x", "", 200, ""},
	{"PUT", "/debug/setblockrate?rate=0", "", 200, ""},
	{"POST", "/debug/freememory", "", 200, ""},
	{"POST", "/debug/freememory?%zz", huge, 200, ""},
}

// rulesOfNames is how the endpoints of topics and channels check their names.
func rulesOfNames() (rows []exchange) {
	for _, do := range []string{"delete", "pause", "unpause"} {
		path := "/topic/" + do
		rows = append(rows, []exchange{
			{"POST", path, "", 400, "MISSING_ARG_TOPIC"},
			{"POST", path + "?topic=none", "", 404, "TOPIC_NOT_FOUND"},
			{"POST", path + "?topic=none", huge, 404, "TOPIC_NOT_FOUND"},
			{"POST", path + "?topic=%20", "", 404, "TOPIC_NOT_FOUND"},
			{"POST", path + "?topic=", "", 404, "TOPIC_NOT_FOUND"},
			{"POST", path + "?topic=none&%zz", "", 400, "INVALID_REQUEST"},
		}...)
	}
	for _, do := range []string{"create", "delete", "empty", "pause", "unpause"} {
		path := "/channel/" + do
		rows = append(rows, []exchange{
			{"POST", path + "?channel=%20&%zz", "", 400, "INVALID_REQUEST"},
			{"POST", path, "topic=t&channel=c", 400, "MISSING_ARG_TOPIC"},
			{"POST", path + "?channel=%20", "", 400, "MISSING_ARG_TOPIC"},
			{"POST", path + "?topic=", "", 400, "INVALID_ARG_TOPIC"},
			{"POST", path + "?topic=%20", "", 400, "INVALID_ARG_TOPIC"},
			{"POST", path + "?topic=none", "", 400, "MISSING_ARG_CHANNEL"},
			{"POST", path + "?topic=none&channel=", "", 400, "INVALID_ARG_CHANNEL"},
			{"POST", path + "?topic=none&channel=" + tooLong, "", 400, "INVALID_ARG_CHANNEL"},
			{"POST", path + "?topic=none&channel=c", huge, 404, "TOPIC_NOT_FOUND"},
		}...)
		if do != "create" {
			rows = append(rows, exchange{"POST", path + "?topic=t&channel=none", "", 404, "CHANNEL_NOT_FOUND"})
		}
	}
	return rows
}

// Every endpoint with good and bad parameters, to the byte.
func TestHTTPTable(t *testing.T) {
	rows := slices.Concat(rulesOfPaths(), exchanges, rulesOfNames())
	small := func(opts *nsqd.Options) {
		opts.MaxMsgSize, opts.MaxBodySize = 100, 400
		opts.LevelVar = new(slog.LevelVar)
	}
	overEveryListener(t, small, func(t *testing.T, _ *nsqtest.NSQD, a *api) {
		a.post("/topic/create?topic=t")
		a.post("/channel/create?topic=t&channel=c")
		for _, x := range rows {
			resp, body, err := a.try(x.Method, x.Target, strings.NewReader(x.Body))
			if err != nil {
				t.Fatalf("%s %s: %v", x.Method, x.Target, err)
			}
			got, want := httpapitest.Transcript(resp.StatusCode, resp.Header, body), x.want(body)
			if got != want {
				t.Errorf("%s %s %.40q:\ngot  %s\nwant %s", x.Method, x.Target, x.Body, got, want)
			}
		}
	})
}

// want is the whole answer that x stands for. got is needed only where x leaves
// the end of the body open.
func (x exchange) want(got string) string {
	path, _, _ := strings.Cut(x.Target, "?")
	return httpapitest.Exchange(x).Want(httpapitest.Form{
		Plain:   path == "/ping" || x.Answer == "OK\n" || path == "/debug/setblockrate" || path == "/debug/freememory",
		IsValue: strings.HasPrefix(x.Answer, "{") || strings.HasPrefix(path, "/config/") && x.Answer != "get",
	}, got)
}
