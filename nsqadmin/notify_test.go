package nsqadmin

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// A logBuffer is a log to look at.
type logBuffer struct {
	mu sync.Mutex // text
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// An endpoint takes notifications.
func endpoint(t testing.TB, status int) (url string, bodies chan string) {
	bodies = make(chan string, 100)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(status)
		bodies <- r.Method + " " + r.URL.Path + " " + r.Header.Get("Content-Type") + " " + string(body)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/hook", bodies
}

// changingDaemon is an nsqlookupd at which everything can be done, and which
// knows one nsqd, itself, with topic t.
func changingDaemon(t testing.TB) string {
	answers := map[string]string{"/stats": `{"topics":[{"topic_name":"t","durability":"fsync"}]}`}
	for _, path := range []string{"/topic/create", "/topic/delete", "/channel/create", "/channel/delete", "/topic/tombstone"} {
		answers[path] = ""
	}
	for _, path := range simpleActions {
		answers[path] = ""
	}
	d := script(t, answers)
	answers["/lookup"] = `{"channels":[],"producers":[` + producerJSON(d.addr()) + `]}`
	answers["/nodes"] = `{"producers":[` + producerJSON(d.addr()) + `]}`
	return d.addr()
}

// Every action is told of, to the byte.
func TestNotifications(t *testing.T) {
	url, bodies := endpoint(t, 500) // whatever it answers
	o := testOptions(t)
	o.LookupdHTTPAddresses = []string{changingDaemon(t)}
	o.NotificationHTTPEndpoint = url
	o.BasePath = "/admin"
	a := start(t, o)
	host, _ := os.Hostname()
	want := func(what, path string) {
		t.Helper()
		got := nsqtest.Receive(t, "a notification", bodies)
		got = regexp.MustCompile(`"timestamp":1\d{9},`).ReplaceAllString(got, `"timestamp":1,`)
		got = regexp.MustCompile(`"remote_ip":"127\.0\.0\.1:\d+"`).ReplaceAllString(got, `"remote_ip":"R"`)
		if want := `POST /hook application/json {` + what + `,"timestamp":1,"user":"bob","remote_ip":"R","user_agent":"ua/1","url":"http://` +
			a.RealHTTPAddr().String() + path + `","via":"` + host + `"}`; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	do := func(method, path, body string) {
		t.Helper()
		a.do(method, path, body, "Authorization: Basic Ym9iOnNlY3JldA==", "User-Agent: ua/1")
	}
	do("POST", "/admin/api/topics", `{"topic":"t"}`)
	want(`"action":"create_topic","topic":"t"`, "/admin/api/topics")
	do("POST", "/admin/api/topics", `{"topic":"t","channel":"c"}`)
	want(`"action":"create_topic","topic":"t"`, "/admin/api/topics")
	want(`"action":"create_channel","topic":"t","channel":"c"`, "/admin/api/topics")
	for _, verb := range []string{"pause", "unpause", "empty"} {
		do("POST", "/admin/api/topics/t", `{"action":"`+verb+`"}`)
		want(`"action":"`+verb+`_topic","topic":"t"`, "/admin/api/topics/t")
		do("POST", "/admin/api/topics/t/c%23ephemeral", `{"action":"`+verb+`"}`)
		want(`"action":"`+verb+`_channel","topic":"t","channel":"c#ephemeral"`, "/admin/api/topics/t/c%23ephemeral")
	}
	do("POST", "/admin/api/topics", `{"topic":"t","durability":"fsync"}`)
	want(`"action":"create_topic","topic":"t","durability":"fsync"`, "/admin/api/topics")
	do("POST", "/admin/api/topics/t", `{"action":"change_durability","durability":"fsync"}`)
	want(`"action":"change_topic_durability","topic":"t","durability":"fsync"`, "/admin/api/topics/t")
	do("DELETE", "/admin/api/topics/t/c", "")
	want(`"action":"delete_channel","topic":"t","channel":"c"`, "/admin/api/topics/t/c")
	node := o.LookupdHTTPAddresses[0]
	do("DELETE", "/admin/api/nodes/"+node, `{"topic":"t"}`)
	want(`"action":"tombstone_topic_producer","topic":"t","node":"`+node+`"`, "/admin/api/nodes/"+node)

	do("POST", "/admin/api/topics", `{"topic":"*"}`) // of what was refused nobody is told
	do("POST", "/admin/api/topics/t", `{"action":"x"}`)
	do("DELETE", "/admin/api/topics/t", "")
	want(`"action":"delete_topic","topic":"t"`, "/admin/api/topics/t")
}

// What failed is told of where that is known to be so.
func TestNotificationsOfFailures(t *testing.T) {
	url, bodies := endpoint(t, 200)
	o := testOptions(t)
	o.LookupdHTTPAddresses = []string{nobodyListens}
	o.NotificationHTTPEndpoint = url
	a := start(t, o)
	a.do("POST", "/api/topics", `{"topic":"t"}`)
	a.do("DELETE", "/api/topics/t", "")
	a.do("DELETE", "/api/nodes/a:1", `{"topic":"t"}`)
	a.do("POST", "/api/topics/t/c", `{"action":"empty"}`)
	if got := nsqtest.Receive(t, "a notification", bodies); !strings.Contains(got, `"action":"empty_channel"`) {
		t.Errorf("got %s", got)
	}
}

func TestActor(t *testing.T) {
	s := &httpServer{access: access{header: "X-Forwarded-User"}}
	r := httptest.NewRequest("DELETE", "/api/topics/t?x=%20", nil)
	r.Host, r.RemoteAddr = "console:4171", "[::1]:9"
	if got, want := s.actorOf(r), (actor{RemoteIP: "[::1]:9", URL: "http://console:4171/api/topics/t?x=%20"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	r.Header.Set("X-Scheme", "https")
	r.Header.Set("X-Forwarded-User", "ann")
	r.Header.Set("User-Agent", "ua")
	r.SetBasicAuth("bob", "")
	want := actor{Admin: "ann", User: "bob", RemoteIP: "[::1]:9", UserAgent: "ua", URL: "https://console:4171/api/topics/t?x=%20"}
	if got := s.actorOf(r); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// An endpoint that is not there, hangs, or talks nonsense delays no action and no
// stop, ends nothing, and is in the log.
func TestNotificationsThatCannotBeDelivered(t *testing.T) {
	hung := make(chan struct{})
	defer close(hung)
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		select {
		case <-hung:
		case <-r.Context().Done():
		}
	}))
	defer hanging.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // connects, as the kernel does that, and no more
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	daemon := changingDaemon(t)
	for name, c := range map[string]struct{ endpoint, log string }{
		"nobody listens": {"http://" + nobodyListens, "connection refused"},
		"hanging":        {hanging.URL, "context canceled"},
		"silent":         {"http://" + silent.Addr().String(), "context canceled"},
		"no URL":         {"::", "missing protocol scheme"},
		"no scheme":      {"host/path", "unsupported protocol scheme"},
	} {
		t.Run(name, func(t *testing.T) {
			var log logBuffer
			o := testOptions(t)
			o.Logger = log.logger()
			o.LookupdHTTPAddresses = []string{daemon}
			o.NotificationHTTPEndpoint = c.endpoint
			n, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			a := &testAdmin{NSQAdmin: n, t: t, main: make(chan error, 1)}
			go func() { a.main <- n.Main() }()
			began := time.Now()
			for range 3 {
				a.want(200, `{"message":""}`, "POST", "/api/topics/t", `{"action":"pause"}`)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("three actions took %v", took)
			}
			began = time.Now()
			a.exit()
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("the stop took %v", took)
			}
			text := log.String()
			if strings.Count(text, "NOTIFY: not delivered") != 3 || !strings.Contains(text, c.log) {
				t.Errorf("the log has\n%s", text)
			}
		})
	}
}

// What waits is bounded; of the rest there is a line in the log each.
func TestNotificationQueueIsBounded(t *testing.T) {
	var log logBuffer
	n := newNotifier(&Options{NotificationHTTPEndpoint: "http://x"}, nil, log.logger())
	o := outcome{Action: action{Name: pauseTopic, Topic: "t"}}
	for range maxNotifications + 2 {
		n.tell(actor{}, o)
	}
	if got := strings.Count(log.String(), "1000 others wait already"); got != 2 || len(n.queue) != maxNotifications {
		t.Errorf("%d are queued, %d lines in the log:\n%s", len(n.queue), got, log.String())
	}
}

// Every action is a line in the log that says who did what, and how it went.
func TestActionsAreLogged(t *testing.T) {
	var log logBuffer
	daemon := changingDaemon(t)
	dead := nobodyListens
	o := testOptions(t)
	o.Logger = log.logger()
	o.LookupdHTTPAddresses = []string{daemon, dead}
	a := start(t, o)
	a.do("POST", "/api/topics/t/c", `{"action":"empty"}`, "X-Forwarded-User: ann", "User-Agent: ua/1")
	a.do("DELETE", "/api/topics/*", "")
	var lines []string
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "ACTION") {
			lines = append(lines, line)
		}
	}
	if len(lines) != 2 {
		t.Fatalf("lines are %q", lines)
	}
	for _, part := range []string{"level=WARN", `msg="ACTION: empty_channel"`, "topic=t", "channel=c", "admin=ann", `"user agent"=ua/1`, "client=127.0.0.1:", `"done on"=` + daemon, `failed="` + dead + ": dial tcp"} {
		if !strings.Contains(lines[0], part) {
			t.Errorf("no %s in %s", part, lines[0])
		}
	}
	if !strings.Contains(lines[1], "INVALID_TOPIC") {
		t.Errorf("a refused action is %s", lines[1])
	}
}

// A stop ends what is being done although a daemon hangs.
func TestStopDuringAnAction(t *testing.T) {
	asked := make(chan struct{}, 10)
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	defer hanging.Close()
	o := testOptions(t)
	o.LookupdHTTPAddresses = []string{hanging.Listener.Addr().String()}
	o.HTTPClientRequestTimeout = time.Minute
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	main := make(chan error, 1)
	go func() { main <- n.Main() }()
	var running sync.WaitGroup
	for _, method := range []string{"DELETE", "GET"} {
		running.Go(func() {
			req, err := http.NewRequest(method, "http://"+n.RealHTTPAddr().String()+"/api/topics/t", nil)
			if err != nil {
				t.Error(err)
				return
			}
			if resp, err := http.DefaultTransport.RoundTrip(req); err == nil {
				resp.Body.Close()
			}
		})
	}
	for range 4 { // two by the action, one by the question, one by the poller
		nsqtest.Receive(t, "a request", asked)
	}
	began := time.Now()
	if err := n.Exit(); err != nil {
		t.Errorf("Exit: %v", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the stop took %v", took)
	}
	if err := <-main; err != nil {
		t.Errorf("Main: %v", err)
	}
	running.Wait()
}
