package nsqadmin

import (
	"context"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/history"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsq"
	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
	"github.com/seed893f581e/nsq/nsqd"
)

// optionsOf returns options of an nsqd that registers with an nsqlookupd, under
// the port that it really has.
func optionsOf(tb testing.TB, lookupds ...*nsqtest.Lookupd) *nsqd.Options {
	opts := nsqtest.Options(tb)
	opts.BroadcastAddress = "127.0.0.1"
	for _, l := range lookupds {
		opts.LookupdTCPAddresses = append(opts.LookupdTCPAddresses, l.TCPAddr())
	}
	return opts
}

// post sends a request to a daemon.
func post(tb testing.TB, url, body string) {
	tb.Helper()
	resp, err := http.Post(url, "", strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		tb.Fatalf("POST %s: %s", url, resp.Status)
	}
}

// eventually waits until a view is as it is to be, and returns it.
func (a *testAdmin) eventually(what string, is func(v *watch.View) bool) (v *watch.View) {
	a.t.Helper()
	nsqtest.Eventually(a.t, what, func() bool {
		a.poller.Refresh(a.t.Context())
		v = a.poller.View()
		return is(v)
	})
	return v
}

func TestViewOfACluster(t *testing.T) {
	l := nsqtest.StartLookupd(t, nil)
	one, two := nsqtest.Start(t, optionsOf(t, l)), nsqtest.Start(t, optionsOf(t, l))
	for _, d := range []*nsqtest.NSQD{one, two} {
		post(t, d.HTTPURL()+"/topic/create?topic=t", "")
		post(t, d.HTTPURL()+"/channel/create?topic=t&channel=c", "")
		post(t, d.HTTPURL()+"/mpub?topic=t", "a\nb\nc")
	}
	post(t, two.HTTPURL()+"/pub?topic=t&defer=600000", "later")
	post(t, two.HTTPURL()+"/channel/pause?topic=t&channel=c", "")
	post(t, one.HTTPURL()+"/pub?topic=lonely", "x")
	post(t, l.HTTPURL()+"/channel/create?topic=old&channel=gone", "")
	post(t, l.HTTPURL()+"/channel/create?topic=t&channel=elsewhere", "")

	a := start(t, testOptions(t, l))
	v := a.eventually("all is seen", func(v *watch.View) bool {
		c, _ := v.ChannelRow("t", "c")
		old, _ := v.ChannelRow("old", "gone")
		return len(v.Nodes) == 2 && c.Depth == 6 && c.Deferred == 1 && old.Name != "" && v.Totals.Depth == 7 && len(v.Nodes[1].RemoteAddresses) > 0
	})
	if !slices.Equal(v.Topics, []string{"lonely", "old", "t"}) {
		t.Errorf("topics %q", v.Topics)
	}
	if c, _ := v.ChannelRow("t", "c"); c.Nodes != 2 || c.Paused != 1 || c.Messages != 7 {
		t.Errorf("channel %+v", c)
	}
	if row, _ := v.TopicRow("lonely"); row.Depth != 1 || row.Nodes != 1 || row.In.Depth != 0 {
		t.Errorf("topic without channels %+v", row)
	}
	if s, ok := v.Topic("t"); !ok || s.Messages != 7 || len(s.Nodes) != 2 || len(s.Channels) != 2 || s.Channels[0].Depth != 6 || s.Channels[1].Channel != "elsewhere" {
		t.Errorf("topic %+v, %v", s, ok)
	}
	if c, ok := v.Channel("t", "c"); !ok || len(c.Nodes) != 2 || c.Depth != 6 {
		t.Errorf("channel %+v, %v", c, ok)
	}
	if s, ok := v.Topic("old"); !ok || len(s.Nodes) != 0 || len(s.Channels) != 1 {
		t.Errorf("topic that only the nsqlookupd knows %+v, %v", s, ok)
	}
	if _, ok := v.Topic("no"); ok {
		t.Error("there is a topic that nobody knows")
	}
	if _, ok := v.Channel("t", "no"); ok {
		t.Error("there is a channel that nobody knows")
	}
	if len(v.Lookupds) != 1 || v.Lookupds[0].Nodes != 2 || v.Lookupds[0].Version == "" || v.Lookupds[0].Err != nil {
		t.Errorf("nsqlookupds %+v", v.Lookupds)
	}
	for i := range v.Nodes {
		n := &v.Nodes[i]
		if n.Err != nil || n.Missing || n.Stats == nil || n.Address != n.HTTPAddress() || n.Totals.Deferred > 1 || len(n.RemoteAddresses) != 1 {
			t.Errorf("node %+v", n)
		}
	}
}

// What is done is in the view as soon as Refresh has returned.
func TestRefreshSeesWhatWasDone(t *testing.T) {
	d := nsqtest.Start(t, nil)
	opts := testOptions(t)
	opts.NSQDHTTPAddresses = []string{d.RealHTTPAddr().String()}
	a := start(t, opts)
	for i := range 20 {
		post(t, d.HTTPURL()+"/pub?topic=t", "x")
		a.poller.Refresh(t.Context(), d.RealHTTPAddr().String(), "127.0.0.1:1")
		if row, _ := a.poller.View().TopicRow("t"); row.Depth != int64(i+1) {
			t.Fatalf("after %d messages the depth is %d", i+1, row.Depth)
		}
	}
	n, ok := a.poller.View().Node(d.RealHTTPAddr().String())
	if !ok || n.TCPPort == 0 || n.Version == "" || n.RemoteAddresses != nil || len(n.Topics) != 1 {
		t.Errorf("node %+v", n)
	}
	a.poller.Refresh(t.Context(), "127.0.0.1:1") // nobody
}

// Rates are of what was published and finished, and the history has them.
func TestRatesOfACluster(t *testing.T) {
	d := nsqtest.Start(t, nil)
	opts := testOptions(t)
	opts.NSQDHTTPAddresses = []string{d.RealHTTPAddr().String()}
	a := start(t, opts)
	post(t, d.HTTPURL()+"/topic/create?topic=t", "")
	post(t, d.HTTPURL()+"/channel/create?topic=t&channel=c", "")
	a.poller.View() // somebody watches
	consumer, err := nsq.NewConsumer("t", "c", nsq.NewConfig())
	if err != nil {
		t.Fatal(err)
	}
	consumer.AddHandler(nsq.HandlerFunc(func(*nsq.Message) error { return nil }))
	if err := consumer.ConnectToNSQD(d.TCPAddr()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		consumer.Stop()
		<-consumer.StopChan
	}()
	key := history.Key{Topic: "t", Channel: "c"}
	nsqtest.Eventually(t, "messages are published and finished", func() bool {
		post(t, d.HTTPURL()+"/mpub?topic=t", strings.Repeat("x\n", 50))
		publish, finish := a.poller.View().Rates(key)
		return publish > 0 && finish > 0
	})
	v := a.poller.View()
	for _, k := range []history.Key{{}, {Topic: "t"}, {Node: v.Nodes[0].Address}, {Topic: "t", Channel: "c", Node: v.Nodes[0].Address}} {
		if publish, finish := v.Rates(k); !(publish > 0 && finish > 0) {
			t.Errorf("rates of %+v: %v, %v", k, publish, finish)
		}
	}
	nsqtest.Eventually(t, "the history has it", func() bool {
		s := a.poller.View().Series(key)
		spark := a.poller.View().Spark(key, history.Publish)
		return s.Publish[len(s.Publish)-1] > 0 && spark[len(spark)-1] > 0
	})
	if publish, _ := v.Rates(history.Key{Topic: "no"}); !math.IsNaN(publish) {
		t.Errorf("rate of an unknown topic: %v", publish)
	}
}

func TestRefreshEndsWithItsContext(t *testing.T) {
	hang := nsqtest.NewFakeLookupd()
	hang.Hangs = true
	hang.Serve(t, "127.0.0.1:0")
	opts := testOptions(t)
	opts.LookupdHTTPAddresses = []string{strings.TrimPrefix(hang.URL, "http://")}
	a := start(t, opts)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	a.poller.Refresh(ctx)
	if ctx.Err() == nil {
		t.Error("Refresh returned before the nsqlookupd answered")
	}
}
