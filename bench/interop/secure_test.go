package interop_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed893f581e/nsq/bench/interop"
	"github.com/seed893f581e/nsq/bench/interop/gonsq"
	"github.com/seed893f581e/nsq/bench/interop/ours"
	"github.com/seed893f581e/nsq/internal/auth/authtest"
	"github.com/seed893f581e/nsq/internal/certs/certstest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsqd"
)

// What a client negotiates: messages come through, and nsqd says the same about
// clients of both libraries.
func TestNegotiation(t *testing.T) {
	ca := certstest.NewCA(t)
	dir := t.TempDir()
	roots, _ := ca.Write(t, dir, "ca")
	cert, key := ca.Issue(t, certstest.Named("client")).Write(t, dir, "client")
	otherRoots, _ := certstest.NewCA(t).Write(t, dir, "other")
	auth := authtest.Start(t)
	auth.Answer("s3cret", http.StatusOK,
		`{"ttl":60,"identity":"bob","identity_url":"http://bob","authorizations":[{"topic":"negotiated","channels":[".*"],"permissions":["subscribe","publish"]}]}`)

	serverCert, serverKey := ca.Issue(t).Write(t, dir, "server")
	withTLS := func(o *nsqd.Options) { o.TLSCert, o.TLSKey = serverCert, serverKey }
	mutual := func(o *nsqd.Options) {
		withTLS(o)
		o.TLSRootCAFile, o.TLSClientAuthPolicy = roots, "require-verify"
		o.TLSRequired = nsqd.TLSRequiredExceptHTTP // which the test asks
	}
	withAuth := func(o *nsqd.Options) { o.AuthHTTPAddresses = []string{auth.URL} }
	without := func(o *nsqd.Options) { o.Deflate, o.Snappy = false, false }

	for _, c := range []struct {
		name    string
		broker  func(*nsqd.Options)
		options map[string]any
		known   []difference
	}{
		{"plain", nil, nil, nil},
		{"names", nil, map[string]any{"client_id": "id", "hostname": "host", "user_agent": "agent"}, nil},
		{"limits", nil, map[string]any{"msg_timeout": "3s", "output_buffer_size": 64, "output_buffer_timeout": "25ms", "heartbeat_interval": "1s"}, nil},
		{"deflate", nil, map[string]any{"deflate": true, "deflate_level": 3}, nil},
		{"snappy", nil, map[string]any{"snappy": true}, nil},
		{"both compressions", nil, map[string]any{"snappy": true, "deflate": true}, nil},
		{"compression is not offered", without, map[string]any{"snappy": true}, nil},
		{"TLS", withTLS, map[string]any{"tls_v1": true, "tls_root_ca_file": roots}, tlsVersions},
		{"TLS with snappy", withTLS, map[string]any{"tls_v1": true, "tls_root_ca_file": roots, "snappy": true}, tlsVersions},
		{"TLS with deflate", withTLS, map[string]any{"tls_v1": true, "tls_root_ca_file": roots, "deflate": true}, tlsVersions},
		{"TLS with anybody", withTLS, map[string]any{"tls_v1": true, "tls_insecure_skip_verify": true}, tlsVersions},
		{"TLS with a stranger", withTLS, map[string]any{"tls_v1": true, "tls_root_ca_file": otherRoots}, nil},
		{"TLS of nobody known", withTLS, map[string]any{"tls_v1": true}, nil},
		{"TLS on both sides", mutual, map[string]any{"tls_v1": true, "tls_root_ca_file": roots, "tls_cert": cert, "tls_key": key}, tlsVersions},
		{"no certificate", mutual, map[string]any{"tls_v1": true, "tls_root_ca_file": roots}, []difference{
			{"(?:publish|connect)", `ErrIdentify: .*`, `ErrIdentify: .*`, "the alert of TLS 1.3 comes a read later"}}},
		{"TLS is required", mutual, nil, nil},
		{"TLS is not offered", nil, map[string]any{"tls_v1": true}, []difference{
			{"(?:publish|connect)", "nil", "ErrIdentify: nsqd does not offer TLS", "ours sends nothing in the clear that was to be secret"},
			{"(?:message|client)", ".*", "-", "likewise"}}},
		{"auth", withAuth, map[string]any{"auth_secret": "s3cret"}, nil},
		{"auth without secret", withAuth, nil, nil},
		{"auth with a wrong secret", withAuth, map[string]any{"auth_secret": "wrong"}, []difference{
			{"(?:publish|connect)", "Error authenticating E_AUTH_FAILED AUTH failed", "ErrProtocol: E_AUTH_FAILED AUTH failed", "errors.As finds the answer of nsqd in it"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := allow(c.known)
			theirs := negotiate(t, gonsq.Library{}, c.broker, c.options)
			own := negotiate(t, ours.Library{}, c.broker, c.options)
			d.compareFacts(t, theirs, own)
			d.end(t)
			if t.Failed() || testing.Verbose() {
				t.Log(theirs)
			}
		})
	}
}

var tlsVersions = []difference{
	{"client", `.*"tls_version":"TLS1\.2".*`, `.*"tls_version":"TLS1\.3".*`, "the newest version there is"},
}

// negotiate publishes a message and consumes it.
func negotiate(t *testing.T, l interop.Library, broker func(*nsqd.Options), options map[string]any) []interop.Fact {
	t.Helper()
	opts := nsqtest.Options(t)
	if broker != nil {
		broker(opts)
	}
	n := nsqtest.Start(t, opts)
	addr := n.TCPAddr()
	setup := interop.Setup{Options: options}
	var facts []interop.Fact
	fact := func(name string, value any) {
		text := strings.NewReplacer(addr, "ADDR").Replace(fmt.Sprint(value))
		facts = append(facts, interop.Fact{Name: name, Value: text})
	}
	p, err := l.NewProducer(addr, setup)
	must(t, err)
	defer p.Stop()
	published := l.Describe(p.Publish("negotiated", []byte(strings.Repeat("message ", 1000))))
	fact("publish", published)
	got := make(chan string, 1)
	r, err := l.NewConsumer("negotiated", "ch", setup, interop.Handler{Handle: func(m interop.Message) error {
		got <- m.Delivery().Body
		m.DisableAutoResponse()
		m.Finish()
		return nil
	}}, 1)
	must(t, err)
	defer func() {
		r.Stop()
		<-r.Stopped()
	}()
	connected := l.Describe(r.ConnectToNSQD(addr))
	fact("connect", connected)
	if published != "nil" || connected != "nil" {
		fact("message", "-")
		fact("client", "-")
	} else {
		fact("message", len(nsqtest.Receive(t, "a message", got)))
		for _, client := range clientsOf(t, n, "negotiated") {
			fact("client", client)
		}
	}
	return facts
}

// clientsOf returns what nsqd says about the clients of a channel, without what
// is different each time.
func clientsOf(t *testing.T, n *nsqtest.NSQD, topic string) (all []string) {
	t.Helper()
	var stats struct {
		Topics []struct {
			Channels []struct {
				Clients []map[string]any `json:"clients"`
			} `json:"channels"`
		} `json:"topics"`
	}
	must(t, json.Unmarshal([]byte(body(t, n.HTTPURL()+"/stats?format=json&include_clients=true&topic="+topic)), &stats))
	for _, topic := range stats.Topics {
		for _, channel := range topic.Channels {
			for _, client := range channel.Clients {
				for _, key := range []string{"remote_address", "connect_ts", "in_flight_count", "finish_count", "message_count", "ready_count"} {
					delete(client, key)
				}
				if agent, _ := client["user_agent"].(string); strings.HasPrefix(agent, "go-nsq/") {
					client["user_agent"] = "go-nsq"
				}
				text, err := json.Marshal(client)
				must(t, err)
				all = append(all, string(text))
			}
		}
	}
	return all
}

// A lookup is a request of a consumer.
type lookups struct {
	mu  sync.Mutex
	all []string
}

func (l *lookups) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, fmt.Sprintf("%s %s accept %q authorization %q", r.Method, r.URL, r.Header.Get("Accept"), r.Header.Get("Authorization")))
	http.Error(w, `{"message":"TOPIC_NOT_FOUND"}`, http.StatusNotFound)
}

// How an nsqlookupd is asked.
func TestLookupRequests(t *testing.T) {
	const accept = `accept "application/vnd.nsq; version=1.0"`
	for _, c := range []struct {
		name, suffix, want string
		options            map[string]any
	}{
		{"address", "", "GET /lookup?topic=t " + accept + ` authorization ""`, nil},
		{"path and query", "/other/path?a=b", "GET /other/path?a=b&topic=t " + accept + ` authorization ""`, nil},
		{"secret", "/", "GET /lookup?topic=t " + accept + ` authorization "Bearer s3cret"`, map[string]any{"auth_secret": "s3cret"}},
		{"secret kept", "/lookup", "GET /lookup?topic=t " + accept + ` authorization ""`, map[string]any{"auth_secret": "s3cret", "skip_lookupd_authorization": false}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBoth(t, c.want, func(s *scenario) {
				asked := &lookups{}
				server := httptest.NewServer(asked)
				defer server.Close()
				r := s.newConsumer("t", c.options, interop.Handler{Handle: func(interop.Message) error { return nil }})
				addr := server.URL + c.suffix
				if c.suffix == "" {
					addr = strings.TrimPrefix(server.URL, "http://")
				}
				must(s, r.ConnectToNSQLookupd(addr))
				must(s, r.ConnectToNSQLookupd(addr)) // again is no error
				s.note("%s", strings.Join(asked.first(), "\n"))
				if err := r.DisconnectFromNSQLookupd(addr); err == nil {
					s.Error("the last nsqlookupd was taken away")
				}
			})
		})
	}
}

func (l *lookups) first() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all[:min(1, len(l.all))])
}

// A filter is given what was found, and its answer counts.
func TestDiscoveryFilter(t *testing.T) {
	inBoth(t, "2 found, 1 connection", func(s *scenario) {
		addrs := []string{nsqtest.Start(s, nil).TCPAddr(), nsqtest.Start(s, nil).TCPAddr()}
		slices.Sort(addrs)
		lookupd := nsqtest.StartFakeLookupd(s, addrs...)
		var found int
		r, err := s.consumer.NewConsumer("t", "ch", interop.Setup{Filter: func(all []string) []string {
			slices.Sort(all)
			if !slices.Equal(all, addrs) {
				s.Errorf("found %q", all)
			}
			found = len(all)
			return all[:1]
		}}, interop.Handler{Handle: func(interop.Message) error { return nil }}, 1)
		must(s, err)
		s.Cleanup(func() { s.stop(r) })
		must(s, r.ConnectToNSQLookupds([]string{lookupd.URL}))
		s.note("%d found, %d connection", found, r.Stats().Connections)
	})
}
