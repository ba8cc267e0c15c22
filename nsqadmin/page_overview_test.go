package nsqadmin

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/history"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}

func TestFirstSteps(t *testing.T) {
	now := time.Now()
	answers := watch.NodeState{Address: "127.0.0.1:4151", Stats: &stats.Stats{}, Answered: now}
	silent := watch.NodeState{Address: "[::1]:4151", Err: errRefused}
	for _, c := range []struct {
		name          string
		view          *watch.View
		title, advice string
	}{
		{"nobody was asked yet", &watch.View{Lookupds: []watch.LookupdState{{}}, Nodes: []watch.NodeState{{}}}, "Asking the daemons", ""},
		{"no nsqlookupd answers", &watch.View{Lookupds: []watch.LookupdState{{Address: "l:4161", Err: errRefused}}}, "No nsqlookupd answers", "curl http://l:4161/ping"},
		{"nothing is registered", &watch.View{Lookupds: []watch.LookupdState{{Address: "l:4161", Answered: now}, {Err: errRefused}}}, "No nsqd is registered", "nsqd --lookupd-tcp-address=127.0.0.1:4160"},
		{"no nsqd answers", &watch.View{Nodes: []watch.NodeState{silent}}, "No nsqd answers", "curl 'http://[::1]:4151/ping'"},
		{"no topics", &watch.View{Nodes: []watch.NodeState{silent, answers}}, "Ready for the first message", "curl -d hello 'http://127.0.0.1:4151/pub?topic=greetings'"},
		{"topics", &watch.View{Nodes: []watch.NodeState{answers}, Topics: []string{"t"}}, "", ""},
		{"topics of nodes that do not answer", &watch.View{Nodes: []watch.NodeState{silent}, Topics: []string{"t"}}, "No nsqd answers", "curl 'http://[::1]:4151/ping'"},
	} {
		got := firstStepsOf(c.view)
		if got == nil {
			got = &firstSteps{}
		}
		if got.Title != c.title || strings.Join(got.Commands, "\n") != c.advice {
			t.Errorf("%s: %q, %q, want %q, %q", c.name, got.Title, got.Commands, c.title, c.advice)
		}
	}
}

func TestBusiest(t *testing.T) {
	rows := []watch.TopicRow{
		{Name: "idle", Publish: 0},
		{Name: "unknown", Publish: math.NaN()},
		{Name: "deep", Publish: 0, Depth: 1, In: watch.Counts{Depth: 10}},
		{Name: "busy", Publish: 2},
	}
	for range 2 * shownBusiest {
		rows = append(rows, watch.TopicRow{Name: "busiest", Publish: 3})
	}
	if got := busiestOf(slices.Clone(rows)); len(got) != shownBusiest || got[0].Name != "busiest" {
		t.Errorf("%d topics, %q first", len(got), got[0].Name)
	}
	var names []string
	for _, topic := range busiestOf(rows[:4]) {
		names = append(names, topic.Name)
	}
	if want := []string{"busy", "deep", "idle", "unknown"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

func TestSilent(t *testing.T) {
	now := time.Now()
	v := watch.View{
		At: now,
		Lookupds: []watch.LookupdState{
			{Address: "l1:4161", Answered: now},
			{Address: "l2:4161", Err: &net.DNSError{Err: "no such host", Name: "l2"}},
		},
		Nodes: []watch.NodeState{
			{Address: "10.0.0.1:4151", Node: cluster.Node{Hostname: "one"}, Err: errRefused, Answered: now.Add(-12 * time.Second)},
			{Address: "two:4151", Node: cluster.Node{Hostname: "two"}, Err: context.DeadlineExceeded, Answered: now.Add(-time.Hour)},
			{Address: "three:4151", Answered: now},
			{Address: "four:4151", Err: errors.New("status 500"), Answered: now},
		},
	}
	var got []string
	for _, d := range silentDaemons(&v) {
		got = append(got, d.Kind+" "+d.Name+" "+strings.Join(d.Path, "/")+": "+d.Text)
	}
	want := []string{
		"nsqlookupd l2:4161 lookup: has not answered so far: the name l2 does not resolve (no such host)",
		"nsqd one (10.0.0.1:4151) nodes/10.0.0.1:4151: has not answered for 12 s: connection refused",
		"nsqd two:4151 nodes/two:4151: has not answered for 1 h: it takes too long; it may hang or be overloaded",
		"nsqd four:4151 nodes/four:4151: has not answered for 0 s: status 500",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Whatever names nodes and topics have, a page is what we wrote.
func TestOverviewEscapes(t *testing.T) {
	const hostile = `"><script>alert(1)</script>`
	now, empty := time.Now(), history.NewStore(time.Now(), 0)
	node := watch.NodeState{Node: cluster.Node{Hostname: hostile}, Address: hostile, Answered: now, Err: errors.New(hostile)}
	lookupds := []watch.LookupdState{{Address: hostile, Err: errors.New(hostile)}}
	silent := watch.NewView(now, empty, []watch.NodeState{node}, lookupds)
	node.Stats = &stats.Stats{Topics: []stats.Topic{{Name: hostile, Depth: 1, Paused: true}}}
	for _, shown := range []*watch.View{silent, watch.NewView(now, empty, []watch.NodeState{node}, lookupds)} {
		f := frame{page: page{Title: hostile, Search: hostile, Data: newOverview(shown)}, User: hostile, Silent: silentDaemons(shown)}
		p, err := parsePages(templateFiles, pageFuncs("", func(name string) string { return name }))
		if err != nil {
			t.Fatal(err)
		}
		html, err := p.render("overview", f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(html), "<script>alert") || strings.Contains(string(html), ` style=`) {
			t.Errorf("not escaped: %s", html)
		}
		if !strings.Contains(string(html), "&lt;script&gt;alert(1)") {
			t.Error("the name is not on the page")
		}
	}
}

func TestOverviewOfACluster(t *testing.T) {
	lookupd := nsqtest.StartLookupd(t, nil)
	a := start(t, testOptions(t, lookupd))
	until := func(want string) {
		t.Helper()
		nsqtest.Eventually(t, "the page says "+want, func() bool {
			a.poller.Refresh(t.Context()) // sooner than by itself
			return strings.Contains(a.get("/"), want)
		})
	}
	until("No nsqd is registered")

	opts := nsqtest.Options(t)
	opts.LookupdTCPAddresses = []string{lookupd.TCPAddr()}
	opts.BroadcastAddress = "127.0.0.1"
	nsqd := nsqtest.Start(t, opts)
	until("Ready for the first message")
	until("curl -d hello &#39;" + nsqd.HTTPURL() + "/pub?topic=greetings&#39;")

	resp, err := http.Post(nsqd.HTTPURL()+"/pub?topic=greetings", "", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	until(`<a href="/topics/greetings">greetings</a>`)
	until("Depth of greetings: now 1, ")
	until("1 of 1 nsqd")
	if first := start(t, testOptions(t, lookupd)).get("/"); !strings.Contains(first, ">greetings</a>") {
		t.Errorf("the first page of an nsqadmin shows nothing: %s", first)
	}

	nsqd.Stop()
	until("connection refused")
	if other := a.get("/nodes"); !strings.Contains(other, "1 of 2 daemons does not answer") {
		t.Errorf("another page does not say that a node is silent: %s", other)
	}
}
