package nsqadmin

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// A scripted daemon answers paths with JSON, an unknown one with 404, and notes
// what it was asked for.
type scripted struct {
	*httptest.Server
	asked chan string
}

// script answers by path with what begins with a status, if it does not by 200.
func script(t testing.TB, answers map[string]string) *scripted {
	d := &scripted{asked: make(chan string, 1000)}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.asked <- r.Method + " " + r.RequestURI
		answer, ok := answers[r.URL.Path]
		if !ok {
			answer = `404 {"message":"NOT_FOUND"}`
		}
		w.Header().Set("X-Nsq-Content-Type", "nsq; version=1.0")
		status := http.StatusOK
		if _, err := fmt.Sscanf(answer, "%3d ", &status); err == nil {
			answer = answer[4:]
		}
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *scripted) addr() string { return d.Listener.Addr().String() }

// posts returns the changes that the daemon was asked for.
func (d *scripted) posts() []string {
	var list []string
	for len(d.asked) > 0 {
		if asked := <-d.asked; strings.HasPrefix(asked, "POST ") {
			list = append(list, asked)
		}
	}
	return list
}

// producerJSON is how an nsqlookupd lists a daemon.
func producerJSON(address string, topics ...string) string {
	host, port, _ := strings.Cut(address, ":")
	return fmt.Sprintf(`{"remote_address":"127.0.0.1:1","hostname":"h","broadcast_address":%q,"tcp_port":%s,"http_port":%s,"version":"1.3.0","topics":%s}`,
		host, port, port, strings.ReplaceAll(fmt.Sprintf("%q", topics), `" "`, `","`))
}

// testSources asks daemons as nsqadmin does.
func testSources(t testing.TB, lookupds, nsqds []string) *sources {
	o := NewOptions()
	o.HTTPClientConnectTimeout, o.HTTPClientRequestTimeout = time.Second, time.Second
	client := cluster.NewClient(o.clientConfig(nil))
	t.Cleanup(client.Close)
	return &sources{client: client, nsqds: nsqds, lookupds: func() []string { return lookupds }}
}

// inLines is an outcome in lines.
func inLines(o outcome) string {
	var b strings.Builder
	for _, s := range o.Steps {
		fmt.Fprintf(&b, "%s %s", s.Daemon, s.Request)
		if s.Err != nil {
			fmt.Fprintf(&b, ": %v", s.Err)
		}
		b.WriteByte('\n')
	}
	if len(o.Remained) > 0 {
		fmt.Fprintf(&b, "remained: %d\n", len(o.Remained))
	}
	if o.Err != nil {
		fmt.Fprintf(&b, "%v\n", o.Err)
	}
	return b.String()
}

// What each action asks of which daemons, in which order.
func TestActionsAsk(t *testing.T) {
	for _, c := range []struct {
		action       action
		lookupMode   string
		withoutThose string
	}{
		{action{Name: createTopic, Topic: "t"}, "L POST /topic/create?topic=t", "N POST /topic/create?topic=t"},
		{
			action{Name: createChannel, Topic: "t", Channel: "c"},
			"L POST /topic/create?topic=t, L POST /channel/create?channel=c&topic=t, N POST /channel/create?channel=c&topic=t",
			"N POST /topic/create?topic=t, N POST /channel/create?channel=c&topic=t",
		},
		{
			action{Name: createTopic, Topic: "t", Durability: "disk"},
			"L POST /topic/create?topic=t, N POST /topic/create?durability=disk&topic=t",
			"N POST /topic/create?durability=disk&topic=t",
		},
		{
			action{Name: createChannel, Topic: "t", Channel: "c", Durability: "disk"},
			"L POST /topic/create?topic=t, L POST /channel/create?channel=c&topic=t, " +
				"N POST /topic/create?durability=disk&topic=t, N POST /channel/create?channel=c&topic=t",
			"N POST /topic/create?durability=disk&topic=t, N POST /channel/create?channel=c&topic=t",
		},
		{
			action{Name: deleteTopic, Topic: "t"},
			"L POST /topic/delete?topic=t, N POST /topic/delete?topic=t, remained",
			"N POST /topic/delete?topic=t, remained",
		},
		{
			action{Name: deleteChannel, Topic: "t", Channel: "c"},
			"L POST /channel/delete?channel=c&topic=t, N POST /channel/delete?channel=c&topic=t, remained",
			"N POST /channel/delete?channel=c&topic=t, remained",
		},
		{action{Name: pauseTopic, Topic: "t"}, "N POST /topic/pause?topic=t", "N POST /topic/pause?topic=t"},
		{action{Name: unpauseTopic, Topic: "t"}, "N POST /topic/unpause?topic=t", "N POST /topic/unpause?topic=t"},
		{
			action{Name: changeTopic, Topic: "t", Durability: "disk"},
			"N POST /topic/create?durability=disk&topic=t", "N POST /topic/create?durability=disk&topic=t",
		},
		{action{Name: emptyTopic, Topic: "t"}, "N POST /topic/empty?topic=t", "N POST /topic/empty?topic=t"},
		{action{Name: pauseChannel, Topic: "t", Channel: "c"}, "N POST /channel/pause?channel=c&topic=t", "N POST /channel/pause?channel=c&topic=t"},
		{action{Name: unpauseChannel, Topic: "t", Channel: "c"}, "N POST /channel/unpause?channel=c&topic=t", "N POST /channel/unpause?channel=c&topic=t"},
		{action{Name: emptyChannel, Topic: "t#ephemeral", Channel: "c"}, "N POST /channel/empty?channel=c&topic=t%23ephemeral", "N POST /channel/empty?channel=c&topic=t%23ephemeral"},
		{
			action{Name: tombstoneTopic, Topic: "t", Node: "NODE"},
			"L POST /topic/tombstone?node=NODE&topic=t, N POST /topic/delete?topic=t",
			"N POST /topic/delete?topic=t",
		},
	} {
		t.Run(c.action.Name+c.action.Durability, func(t *testing.T) {
			paths := map[string]string{
				"/info":  `{"version":"1.3.0","broadcast_address":"127.0.0.1","http_port":1,"tcp_port":2}`,
				"/stats": `{"topics":[{"topic_name":"` + c.action.Topic + `","durability":"disk","channels":[{"channel_name":"c"}]}]}`,
			}
			for _, p := range []string{"/topic/create", "/channel/create", "/topic/delete", "/channel/delete", "/topic/tombstone"} {
				paths[p] = ""
			}
			for _, p := range simpleActions {
				paths[p] = ""
			}
			nsqd := script(t, paths)
			lookupPaths := map[string]string{
				"/lookup":   `{"channels":["c"],"producers":[` + producerJSON(nsqd.addr()) + `]}`,
				"/nodes":    `{"producers":[` + producerJSON(nsqd.addr(), "t") + `]}`,
				"/channels": `{"channels":["b","c"]}`,
			}
			for p, answer := range paths {
				if _, ok := lookupPaths[p]; !ok {
					lookupPaths[p] = answer
				}
			}
			lookupd := script(t, lookupPaths)
			if c.action.Node != "" {
				c.action.Node = nsqd.addr()
			}
			for mode, want := range map[string]string{"with nsqlookupds": c.lookupMode, "without": c.withoutThose} {
				s := testSources(t, []string{lookupd.addr()}, nil)
				if mode == "without" {
					s = testSources(t, nil, []string{nsqd.addr()})
				}
				o := s.perform(t.Context(), c.action)
				got := []string{}
				for _, step := range o.Steps {
					got = append(got, map[string]string{nsqdKind: "N ", lookupdKind: "L "}[step.Daemon]+step.Request)
					if step.Err != nil || step.Address != map[string]string{nsqdKind: nsqd.addr(), lookupdKind: lookupd.addr()}[step.Daemon] {
						t.Errorf("%s: a step is %+v", mode, step)
					}
				}
				if len(o.Remained) > 0 {
					got = append(got, "remained")
				}
				want = strings.ReplaceAll(want, "NODE", strings.ReplaceAll(nsqd.addr(), ":", "%3A"))
				if text := strings.Join(got, ", "); text != want || o.Err != nil {
					t.Errorf("%s: %s, %v\nwant %s", mode, text, o.Err, want)
				}
				all, some := o.failed()
				if all || some != (len(o.Remained) > 0) {
					t.Errorf("%s: failed is %v, %v", mode, all, some)
				}
				var asked []string
				for _, d := range []*scripted{lookupd, nsqd} {
					asked = append(asked, d.posts()...)
				}
				if len(asked) != len(o.Steps) {
					t.Errorf("%s: asked for %q", mode, asked)
				}
			}
		})
	}
}

// An nsqd that has no durable topics creates one of memory, and says that all is well.
func TestADurabilityThatATopicDoesNotHaveIsAFailure(t *testing.T) {
	for has, want := range map[string]string{
		"":                     "the topic is there, but with durability memory: this nsqd has no durable topics",
		`"durability":"disk",`: "the topic is there, but with durability disk",
	} {
		nsqd := script(t, map[string]string{"/topic/create": "", "/info": "{}", "/stats": `{"topics":[{"topic_name":"t",` + has + `"channels":[]}]}`})
		for _, name := range []string{createTopic, changeTopic} {
			o := testSources(t, nil, []string{nsqd.addr()}).perform(t.Context(), action{Name: name, Topic: "t", Durability: "fsync"})
			if all, _ := o.failed(); !all || len(o.Steps) != 1 || o.Steps[0].Err == nil || o.Steps[0].Err.Error() != want {
				t.Errorf("%s %s: %+v, want %s", name, has, o, want)
			}
		}
	}
}

// Nor does one that has no durable topics have anything but memory.
func TestATopicOfMemoryIsWhereThereAreNoDurableOnes(t *testing.T) {
	nsqd := script(t, map[string]string{"/topic/create": "", "/stats": `{"topics":[{"topic_name":"t","channels":[]}]}`})
	o := testSources(t, nil, []string{nsqd.addr()}).perform(t.Context(), action{Name: createTopic, Topic: "t", Durability: "memory"})
	if _, some := o.failed(); some {
		t.Error(inLines(o))
	}
}

func TestActionsCheckNames(t *testing.T) {
	for _, c := range []struct {
		action action
		want   string
	}{
		{action{Topic: "t", Channel: "c"}, "INVALID_ACTION"},
		{action{Name: "drop_topic", Topic: "t"}, "INVALID_ACTION"},
		{action{Name: deleteTopic, Topic: "*"}, "INVALID_TOPIC"}, // every topic of some nsqlookupds
		{action{Name: deleteTopic}, "INVALID_TOPIC"},
		{action{Name: deleteChannel, Topic: "a b", Channel: "c"}, "INVALID_TOPIC"},
		{action{Name: deleteChannel, Topic: "t"}, "INVALID_CHANNEL"},
		{action{Name: emptyChannel, Topic: "t", Channel: "a/b"}, "INVALID_CHANNEL"},
		{action{Name: createTopic, Topic: "t", Durability: "x"}, "INVALID_DURABILITY"},
		{action{Name: createTopic, Topic: "t#ephemeral", Durability: "disk"}, "INVALID_DURABILITY"},
		{action{Name: pauseTopic, Topic: "t", Durability: "disk"}, "INVALID_DURABILITY"},
		{action{Name: changeTopic, Topic: "t"}, "INVALID_DURABILITY"},
		{action{Name: changeTopic, Topic: "t", Durability: "x"}, "INVALID_DURABILITY"},
		{action{Name: changeTopic, Topic: "t#ephemeral", Durability: "disk"}, "INVALID_DURABILITY"},
		{action{Name: tombstoneTopic, Node: "a:1"}, "INVALID_TOPIC"},
		{action{Name: tombstoneTopic, Topic: "t", Node: "a"}, "NODE_NOT_FOUND"},
	} {
		daemon := script(t, nil)
		for _, s := range []*sources{testSources(t, []string{daemon.addr()}, nil), testSources(t, nil, []string{daemon.addr()})} {
			o := s.perform(t.Context(), c.action)
			if all, _ := o.failed(); o.Err == nil || o.Err.Error() != c.want || !all || len(daemon.asked) > 0 {
				t.Errorf("%+v: %v, want %s; asked %d times", c.action, o.Err, c.want, len(daemon.asked))
			}
		}
	}
}

// An nsqlookupd knows an IPv6 node without brackets, and finds nothing by any
// other name.
func TestTombstoneOfIPv6Node(t *testing.T) {
	for _, node := range []string{"[::1]:4151", "::1:4151"} {
		lookupd := script(t, map[string]string{
			"/nodes":           `{"producers":[{"broadcast_address":"::1","http_port":4151,"tcp_port":4150,"topics":["t"]}]}`,
			"/topic/tombstone": "",
		})
		testSources(t, []string{lookupd.addr()}, nil).perform(t.Context(), action{Name: tombstoneTopic, Topic: "t", Node: node})
		if got, want := lookupd.posts(), []string{"POST /topic/tombstone?node=%3A%3A1%3A4151&topic=t"}; !slices.Equal(got, want) {
			t.Errorf("%s: asked for %q, want %q", node, got, want)
		}
	}
}

// All daemons are asked whatever the others do, and each has its own time.
func TestActionsOnDaemonsThatFail(t *testing.T) {
	hung := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hung }))
	defer hanging.Close()
	defer close(hung)
	unknown := script(t, map[string]string{"/topic/pause": `404 {"message":"TOPIC_NOT_FOUND"}`})
	broken := script(t, map[string]string{"/topic/pause": `500 {"message":"INTERNAL_ERROR"}`})
	good := script(t, map[string]string{"/topic/pause": ""})
	dead := nobodyListens
	lookup := func(nsqds ...string) *scripted {
		var list []string
		for _, address := range nsqds {
			list = append(list, producerJSON(address, "t"))
		}
		return script(t, map[string]string{"/lookup": `{"channels":[],"producers":[` + strings.Join(list, ",") + `]}`})
	}
	for _, c := range []struct {
		name      string
		lookupds  []string
		want      []string // parts of steps
		err       string
		all, some bool
	}{
		{"one that is gone, one that hangs", []string{lookup(dead, good.addr(), hanging.Listener.Addr().String()).addr()},
			[]string{dead + " dial tcp", good.addr() + " <nil>", "context deadline exceeded"}, "", false, true},
		{"all gone", []string{lookup(dead).addr()}, []string{dead + " dial tcp"}, "UPSTREAM_ERROR: failed to query any nsqd: " + dead + ": dial tcp", true, true},
		{"all broken", []string{lookup(broken.addr()).addr()}, []string{"status 500"},
			`UPSTREAM_ERROR: failed to query any nsqd: got response 500 Internal Server Error "{\"message\":\"INTERNAL_ERROR\"}"`, true, true},
		{"none that has it", []string{lookup(unknown.addr()).addr()}, []string{"status 404"}, "", false, false},
		{"an nsqlookupd that is gone", []string{dead, lookup(good.addr()).addr()}, []string{dead + " dial tcp", good.addr() + " <nil>"}, "", false, true},
		{"all nsqlookupds gone", []string{dead}, []string{dead + " dial tcp"}, "UPSTREAM_ERROR: failed to query any nsqlookupd: " + dead, true, true},
		{"no nsqlookupds", nil, nil, "UPSTREAM_ERROR: failed to query any nsqlookupd: the list of nsqlookupds is empty", true, true},
		{"no nsqds", []string{lookup().addr()}, nil, "", false, false},
	} {
		o := testSources(t, c.lookupds, nil).perform(t.Context(), action{Name: pauseTopic, Topic: "t"})
		var steps []string
		for _, s := range o.Steps {
			steps = append(steps, fmt.Sprintf("%s %v", s.Address, s.Err))
		}
		slices.Sort(steps)
		text := strings.Join(steps, "\n")
		if len(steps) != len(c.want) {
			t.Errorf("%s: steps are\n%s", c.name, text)
		}
		for _, part := range c.want {
			if !strings.Contains(text, part) {
				t.Errorf("%s: no %q in steps\n%s", c.name, part, text)
			}
		}
		if (o.Err == nil) != (c.err == "") || o.Err != nil && !strings.HasPrefix(o.Err.Error(), c.err) {
			t.Errorf("%s: %v, want %s", c.name, o.Err, c.err)
		}
		if all, some := o.failed(); all != c.all || some != c.some {
			t.Errorf("%s: failed is %v, %v", c.name, all, some)
		}
	}
}

// nobodyListens is an address at which that is so, and stays so: no program is given its
// port that does not ask for it.
const nobodyListens = "127.0.0.1:1"

// Against daemons: what is created is there, what is deleted is gone.
func TestActionsOnRealDaemons(t *testing.T) {
	lookupd := nsqtest.StartLookupd(t, nil)
	opts := nsqtest.Options(t)
	opts.LookupdTCPAddresses = []string{lookupd.TCPAddr()}
	nsqd := nsqtest.Start(t, opts)
	for mode, s := range map[string]*sources{
		"with nsqlookupds": testSources(t, []string{lookupd.HTTPAddr()}, nil),
		"without":          testSources(t, nil, []string{nsqd.RealHTTPAddr().String()}),
	} {
		perform := func(a action) {
			t.Helper()
			o := s.perform(t.Context(), a)
			if _, some := o.failed(); some || len(o.Steps) == 0 {
				t.Errorf("%s: %s:\n%s", mode, a.Name, inLines(o))
			}
		}
		topic := strings.ReplaceAll(mode, " ", "-")
		perform(action{Name: createTopic, Topic: topic})
		if mode != "without" {
			if err := s.client.Post(t.Context(), nsqd.RealHTTPAddr().String(), "/topic/create", url.Values{"topic": {topic}}); err != nil {
				t.Fatal(err)
			}
			nsqtest.Eventually(t, "the topic is registered", func() bool {
				targets, _, _, _ := s.producing(t.Context(), topic)
				return len(targets) == 1
			})
		}
		perform(action{Name: createChannel, Topic: topic, Channel: "c"})
		for _, name := range []string{pauseTopic, unpauseTopic, emptyTopic, pauseChannel, unpauseChannel, emptyChannel} {
			perform(action{Name: name, Topic: topic, Channel: map[bool]string{true: "c"}[strings.HasSuffix(name, "channel")]})
		}
		perform(action{Name: deleteChannel, Topic: topic, Channel: "c"})
		perform(action{Name: deleteTopic, Topic: topic})
		answer, err := s.client.Stats(t.Context(), nsqd.RealHTTPAddr().String(), cluster.StatsQuery{})
		if err != nil || len(answer.Topics) != 0 {
			t.Errorf("%s: the node has %+v, %v", mode, answer, err)
		}
	}
}
