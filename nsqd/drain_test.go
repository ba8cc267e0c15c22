package nsqd_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// drainState is what GET /drain tells.
type drainState struct {
	State    string
	Since    int64
	Until    int64
	TimedOut bool `json:"timed_out"`
	Waiting  int64
	Depth    int64
	InFlight int64 `json:"in_flight"`
	Deferred int64
	Staying  []struct {
		Topic, Channel, Because string
		Messages                int64
	}
}

func (a *api) drain(method, path string) (s drainState) {
	a.tb.Helper()
	resp, body, err := a.try(method, path, nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		a.tb.Fatalf("%s %s: %v %q", method, path, err, body)
	}
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		a.tb.Fatalf("%s %s: %v in %q", method, path, err, body)
	}
	return s
}

func (a *api) becomes(state string) drainState {
	a.tb.Helper()
	nsqtest.Eventually(a.tb, state, func() bool { return a.drain("GET", "/drain").State == state })
	return a.drain("GET", "/drain")
}

func TestDrainRefusesPublishersAndServesConsumers(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	c := dialRaw(t, n)
	c.consume("t", "c", 1)
	p := dialRaw(t, n)
	p.mpub("t", "1", "2", "3")
	p.dpub("t", 300*time.Millisecond, "soon")
	first := c.wantMessage("1", 1)
	nsqtest.Eventually(t, "the channel has got all messages", func() bool {
		s := a.drain("GET", "/drain")
		return s.State == "serving" && s.InFlight == 1 && s.Depth+s.Deferred == 3
	})
	a.want(200, "OK\n", "GET", "/health/ready", "")

	if s := a.drain("POST", "/drain?timeout=1h"); s.State != "draining" || s.Until-s.Since != 3600 || s.Waiting != 4 {
		t.Errorf("at its beginning: %+v", s)
	}
	nsqtest.Eventually(t, "it is known what is waited for", func() bool {
		_, body, _ := a.try("GET", "/health/ready", nil)
		return body == "draining: 4 messages are waited for\n"
	})
	a.want(200, "OK\n", "GET", "/health/live", "")
	a.want(200, "OK", "GET", "/ping", "")
	a.want(503, `{"message":"DRAINING"}`, "POST", "/pub?topic=new", "x")
	a.want(503, `{"message":"DRAINING"}`, "POST", "/mpub?topic=new", "x")
	for command, send := range map[string][]byte{
		"PUB":  wire.AppendPub(nil, "new", []byte("x")),
		"DPUB": wire.AppendDPub(nil, "new", time.Second, []byte("x")),
		"MPUB": fmt.Appendf(nil, "MPUB new\n\x00\x00\x00\x0a\x00\x00\x00\x01\x00\x00\x00\x02xy"),
	} {
		p := dialRaw(t, n)
		p.send(send)
		p.wantError("E_" + command + "_FAILED " + command + " failed draining")
		p.wantClosed()
	}
	if topics := a.topics(); strings.Contains(topics, "new") {
		t.Errorf("a refused publish has created a topic: %s", topics)
	}

	c.fin(first)
	c.req(c.wantMessage("2", 1), 0) // goes to the end
	c.fin(c.wantMessage("3", 1))
	c.fin(c.wantMessage("2", 2))
	last := c.wantMessage("soon", 1)
	if s := a.drain("GET", "/drain"); s.State != "draining" || s.InFlight != 1 || s.Waiting != 1 {
		t.Errorf("with one in flight: %+v", s)
	}
	c.fin(last)
	if s := a.becomes("drained"); s.TimedOut || s.Waiting+s.Depth+s.InFlight+s.Deferred != 0 {
		t.Errorf("at the end: %+v", s)
	}
	if got := a.stats("").Drain; got != "drained" {
		t.Errorf("in the statistics it is %q", got)
	}
	a.want(503, "drained\n", "GET", "/health/ready", "")
	a.want(503, `{"message":"DRAINING"}`, "POST", "/pub?topic=t", "x")

	if s := a.drain("DELETE", "/drain"); s.State != "serving" || a.stats("").Drain != "" {
		t.Errorf("when it is cancelled: %+v", s)
	}
	a.want(200, "OK\n", "GET", "/health/ready", "")
	dialRaw(t, n).pub("t", "after")
	c.fin(c.wantMessage("after", 1))
}

// What nobody can get is told, not waited for, and is there after a restart.
func TestDrainDoesNotWaitForWhatStays(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	p := dialRaw(t, n)
	p.mpub("alone", "1", "2")
	a.post("/topic/create?topic=t")
	for _, channel := range []string{"deserted", "paused", "used"} {
		a.post("/channel/create?topic=t&channel=" + channel)
	}
	a.post("/channel/pause?topic=t&channel=paused")
	dialRaw(t, n).consume("t", "paused", 1)
	c := dialRaw(t, n)
	c.consume("t", "used", 10)
	p.pub("t", "now")
	p.dpub("t", time.Hour, "later")
	c.fin(c.wantMessage("now", 1))

	a.drain("POST", "/drain?timeout=1m")
	s := a.becomes("drained")
	const want = "[{alone  no channel 2} {t deserted no consumer 2} {t paused paused 2} {t used due later 1}]"
	if got := fmt.Sprint(s.Staying); got != want || s.Depth != 4 || s.Deferred != 3 || s.Waiting != 0 || s.TimedOut {
		t.Errorf("stays %s\nwant  %s\nof %+v", got, want, s)
	}

	late := dialRaw(t, n) // a consumer may come at any time
	late.consume("t", "deserted", 1)
	late.fin(late.wantMessage("now", 1))
	a = newAPI(t, n.Restart())
	if s := a.drain("GET", "/drain"); s.State != "serving" || s.Depth != 3 || s.Deferred != 3 {
		t.Errorf("after the restart: %+v", s)
	}
}

func TestDrainEndsInTime(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	c := dialRaw(t, n)
	c.consume("t", "c", 1)
	dialRaw(t, n).mpub("t", "1", "2")
	m := c.wantMessage("1", 1)
	a.drain("POST", "/drain?timeout=1h")
	begun := a.drain("GET", "/drain").Since
	if s := a.drain("POST", "/drain?timeout=50ms"); s.Since != begun {
		t.Errorf("another time has begun another drain: %+v", s)
	}
	if s := a.becomes("drained"); !s.TimedOut || s.InFlight != 1 || s.Depth != 1 || s.Waiting != 2 {
		t.Errorf("%+v", s)
	}
	a.want(503, "drained: the time was over with 2 messages left\n", "GET", "/health/ready", "")
	c.fin(m)
	c.fin(c.wantMessage("2", 1)) // consumers are served on
	for _, bad := range []string{"", "0s", "-1s", "5", "soon", "2000000h"} {
		a.want(400, `{"message":"INVALID_TIMEOUT"}`, "POST", "/drain?timeout="+bad, "")
	}
}

// Nobody is sent to a node that drains: not to what is there, nor to what appears,
// whoever connects when. It still is a node.
func TestDrainedNodeIsNotFound(t *testing.T) {
	first, second := nsqtest.StartLookupd(t, nil), nsqtest.StartLookupd(t, nil)
	n := startRegistered(t, first.TCPAddr())
	a := newAPI(t, n)
	a.pub("t", "x")
	dialRaw(t, n).sub("t", "c")
	a.pub("gone", "x")
	nsqtest.Eventually(t, "it is registered", func() bool { return producers(t, first, "t")+producers(t, first, "gone") == 2 })

	a.drain("POST", "/drain?timeout=1h")
	nsqtest.Eventually(t, "it is not found any more", func() bool { return producers(t, first, "t")+producers(t, first, "gone") == 0 })
	a.post("/topic/create?topic=new")
	a.post("/topic/delete?topic=gone")
	both := fmt.Sprintf("[%q,%q]", first.TCPAddr(), second.TCPAddr())
	a.want(200, both, "PUT", "/config/nsqlookupd_tcp_addresses", both)
	nsqtest.Eventually(t, "both know the node", func() bool { return nodes(t, first) == 1 && nodes(t, second) == 1 })
	for _, l := range []*nsqtest.Lookupd{first, second} {
		if found := producers(t, l, "t") + producers(t, l, "gone") + producers(t, l, "new"); found != 0 {
			t.Errorf("%d topics are found while it drains", found)
		}
	}

	a.drain("DELETE", "/drain")
	for _, l := range []*nsqtest.Lookupd{first, second} {
		nsqtest.Eventually(t, "everything is found again", func() bool {
			return producers(t, l, "t") == 1 && producers(t, l, "new") == 1 && producers(t, l, "gone") == 0
		})
	}
}

// A disk may keep a message on its way from one place to the next for longer than a
// drain looks: it counts.
func TestDrainCountsWhatIsOnItsWay(t *testing.T) {
	n := nsqtest.Start(t, nil)
	c, p := dialRaw(t, n), dialRaw(t, n)
	c.consume("t", "c", 1)
	want := func(what string, toChannels, back int64) {
		t.Helper()
		nsqtest.Eventually(t, what, func() bool {
			to, b := n.OnTheWay("t", "c")
			return to == toChannels && b == back
		})
	}
	release := n.HoldChannel("t", "c")
	p.mpub("t", "1", "2")
	want("two messages are on their way to the channel", 2, 0)
	release()
	m := c.wantMessage("1", 1)
	want("they are in the channel", 0, 0)

	release = n.HoldChannel("t", "c")
	c.req(m, 0)
	want("one is on its way back", 0, 1)
	release()
	c.fin(c.wantMessage("2", 1))
	c.fin(c.wantMessage("1", 2))
	want("it is in the channel", 0, 0)
}

func TestDrainInMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startInBubble(t, nil)
		b.createChannel("t", "c")
		c := b.dial()
		c.consume("t", "c", 1)
		b.dial().mpub("t", "1", "2")
		m := c.message()
		want := func(ready, draining, drained, waiting float64) {
			t.Helper()
			synctest.Wait()
			after(time.Second)
			s := b.scrape("")
			wantValue(t, s, ready, "nsqd_ready")
			wantValue(t, s, draining, "nsqd_draining")
			wantValue(t, s, drained, "nsqd_drained")
			wantValue(t, s, waiting, "nsqd_drain_waiting_messages")
			wantValue(t, s, 1, "nsqd_healthy")
		}
		want(1, 0, 0, 0)
		b.post("/drain?timeout=1h")
		want(0, 1, 0, 2)
		c.fin(m)
		m = c.message()
		want(0, 1, 0, 1)
		b.post("/drain?timeout=10ms")
		want(0, 1, 1, 1) // its time is over
		b.post("/drain?timeout=1h")
		c.fin(m)
		want(0, 1, 1, 0)
		b.do(b.request("DELETE", "/drain", ""))
		want(1, 0, 0, 0)
	})
}

// nodes returns how many nodes an nsqlookupd knows.
func nodes(tb testing.TB, l *nsqtest.Lookupd) int {
	tb.Helper()
	resp, err := http.Get(l.HTTPURL() + "/nodes")
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Producers []struct{} `json:"producers"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		tb.Fatal(err)
	}
	return len(answer.Producers)
}
