package nsqadmin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PuerkitoBio/goquery"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// post sends a form and returns the page that answers it.
func (a *testAdmin) post(path string, form url.Values, headers ...string) (status int, d *document) {
	a.t.Helper()
	resp, body := a.do("POST", path, form.Encode(), append(headers, "Content-Type: application/x-www-form-urlencoded", "Accept: text/html")...)
	parsed, err := goquery.NewDocumentFromReader(strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	d = &document{parsed, a.t, "POST " + path}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		d.check()
	}
	return resp.StatusCode, d
}

// confirm fills in the form of the page that asks for confirmation, as a browser
// would, and sends it.
func (c *console) confirm(link, typed string) (status int, d *document) {
	c.t.Helper()
	asked := c.open(link)
	form := url.Values{}
	for _, input := range asked.Find("main form input").EachIter() {
		form.Set(input.AttrOr("name", ""), input.AttrOr("value", ""))
	}
	for _, chosen := range asked.Find("main form option[selected]").EachIter() {
		form.Set(chosen.Parent().AttrOr("name", ""), chosen.AttrOr("value", ""))
	}
	if form.Has("confirm") {
		form.Set("confirm", typed)
	}
	return c.post(asked.Find("main form").AttrOr("action", ""), form)
}

func actionLink(a action) string { return "/action?" + a.query().Encode() }

func TestEveryActionIsDone(t *testing.T) {
	c := newConsole(t, 2, nil)
	topicOn := func(i int) (depth int64, channels, paused string) {
		n, _ := c.view().Node(c.address(i))
		if n.Stats == nil {
			return -1, "", ""
		}
		topic := n.Topic("orders")
		if topic == nil {
			return -1, "none", ""
		}
		if topic.Paused {
			paused = "topic"
		}
		depth = topic.Depth
		for _, ch := range topic.Channels {
			depth += ch.Depth
			channels += ch.Name
			if ch.Paused {
				paused += "channel"
			}
		}
		return depth, channels, paused
	}
	for _, step := range []struct {
		action    action
		typed     string
		publishes int // before, to each node
		depth     int64
		channels  string
		paused    string
	}{
		{action{Name: createTopic, Topic: "orders"}, "", 0, -1, "none", ""},
		{action{Name: pauseTopic, Topic: "orders"}, "", 2, 2, "", "topic"},
		{action{Name: emptyTopic, Topic: "orders"}, "orders", 0, 0, "", "topic"},
		{action{Name: unpauseTopic, Topic: "orders"}, "", 0, 0, "", ""},
		{action{Name: createChannel, Topic: "orders", Channel: "mail"}, "", 0, 0, "mail", ""},
		{action{Name: pauseChannel, Topic: "orders", Channel: "mail"}, "", 3, 3, "mail", "channel"},
		{action{Name: unpauseChannel, Topic: "orders", Channel: "mail"}, "", 0, 3, "mail", ""},
		{action{Name: emptyChannel, Topic: "orders", Channel: "mail"}, "mail", 0, 0, "mail", ""},
		{action{Name: deleteChannel, Topic: "orders", Channel: "mail"}, "mail", 0, 0, "", ""},
		{action{Name: deleteTopic, Topic: "orders"}, "orders", 1, -1, "none", ""},
	} {
		for i := range c.nsqds {
			if step.publishes > 0 {
				c.publish(i, "orders", step.publishes)
			}
		}
		if step.action.Name == pauseTopic {
			nsqtest.Eventually(t, "both nodes have registered the topic", func() bool {
				n := 0
				for _, node := range c.view().Nodes {
					n += len(node.Topics)
				}
				return n == 2
			})
		}
		c.view()
		status, d := c.confirm(actionLink(step.action), step.typed)
		if status != http.StatusOK || !strings.HasSuffix(text(d.Find("h1")), ": done") || d.Find(".banner.ok").Length() != 1 {
			t.Errorf("%s: %d %s", step.action.Name, status, text(d.Find("main")))
		}
		for _, result := range d.column("What each daemon was asked to do, and what came of it", "Result") {
			if result != "done" {
				t.Errorf("%s: %q", step.action.Name, result)
			}
		}
		for i := range c.nsqds {
			if depth, channels, paused := topicOn(i); depth != step.depth || channels != step.channels || paused != step.paused {
				t.Errorf("after %s node %d has %d messages, channels %q, paused %q, want %+v", step.action.Name, i, depth, channels, paused, step)
			}
		}
	}
}

func TestATopicIsCreatedWithTheDurabilityThatWasChosen(t *testing.T) {
	c := newConsole(t, 2, nil)
	nsqtest.Eventually(t, "both nodes are known", func() bool { return len(c.view().Nodes) == 2 })
	create := action{Name: createChannel, Topic: "ledger", Channel: "c", Durability: "fsync"}
	c.open(actionLink(create)).has(".panel", "Creates topic and channel on 2 nodes, with durability fsync: what is published survives a power cut.")
	if status, d := c.confirm(actionLink(create), ""); status != http.StatusOK || !strings.HasSuffix(text(d.Find("h1")), ": done") {
		t.Errorf("%d %s", status, text(d.Find("main")))
	}
	c.eventually("both nodes have it", "/topics/ledger", func(d *document) bool {
		return slices.Equal(d.column("ledger on each nsqd", "Durability"), []string{"fsync", "fsync"})
	})
	// With messages it cannot become one of memory.
	c.publish(0, "ledger", 1)
	c.publish(1, "ledger", 1)
	status, d := c.confirm(actionLink(action{Name: createTopic, Topic: "ledger", Durability: "memory"}), "")
	if status != http.StatusConflict || text(d.Find("[role=alert]")) != "No nsqd did what it was asked for." {
		t.Errorf("%d %s", status, text(d.Find("main")))
	}
	// The form says what is wrong.
	const wrong = "/action?do=create&topic=t%23ephemeral&durability=disk"
	resp, body := c.do("GET", wrong, "")
	d = c.read(resp, body, http.StatusBadRequest, wrong)
	d.has(".error", "What is ephemeral is kept in memory only.")
	if got := d.Find("select[name=durability] option[selected]"); text(got) != "disk" {
		t.Errorf("chosen is %q", text(got))
	}
}

func TestTheDurabilityOfATopicIsChanged(t *testing.T) {
	c := newConsole(t, 2, nil)
	durabilityIs := func(want ...string) {
		t.Helper()
		c.eventually("the nodes have it", "/topics/orders", func(d *document) bool {
			return slices.Equal(d.column("orders on each nsqd", "Durability"), want)
		})
	}
	c.create(0, "orders", "mail")
	c.create(1, "orders", "mail")
	durabilityIs("memory", "memory")

	// The button leads to a page on which any durability can be chosen.
	link := c.open("/topics/orders").link("main .head a.button", "Change durability")
	if want := actionLink(action{Name: changeTopic, Topic: "orders", Durability: "disk"}); link != want {
		t.Errorf("the button leads to %s, want %s", link, want)
	}
	asked := c.open(link)
	asked.has("h1", "Change durability of topic orders?")
	asked.has("option[value=memory]", "memory: what is published is lost when nsqd is killed")
	asked.has("option[value=disk][selected]", "disk: what is published survives when nsqd is killed")
	asked.has("pre[data-copy]", `curl -X POST -d '{"action":"change_durability","durability":"disk"}' '`+c.url("/api/topics/orders")+"'")
	if got := asked.column("What there is on each node", "Durability"); !slices.Equal(got, []string{"memory", "memory"}) {
		t.Errorf("the nodes have %q", got)
	}
	done := func(d *document, status int, wantStatus int, heading string) {
		t.Helper()
		if status != wantStatus || text(d.Find("h1")) != heading {
			t.Fatalf("%d %s", status, text(d.Find("main")))
		}
	}
	status, d := c.confirm(link, "")
	done(d, status, http.StatusOK, "Change durability of topic orders: done")
	durabilityIs("disk", "disk")
	c.open("/topics/orders").has("pre[data-copy]", `'{"action":"change_durability","durability":"fsync"}'`)

	// With a message on one node that stays as it is, and the page says why.
	c.publish(1, "orders", 1)
	back := action{Name: changeTopic, Topic: "orders", Durability: "memory"}
	status, d = c.confirm(actionLink(back), "")
	done(d, status, http.StatusOK, "Change durability of topic orders: partly done")
	const why = "failed The topic or a channel of it has messages. Let consumers finish them, or empty both, then try again. (TOPIC_NOT_EMPTY)"
	if got := d.column("What each daemon was asked to do, and what came of it", "Result"); !slices.Contains(got, why) || !slices.Contains(got, "done") {
		t.Errorf("results are %q", got)
	}
	c.eventually("the nodes differ", "/topics/orders", func(d *document) bool {
		return slices.Contains(d.column("orders on each nsqd", "Durability"), "memory")
	})
	c.publish(0, "orders", 1)
	status, d = c.confirm(actionLink(action{Name: changeTopic, Topic: "orders", Durability: "fsync"}), "")
	done(d, status, http.StatusOK, "Change durability of topic orders: partly done") // disk to fsync, but not memory to fsync
	c.openStatus(http.StatusBadRequest, "/action?do=change_topic_durability&topic=orders").has("main", `"" is no durability: choose one of memory, disk, fsync.`)
}

// In memory only is all that is ephemeral, and all there is on an nsqd without durable topics.
func TestADurabilityThatCannotBeOtherIsNotToBeChanged(t *testing.T) {
	for topic, stats := range map[string]string{
		"old":           `{"topics":[{"topic_name":"old","channels":[]}]}`,
		"now#ephemeral": `{"topics":[{"topic_name":"now#ephemeral","durability":"memory","channels":[]}]}`,
	} {
		opts := testOptions(t)
		opts.NSQDHTTPAddresses = []string{script(t, map[string]string{"/info": `{"version":"1.3.0"}`, "/stats": stats}).addr()}
		c := &console{testAdmin: start(t, opts)}
		d := c.eventually("the topic is known", "/topics/"+url.PathEscape(topic), func(d *document) bool { return text(d.Find("h1")) == topic })
		d.has("main a.button", "Pause")
		d.hasNot(`a[href*="change_topic_durability"]`)
	}
}

// What deletes messages is done only when the name was typed.
func TestNamesMustBeTyped(t *testing.T) {
	c := newConsole(t, 1, nil)
	c.create(0, "orders", "mail")
	c.publish(0, "orders", 3)
	link := actionLink(action{Name: deleteChannel, Topic: "orders", Channel: "mail"})
	// They may be seen on their way, waiting in the topic.
	d := c.eventually("the messages are in the channel", link, func(d *document) bool {
		return strings.Contains(text(d.Find(".panel")), "the channel with 3 messages")
	})
	d.has("h1", "Delete channel orders/mail?")
	d.has(".panel", "Deletes the channel with 3 messages, and disconnects 0 consumers.")
	d.has("label", "Type mail to confirm")
	d.has("pre[data-copy]", "curl -X DELETE '"+c.url("/api/topics/orders/mail")+"'")
	d.wantRow("What there is on each node", text(d.Find("tbody th a")), "State", "answers", "Waiting", "3")
	for _, typed := range []string{"", "orders", "MAIL", "mail "} {
		status, d := c.confirm(link, typed)
		if status != http.StatusBadRequest || !strings.Contains(text(d.Find("[role=alert]")), "Nothing was done: type mail to confirm.") {
			t.Errorf("typed %q: %d %s", typed, status, text(d.Find("main")))
		}
	}
	if n, _ := c.view().Node(c.address(0)); n.Totals.Depth != 3 {
		t.Errorf("%d messages are left", n.Totals.Depth)
	}
	// Without messages there is nothing to type; the form was made before some came.
	c.create(0, "orders", "empty")
	c.view()
	form := url.Values{"do": {emptyChannel}, "topic": {"orders"}, "channel": {"empty"}}
	c.open("/action?" + form.Encode()).hasNot("input[name=confirm]")
	c.publish(0, "orders", 1)
	c.eventually("the message is known", "/nodes", func(d *document) bool { return d.tile("Depth") == "5 messages that wait" })
	if status, d := c.post("/action", form); status != http.StatusBadRequest || d.Find("input[name=confirm]").Length() != 1 {
		t.Errorf("messages that came meanwhile are deleted: %d %s", status, text(d.Find("main")))
	}
}

func TestActionsOfNonsense(t *testing.T) {
	c := newConsole(t, 1, nil)
	c.create(0, "orders", "mail")
	c.eventually("the channel is known", nodePath(c.address(0)), func(d *document) bool { return d.tile("Topics") == "1 1 channel" })
	const script = "<script>alert(1)</script>"
	for query, want := range map[string]string{
		"":                               `There is no action "".`,
		"do=burn&topic=orders":           `There is no action "burn".`,
		"do=" + script:                   `There is no action "<script>alert(1)</script>".`,
		"do=pause_topic":                 "The name of the topic is missing.",
		"do=pause_topic&topic=*":         `"*" is no name of a topic.`,
		"do=pause_topic&topic=" + script: "is no name of a topic.",
		"do=pause_topic&topic=nobody":    "There is no topic nobody.",
		"do=pause_channel&topic=orders":  "The name of the channel is missing.",
		"do=pause_channel&topic=orders&channel=nobody":                     "Topic orders has no channel nobody.",
		"do=tombstone_topic_producer&topic=orders":                         `No node has the address "".`,
		"do=tombstone_topic_producer&topic=orders&node=127.0.0.1:1":        `No node has the address "127.0.0.1:1".`,
		"do=tombstone_topic_producer&topic=nobody&node=" + c.address(0):    "does not have topic nobody.",
		"do=pause_topic&topic=" + strings.Repeat("x", 65):                  "is too long",
		"do=create&topic=" + url.QueryEscape("a b"):                        `"a b" is no name of a topic.`,
		"do=create&topic=orders&channel=" + url.QueryEscape(`"><script>x`): "is no name of a channel.",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		d := c.openStatus(http.StatusBadRequest, "/action?"+values.Encode())
		if !strings.Contains(text(d.Find("main")), want) {
			t.Errorf("%s: %s, want %s", query, text(d.Find("main")), want)
		}
		if status, d := c.post("/action", values); status != http.StatusBadRequest || !strings.Contains(text(d.Find("main")), want) {
			t.Errorf("POST %s: %d %s", query, status, text(d.Find("main")))
		}
	}
	// What was typed is in the form again.
	d := c.openStatus(http.StatusBadRequest, "/action?do=create&topic=a+b&channel=c")
	if got := d.Find("input[name=topic]"); got.AttrOr("value", "") != "a b" || got.AttrOr("aria-invalid", "") != "true" {
		t.Errorf("the topic in the form is %q", got.AttrOr("value", ""))
	}
	if got := d.Find("input[name=channel]"); got.AttrOr("value", "") != "c" || got.AttrOr("aria-invalid", "") != "" {
		t.Errorf("the channel in the form is %q", got.AttrOr("value", ""))
	}
}

// Nobody but admins sees buttons or acts, and no other site has a browser act.
func TestActionsNeedAnAdmin(t *testing.T) {
	c := newConsole(t, 1, nil)
	c.publish(0, "orders", 1)
	opts := testOptions(t, c.lookupd)
	opts.AdminUsers = []string{"o'neil"}
	opts.BasePath = "/admin"
	a := &console{testAdmin: start(t, opts), lookupd: c.lookupd, nsqds: c.nsqds}
	const admin = "X-Forwarded-User: o'neil"
	node := "/admin" + nodePath(c.address(0))
	a.eventually("the topic is known", node, func(d *document) bool { return d.tile("Topics") == "1 0 channels" })
	form := url.Values{"do": {pauseTopic}, "topic": {"orders"}}
	link := "/admin/action?" + form.Encode()
	for _, headers := range [][]string{nil, {"X-Forwarded-User: eve"}, {"X-Forwarded-User: eve", admin}} {
		a.openStatus(http.StatusForbidden, link, headers...).has("main", "Only users named by --admin-user may do this.")
		if status, _ := a.post("/admin/action", form, headers...); status != http.StatusForbidden {
			t.Errorf("%q: %d", headers, status)
		}
		for _, page := range []string{node, "/admin/lookup", "/admin/nodes"} {
			d := a.open(page, headers...)
			d.hasNot(`a[href*="/action"]`)
			d.hasNot(`form[action*="/action"]`)
		}
	}
	if status, _ := a.post("/admin/action", form, admin, "Sec-Fetch-Site: cross-site", "Origin: https://evil.example"); status != http.StatusForbidden {
		t.Errorf("another site has a browser pause a topic: %d", status)
	}
	if v := a.view(); v.Nodes[0].Stats.Topics[0].Paused {
		t.Error("the topic is paused")
	}
	a.open(link, admin).has("pre", `-H 'X-Forwarded-User: o'\''neil'`)
	status, d := a.post("/admin/action", form, admin)
	if got := d.link("main a.button", "Back to"); status != http.StatusOK || got != "/admin/topics/orders" {
		t.Errorf("an admin: %d, back to %s", status, got)
	}
	if v := a.view(); !v.Nodes[0].Stats.Topics[0].Paused {
		t.Error("the topic is not paused")
	}
}

// One dead and one hung node: the others do what is asked, and the page says
// which did not.
func TestActionsThatFailPartly(t *testing.T) {
	real, dead := nsqtest.Start(t, nil), nsqtest.Start(t, nil)
	hung := startHung(t)
	opts := testOptions(t)
	opts.NSQDHTTPAddresses = []string{real.RealHTTPAddr().String(), dead.RealHTTPAddr().String(), hung}
	opts.HTTPClientRequestTimeout = 300 * time.Millisecond
	c := &console{testAdmin: start(t, opts), nsqds: []*nsqtest.NSQD{real, dead}}
	c.create(0, "orders", "mail")
	c.create(1, "orders", "mail")
	c.publish(0, "orders", 2)
	c.eventually("both nodes are known to have it", "/action?do=pause_topic&topic=orders", func(d *document) bool {
		return len(d.column("What there is on each node", "Node")) == 2
	})
	dead.Stop()
	c.eventually("one does not answer", "/nodes", func(d *document) bool { return strings.Contains(d.tile("Nodes"), "2 not answering") })

	link := actionLink(action{Name: emptyChannel, Topic: "orders", Channel: "mail"})
	c.open(link).has(".panel", "1 node does not answer: what is there is not known for sure")
	status, d := c.confirm(link, "mail")
	if status != http.StatusOK || !strings.HasSuffix(text(d.Find("h1")), ": partly done") {
		t.Errorf("%d %s", status, text(d.Find("h1")))
	}
	const steps = "What each daemon was asked to do, and what came of it"
	done := 0
	for i, daemon := range d.column(steps, "Daemon") {
		if result := d.column(steps, "Result")[i]; (result == "done") != strings.Contains(daemon, real.RealHTTPAddr().String()) {
			t.Errorf("%s: %s", daemon, result)
		} else if result == "done" {
			done++
		}
	}
	if done != 1 {
		t.Errorf("done on %d nodes: %s", done, text(d.table(steps)))
	}
	if got := d.link("main a", "Try again"); got != link {
		t.Errorf("try again at %s, want %s", got, link)
	}
	real.Stop()
	c.view()
	if status, d := c.confirm(link, "mail"); status != http.StatusBadGateway || !strings.HasSuffix(text(d.Find("h1")), ": failed") {
		t.Errorf("nobody answers: %d %s", status, text(d.Find("main")))
	}
}

// A topic that is there again after it was deleted is not said to be gone.
func TestDeletedTopicThatIsThereAgain(t *testing.T) {
	const stats = `{"topics":[{"topic_name":"orders","channels":[{"channel_name":"mail"}]}]}`
	nsqd := script(t, map[string]string{"/info": `{"version":"1.4.0"}`, "/stats": stats, "/topic/delete": ""})
	opts := testOptions(t)
	opts.NSQDHTTPAddresses = []string{nsqd.addr()}
	c := &console{testAdmin: start(t, opts)}
	link := actionLink(action{Name: deleteTopic, Topic: "orders"})
	status, d := c.confirm(link, "")
	if status != http.StatusOK || !strings.HasSuffix(text(d.Find("h1")), ": partly done") {
		t.Errorf("%d %s", status, text(d.Find("h1")))
	}
	d.has(".banner.warning", "It is still there, or there again, on "+nsqd.addr())
	d.hasNot(".banner.ok")
	if got := d.link("main a", "Try again"); got != link {
		t.Errorf("try again at %s, want %s", got, link)
	}
}

// Who may not act is told so whatever they send, and nobody sends more than a form
// has.
func TestFormsThatAreNone(t *testing.T) {
	opts := testOptions(t)
	opts.NSQDHTTPAddresses = []string{nobodyListens}
	opts.AdminUsers = []string{"ann"}
	a := start(t, opts)
	const form = "application/x-www-form-urlencoded"
	for user, status := range map[string]int{"eve": http.StatusForbidden, "ann": http.StatusBadRequest} {
		for name, sent := range map[string]string{
			"no form":        "%zz",
			"a huge form":    "do=pause_topic&topic=orders&junk=" + strings.Repeat("x", maxBody),
			"an empty topic": "do=pause_topic&topic=",
		} {
			if resp, body := a.do("POST", "/action", sent, "X-Forwarded-User: "+user, "Content-Type: "+form); resp.StatusCode != status {
				t.Errorf("%s of %s: %d %s", name, user, resp.StatusCode, body)
			}
		}
	}
}
