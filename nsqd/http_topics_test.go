package nsqd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/version"
	"github.com/seed893f581e/nsq/nsqd"
)

// wantMetadata compares what the broker would come back with after a crash.
func wantMetadata(t *testing.T, n *nsqtest.NSQD, topics string) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(n.Opts.DataPath, "nsqd.dat"))
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"topics":` + topics + `,"version":"` + version.Binary + `"}`; string(got) != want {
		t.Errorf("nsqd.dat holds %s, want %s", got, want)
	}
}

// What was answered is in the metadata file.
func TestHTTPChangesAreSavedBeforeTheAnswer(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	for _, step := range []struct{ path, topics string }{
		{"/topic/create?topic=t", `[{"name":"t","paused":false,"channels":null}]`},
		{"/channel/create?topic=t&channel=c", `[{"name":"t","paused":false,"channels":[{"name":"c","paused":false}]}]`},
		{"/topic/pause?topic=t", `[{"name":"t","paused":true,"channels":[{"name":"c","paused":false}]}]`},
		{"/channel/pause?topic=t&channel=c", `[{"name":"t","paused":true,"channels":[{"name":"c","paused":true}]}]`},
		{"/topic/unpause?topic=t", `[{"name":"t","paused":false,"channels":[{"name":"c","paused":true}]}]`},
		{"/channel/unpause?topic=t&channel=c", `[{"name":"t","paused":false,"channels":[{"name":"c","paused":false}]}]`},
		{"/channel/create?topic=t&channel=c%23ephemeral", `[{"name":"t","paused":false,"channels":[{"name":"c","paused":false}]}]`},
		{"/topic/create?topic=t%23ephemeral", `[{"name":"t","paused":false,"channels":[{"name":"c","paused":false}]}]`},
		{"/channel/delete?topic=t&channel=c", `[{"name":"t","paused":false,"channels":null}]`},
		{"/topic/delete?topic=t", `null`},
	} {
		a.post(step.path)
		wantMetadata(t, n, step.topics)
	}
	if topics := a.topics(); topics != "t#ephemeral" {
		t.Errorf("topics are %q", topics)
	}
}

func TestHTTPPauseTopic(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	client := dialRaw(t, n)
	client.consume("t", "c", 10)
	a.post("/topic/pause?topic=t")
	a.pub("t", "1")
	if got, want := a.stats("").Topics[0], int64(1); got.Depth != want || !got.Paused || got.Channels[0].Messages != 0 {
		t.Errorf("paused, got %+v, want depth %d", got, want)
	}
	a.post("/topic/unpause?topic=t")
	client.fin(client.wantMessage("1", 1))
}

func TestHTTPPauseChannel(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	paused, open := dialRaw(t, n), dialRaw(t, n)
	paused.consume("t", "paused", 10)
	open.consume("t", "open", 10)
	a.post("/channel/pause?topic=t&channel=paused")
	a.pub("t", "1")
	open.fin(open.wantMessage("1", 1))
	nsqtest.Eventually(t, "the channel has the message", func() bool {
		c, _ := n.ChannelCounts("t", "paused")
		return c == nsqd.Counts{Depth: 1}
	})
	if ch := a.stats("channel=paused").Topics[0].Channels[0]; !ch.Paused || ch.Depth != 1 {
		t.Errorf("paused, got %+v", ch)
	}
	a.post("/channel/unpause?topic=t&channel=paused")
	paused.fin(paused.wantMessage("1", 1))
}

func TestHTTPEmptyTopicKeepsWhatChannelsHave(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	a.post("/topic/create?topic=t")
	a.post("/channel/create?topic=t&channel=c")
	a.pub("t", "in the channel")
	nsqtest.Eventually(t, "the channel has the message", func() bool {
		c, _ := n.ChannelCounts("t", "c")
		return c.Depth == 1
	})
	a.post("/topic/pause?topic=t")
	a.pub("t", "in the topic")
	a.post("/topic/empty?topic=t")
	a.post("/topic/unpause?topic=t")
	a.pub("t", "later")
	client := dialRaw(t, n)
	client.consume("t", "c", 10)
	client.fin(client.wantMessage("in the channel", 1))
	client.fin(client.wantMessage("later", 1))
}

func TestHTTPEmptyChannelDropsEverything(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	client := dialRaw(t, n)
	client.consume("t", "c", 1)
	a.pub("t", "in flight")
	m := client.wantMessage("in flight", 1)
	a.pub("t", "queued")
	a.want(200, "OK", "POST", "/pub?topic=t&defer=3600000", "deferred")
	nsqtest.Eventually(t, "the channel has all three", func() bool {
		c, _ := n.ChannelCounts("t", "c")
		return c == nsqd.Counts{Depth: 1, InFlight: 1, Deferred: 1}
	})
	a.post("/channel/empty?topic=t&channel=c")
	if c, _ := n.ChannelCounts("t", "c"); c != (nsqd.Counts{}) {
		t.Errorf("the channel still has %+v", c)
	}
	client.fin(m)
	client.wantError(fmt.Sprintf("E_FIN_FAILED FIN %s failed ID not in flight", m.ID))
	a.pub("t", "later")
	client.fin(client.wantMessage("later", 1))
}

func TestHTTPDeleteChannelEndsItsConsumers(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	gone, other := dialRaw(t, n), dialRaw(t, n)
	gone.consume("t", "gone", 1)
	other.consume("t", "other", 1)
	a.post("/channel/delete?topic=t&channel=gone")
	gone.wantClosed()
	a.pub("t", "1")
	other.fin(other.wantMessage("1", 1))
	a.want(404, `{"message":"CHANNEL_NOT_FOUND"}`, "POST", "/channel/delete?topic=t&channel=gone", "")
}

func TestHTTPDeleteTopicEndsItsConsumers(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	client := dialRaw(t, n)
	client.consume("t", "c", 1)
	a.pub("t", "1")
	client.wantMessage("1", 1)
	a.post("/topic/delete?topic=t")
	client.wantClosed()
	if topics := a.topics(); topics != "" {
		t.Errorf("topics are %q", topics)
	}
	a.pub("t", "2")
	if s := a.stats("").Topics[0]; s.Messages != 1 || len(s.Channels) != 0 {
		t.Errorf("the topic that was created again is %+v", s)
	}
}

func TestHTTPDeleteOfLastChannelDeletesEphemeralTopic(t *testing.T) {
	a := newAPI(t, nsqtest.Start(t, nil))
	a.post("/topic/create?topic=t%23ephemeral")
	a.post("/channel/create?topic=t%23ephemeral&channel=c")
	a.post("/channel/delete?topic=t%23ephemeral&channel=c")
	if topics := a.topics(); topics != "" {
		t.Errorf("topics are %q", topics)
	}
}

// Whatever comes at once, every answer is one of those that the request can
// have, and none takes for ever.
func TestHTTPRequestsRaceWithDeletion(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	var published, deleted atomic.Int64
	var wg sync.WaitGroup
	run := func(method, path, body string, allowed ...string) {
		wg.Go(func() {
			for range 60 {
				resp, text, err := a.try(method, path, strings.NewReader(body))
				if err != nil {
					t.Errorf("%s: %v", path, err)
					return
				}
				got := fmt.Sprint(resp.StatusCode, " ", text)
				fine := false
				for _, want := range allowed {
					fine = fine || got == want || want == "200 ..." && resp.StatusCode == 200
				}
				if !fine {
					t.Errorf("%s: %s, want one of %q", path, got, allowed)
					return
				}
				if resp.StatusCode == 200 && text == "OK" {
					published.Add(1)
				}
				if path == "/topic/delete?topic=t" && resp.StatusCode == 200 {
					deleted.Add(1)
				}
			}
		})
	}
	const noTopic, noChannel = `404 {"message":"TOPIC_NOT_FOUND"}`, `404 {"message":"CHANNEL_NOT_FOUND"}`
	run("POST", "/pub?topic=t", "x", "200 OK")
	run("POST", "/mpub?topic=t", "x\ny", "200 OK")
	run("POST", "/topic/create?topic=t", "", "200 ")
	run("POST", "/topic/delete?topic=t", "", "200 ", noTopic)
	run("POST", "/topic/delete?topic=t", "", "200 ", noTopic)
	run("POST", "/topic/empty?topic=t", "", "200 ", noTopic)
	run("POST", "/topic/pause?topic=t", "", "200 ", noTopic)
	run("POST", "/topic/unpause?topic=t", "", "200 ", noTopic)
	run("POST", "/channel/create?topic=t&channel=c", "", "200 ", noTopic)
	run("POST", "/channel/delete?topic=t&channel=c", "", "200 ", noTopic, noChannel)
	run("POST", "/channel/delete?topic=t&channel=c", "", "200 ", noTopic, noChannel)
	run("POST", "/channel/empty?topic=t&channel=c", "", "200 ", noTopic, noChannel)
	run("POST", "/channel/pause?topic=t&channel=c", "", "200 ", noTopic, noChannel)
	run("GET", "/stats?format=json", "", "200 ...")
	run("GET", "/stats", "", "200 ...")
	wg.Wait()
	if published.Load() != 120 || deleted.Load() == 0 {
		t.Errorf("%d publishes, %d deletions", published.Load(), deleted.Load())
	}
	a.want(200, "OK", "GET", "/ping", "")
	if topics := a.topics(); topics != "" && topics != "t" {
		t.Errorf("topics are %q", topics)
	}
}
