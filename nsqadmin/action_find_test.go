package nsqadmin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// What is done to a topic is done on every nsqd that has it, whatever nsqlookupds
// say of it.
func TestActionsFindNodesThatAreNotNamed(t *testing.T) {
	const (
		has    = `{"topics":[{"topic_name":"t","channels":[{"channel_name":"c"}]}]}`
		hasNot = `{"topics":null}`
		broken = `500 {"message":"INTERNAL_ERROR"}`

		unknown = `404 {"message":"TOPIC_NOT_FOUND"}`
		known   = `{"channels":["c"],"producers":[]}`
	)
	for _, c := range []struct {
		name       string
		action     string
		lookup     string // what the nsqlookupd says of the topic
		stats      string // what the nsqd says
		tombstoned bool
		want       string // what the nsqlookupd and the nsqd are asked for
		err        string
	}{
		{"unknown to nsqlookupds", deleteTopic, unknown, has, false, "N /topic/delete", ""},
		{"a channel of such a topic", deleteChannel, unknown, has, false, "N /channel/delete", ""},
		{"such a topic is paused", pauseTopic, unknown, has, false, "N /topic/pause", ""},
		{"known to none at all", deleteTopic, unknown, hasNot, false, "",
			`UPSTREAM_ERROR: failed to query any nsqlookupd: got response 404 Not Found "{\"message\":\"TOPIC_NOT_FOUND\"}"`},
		{"known to none that answers", deleteTopic, unknown, broken, false, "",
			`UPSTREAM_ERROR: failed to query any nsqlookupd: got response 404 Not Found "{\"message\":\"TOPIC_NOT_FOUND\"}"`},
		{"known without producers", deleteTopic, known, hasNot, false, "L /topic/delete", ""},
		{"known without the one that has it", deleteTopic, known, has, false, "L /topic/delete N /topic/delete", ""},
		{"hidden by a tombstone", deleteTopic, known, has, true, "L /topic/delete N /topic/delete", ""},
		{"hidden by a tombstone, and gone", deleteTopic, known, hasNot, true, "L /topic/delete", ""},
		{"hidden by a tombstone, and silent", deleteTopic, known, broken, true, "L /topic/delete N /topic/delete", ""},
		{"silent, and paused", pauseTopic, known, broken, true, "", ""},
	} {
		nsqd := script(t, map[string]string{"/topic/delete": "", "/channel/delete": "", "/topic/pause": "", "/stats": c.stats})
		producer := producerJSON(nsqd.addr(), "a")
		if c.tombstoned {
			producer = strings.Replace(producerJSON(nsqd.addr(), "a", "t"), `"topics"`, `"tombstones":[false,true],"topics"`, 1)
		}
		lookupd := script(t, map[string]string{
			"/lookup":         c.lookup,
			"/nodes":          `{"producers":[` + producer + `]}`,
			"/topic/delete":   "",
			"/channel/delete": "",
		})
		a := action{Name: c.action, Topic: "t"}
		if strings.HasSuffix(a.Name, "channel") {
			a.Channel = "c"
		}
		o := testSources(t, []string{lookupd.addr()}, nil).perform(t.Context(), a)
		var asked []string
		for daemon, of := range map[string]*scripted{"L": lookupd, "N": nsqd} {
			for _, post := range of.posts() {
				path, _, _ := strings.Cut(strings.TrimPrefix(post, "POST "), "?")
				asked = append(asked, daemon+" "+path)
			}
		}
		slices.Sort(asked)
		if got := strings.Join(asked, " "); got != c.want {
			t.Errorf("%s: asked for %q, want %q", c.name, got, c.want)
		}
		if (o.Err == nil) != (c.err == "") || o.Err != nil && o.Err.Error() != c.err {
			t.Errorf("%s: %v, want %s", c.name, o.Err, c.err)
		}
		if errs := o.errors(); c.err == "" && len(errs) > 0 {
			t.Errorf("%s: %v", c.name, errs)
		}
	}
}

// A topic that an nsqd has is deleted also when no nsqlookupd knows it, by
// scripts as from its page.
func TestDeleteWhatNoLookupdKnows(t *testing.T) {
	c := newConsole(t, 1, nil)
	for _, del := range []func(topic string){
		func(topic string) {
			c.want(http.StatusOK, `{"message":""}`, "DELETE", "/api/topics/"+topic, "")
		},
		func(topic string) {
			link := actionLink(action{Name: deleteTopic, Topic: topic})
			if status, d := c.confirm(link, topic); status != http.StatusOK || !strings.HasSuffix(text(d.Find("h1")), ": done") {
				t.Errorf("%d %s", status, text(d.Find("main")))
			}
		},
	} {
		c.create(0, "orders", "mail")
		lookupd := c.lookupd.HTTPAddr()
		nsqtest.Eventually(t, "the topic is registered", func() bool {
			l, err := c.client.Lookup(t.Context(), lookupd, "orders")
			return err == nil && slices.Contains(l.Channels, "mail")
		})
		if err := c.client.Post(t.Context(), lookupd, "/topic/delete", url.Values{"topic": {"orders"}}); err != nil {
			t.Fatal(err)
		}
		c.view()
		del("orders")
		if n, _ := c.view().Node(c.address(0)); len(n.Stats.Topics) > 0 {
			t.Errorf("the node has %v", n.Stats.Topics)
		}
	}
}
