package nsqadmin

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestGraphiteNames(t *testing.T) {
	standard := statsdNames{"nsq.%s", "stats.counters.%s.count", "stats.gauges.%s"}
	plain := statsdNames{"nsq.%s.", "", ""}
	for _, c := range []struct {
		names statsdNames
		m     metric
		want  string
	}{
		{standard, metric{"127.0.0.1:4151", "t", "", "depth"}, "stats.gauges.nsq.127_0_0_1_4151.topic.t.depth"},
		{standard, metric{"", "t", "", "depth"}, "sumSeries(stats.gauges.nsq.*.topic.t.depth)"},
		{standard, metric{"", "t", "", "message_count"}, "sumSeries(stats.counters.nsq.*.topic.t.message_count.count)"},
		{standard, metric{"", "t", "", "message_bytes"}, "sumSeries(stats.counters.nsq.*.topic.t.message_bytes.count)"},
		{standard, metric{"h:1", "t", "c", "requeue_count"}, "stats.counters.nsq.h_1.topic.t.channel.c.requeue_count.count"},
		{standard, metric{"h:1", "t", "c", "timeout_count"}, "stats.counters.nsq.h_1.topic.t.channel.c.timeout_count.count"},
		{standard, metric{"h:1", "t", "c", "in_flight_count"}, "stats.gauges.nsq.h_1.topic.t.channel.c.in_flight_count"},
		{standard, metric{"h:1", "t", "c", "deferred_count"}, "stats.gauges.nsq.h_1.topic.t.channel.c.deferred_count"},
		{standard, metric{"h:1", "t", "c", "clients"}, "stats.gauges.nsq.h_1.topic.t.channel.c.clients"},
		{standard, metric{"h:1", "t", "c", "e2e_processing_latency_99"}, "stats.gauges.nsq.h_1.topic.t.channel.c.e2e_processing_latency_99"},
		{standard, metric{"h:1", "", "", "gc_runs"}, "stats.counters.nsq.h_1.mem.gc_runs.count"},
		{standard, metric{"h:1", "", "", "heap_idle_bytes"}, "stats.gauges.nsq.h_1.mem.heap_idle_bytes"},
		{standard, metric{"[::1]:4151", "a b/c#ephemeral", "x.y-z_ä", "depth"}, "stats.gauges.nsq.__1_4151.topic.a_b-cephemeral.channel.x.y-z_.depth"},
		{plain, metric{"h:1", "t", "", "message_count"}, "nsq.h_1.topic.t.message_count"},
		{statsdNames{"", "", "g.%s"}, metric{"h:1", "t", "", "depth"}, "g.topic.t.depth"},
		{statsdNames{"fixed", "%s.%s", ""}, metric{"h:1", "t", "", "message_count"}, "fixed.topic.t.message_count.fixed.topic.t.message_count"},
	} {
		if got := c.names.target(c.m); got != c.want {
			t.Errorf("%+v: %s, want %s", c.m, got, c.want)
		}
	}
}

func TestGraphiteLinks(t *testing.T) {
	depth := metric{Topic: "t", Key: "depth"}
	const query = "/render?from=-2h&height=350&target=sumSeries%28stats.gauges.nsq.%2A.topic.t.depth%29&target=stats.gauges.nsq.h_1.topic.t.depth&width=900&yMin=0"
	for _, c := range []struct {
		url, basePath string
		proxy         bool
		want          string
	}{
		{"", "", false, ""},
		{"http://g:80/below/", "/admin", false, "http://g:80/below" + query},
		{"http://me:secret@g", "/", false, "http://g" + query},
		{"http://g", "/", true, query},
		{"http://g", "/admin", true, "/admin" + query},
	} {
		o := NewOptions()
		o.GraphiteURL, o.BasePath, o.ProxyGraphite = c.url, c.basePath, c.proxy
		g, err := newGraphite(o, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if g.enabled() != (c.want != "") || g.proxied() != c.proxy {
			t.Errorf("%s: enabled %v, proxied %v", c.url, g.enabled(), g.proxied())
		}
		if c.want == "" {
			continue
		}
		if got := g.link("2h", depth, metric{Node: "h:1", Topic: "t", Key: "depth"}); got != c.want {
			t.Errorf("%s: got  %s\nwant %s", c.url, got, c.want)
		}
	}
	o := NewOptions()
	o.GraphiteURL = "http://%zz"
	if _, err := newGraphite(o, nil, nil); err == nil {
		t.Error("a wrong URL was taken")
	}
}

// graphiteConsole returns a console that has what answers as its graphite.
func graphiteConsole(t *testing.T, answer http.HandlerFunc, change func(*Options)) *testAdmin {
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	o := testOptions(t)
	o.NSQDHTTPAddresses = []string{nobodyListens}
	o.GraphiteURL = server.URL
	o.HTTPClientRequestTimeout = time.Second
	if change != nil {
		change(o)
	}
	return start(t, o)
}

func TestGraphiteRate(t *testing.T) {
	const failed = `500 {"message":"INTERNAL_ERROR"}`
	asked, answer := "", ""
	a := graphiteConsole(t, func(w http.ResponseWriter, r *http.Request) {
		asked = r.Method + " " + r.RequestURI
		if strings.HasPrefix(answer, "500 ") {
			w.WriteHeader(500)
		}
		fmt.Fprint(w, answer)
	}, func(o *Options) { o.GraphiteURL += "/below/" })
	for name, c := range map[string]struct{ answer, want string }{
		"a rate":                      {`[{"target":"x","datapoints":[[120.0,1795289901],[1,2]]}]`, `200 {"rate":"2.00"}`},
		"a part of one":               {`[{"datapoints":[[1,1]]}]`, `200 {"rate":"0.02"}`},
		"nothing happened":            {`[{"datapoints":[[0,1]]}]`, `200 {"rate":"0.00"}`},
		"negative":                    {`[{"datapoints":[[-1,1]]}]`, `200 {"rate":"N/A"}`},
		"no value yet":                {`[{"datapoints":[[null,1]]}]`, `200 {"rate":"N/A"}`},
		"no value, then one":          {`[{"datapoints":[[null,1],[60,2]]}]`, `200 {"rate":"1.00"}`},
		"an unknown target":           {`[]`, `200 {"rate":"N/A"}`},
		"a series without datapoints": {`[{"target":"x","datapoints":[]},{"datapoints":[[]]}]`, `200 {"rate":"N/A"}`},
		"null":                        {`null`, `200 {"rate":"N/A"}`},
		"no JSON":                     {`<html>`, failed},
		"another type":                {`[{"datapoints":[["x",1]]}]`, failed},
		"nothing":                     {"", failed},
		"an error":                    {"500 []", failed},
	} {
		t.Run(name, func(t *testing.T) {
			answer = c.answer
			resp, body := a.do("GET", "/api/graphite?metric=rate&target=sumSeries(a.*%26b)", "")
			if got := fmt.Sprint(resp.StatusCode, " ", body); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if want := "GET /below/render?format=json&from=-120sec&target=sumSeries%28a.%2A%26b%29&until=-60sec"; asked != want {
				t.Errorf("asked for %s, want %s", asked, want)
			}
		})
	}
}

func TestGraphiteRefuses(t *testing.T) {
	a := graphiteConsole(t, func(http.ResponseWriter, *http.Request) { t.Error("graphite was asked") }, nil)
	for _, query := range []string{"", "?target=x", "?metric=&target=x", "?metric=depth&target=x"} {
		a.want(400, `{"message":"INVALID_ARG_METRIC"}`, "GET", "/api/graphite"+query, "")
	}
	a.want(400, `{"message":"INVALID_ARG_TARGET"}`, "GET", "/api/graphite?metric=rate", "")
	a.want(404, `{"message":"NOT_FOUND"}`, "GET", "/render?target=x", "") // not without --proxy-graphite

	none := graphiteConsole(t, nil, func(o *Options) { o.GraphiteURL = "" })
	none.want(500, `{"message":"INTERNAL_ERROR"}`, "GET", "/api/graphite?metric=rate&target=x", "")
	gone := nobodyListens
	dead := graphiteConsole(t, nil, func(o *Options) { o.GraphiteURL, o.ProxyGraphite = "http://"+gone, true })
	dead.want(500, `{"message":"INTERNAL_ERROR"}`, "GET", "/api/graphite?metric=rate&target=x", "")
	dead.want(502, `{"message":"UPSTREAM_ERROR: failed to query graphite"}`, "GET", "/render?target=x", "")
}

// Requests go on to graphite as they came, and nothing that is not its business.
func TestGraphiteProxy(t *testing.T) {
	var got *http.Request
	a := graphiteConsole(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set("Content-Type", "image/png")
		w.Header().Set("Set-Cookie", "a=b")
		w.Header().Set("Content-Security-Policy", "default-src *")
		fmt.Fprint(w, "picture")
	}, func(o *Options) {
		o.ProxyGraphite = true
		o.BasePath = "/admin"
		o.GraphiteURL = strings.Replace(o.GraphiteURL, "http://", "http://me:secret@", 1) + "/below"
	})
	const path = "/admin/render?target=a.*;b&target=%zz&from=-1h"
	resp, body := a.do("GET", path, "", "X-Forwarded-For: 10.0.0.1", "Cookie: session=1", "Authorization: Basic eDp5")
	if resp.StatusCode != 200 || body != "picture" || resp.Header.Get("Content-Type") != "image/png" {
		t.Errorf("%d %s, %v", resp.StatusCode, body, resp.Header)
	}
	if resp.Header.Get("Set-Cookie") != "" || fmt.Sprint(resp.Header["Content-Security-Policy"]) != fmt.Sprint(safeHeader["Content-Security-Policy"]) {
		t.Errorf("headers of graphite came through: %v", resp.Header)
	}
	if got.RequestURI != path || got.Host != a.RealHTTPAddr().String() || got.Header.Get("X-Forwarded-For") != "10.0.0.1, 127.0.0.1" || got.Header.Get("Cookie") != "" {
		t.Errorf("graphite got %s of %s with %v", got.RequestURI, got.Host, got.Header)
	}
	if want := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:secret")); got.Header.Get("Authorization") != want {
		t.Errorf("graphite got %q, want %q", got.Header.Get("Authorization"), want)
	}
}
