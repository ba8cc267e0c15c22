package clustertest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// A node is a daemon that may be stopped and started again, with the same
// addresses and the same data.
type node interface {
	tcp() string  // address
	http() string // URL, without a slash at the end
	stop()        // as an operator does it
	start()
}

// A cluster makes nodes; there is one inside this process, and one of real
// processes.
type cluster interface {
	lookupd(t *testing.T) node
	nsqd(t *testing.T, lookupds ...node) node
}

// onEveryCluster runs a test on both kinds of clusters.
func onEveryCluster(t *testing.T, test func(t *testing.T, c cluster)) {
	t.Run("in one process", func(t *testing.T) { test(t, inProcess{}) })
	t.Run("as processes", func(t *testing.T) { test(t, processes{}) })
}

// addressesOf returns the TCP addresses of nodes.
func addressesOf(nodes []node) (list []string) {
	for _, n := range nodes {
		list = append(list, n.tcp())
	}
	return list
}

// client asks the daemons. A test with one that hangs must not.
var client = &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// request returns the answer's body; status is 0 where there is no answer.
func request(method, url, body string) (status int, answer string) {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	resp, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(data)
}

// post does what must succeed.
func post(t *testing.T, url, body string) {
	t.Helper()
	if status, answer := request("POST", url, body); status != http.StatusOK {
		t.Fatalf("POST %s answered %d %s", url, status, answer)
	}
}

func publish(t *testing.T, n node, topic, body string) {
	t.Helper()
	post(t, n.http()+"/pub?topic="+topic, body)
}

// known is what an nsqlookupd says of a topic, in a form to compare: where it is,
// its channels, and "no such topic" where it does not know it.
func known(lookupd node, topic string) string {
	status, answer := request("GET", lookupd.http()+"/lookup?topic="+topic, "")
	switch {
	case status == http.StatusNotFound && strings.Contains(answer, "TOPIC_NOT_FOUND"):
		return "no such topic"
	case status != http.StatusOK:
		return fmt.Sprintf("%d %s", status, answer)
	}
	var l struct {
		Channels  []string
		Producers []struct {
			BroadcastAddress string `json:"broadcast_address"`
			TCPPort          int    `json:"tcp_port"`
		}
	}
	if err := json.Unmarshal([]byte(answer), &l); err != nil {
		return err.Error()
	}
	var at []string
	for _, p := range l.Producers {
		at = append(at, net.JoinHostPort(p.BroadcastAddress, strconv.Itoa(p.TCPPort)))
	}
	return describe(at, l.Channels)
}

func describe(at, channels []string) string {
	slices.Sort(at)
	slices.Sort(channels)
	return fmt.Sprintf("at %v, channels %v", at, channels)
}

// at is what known returns for a topic on these nsqds.
func at(channels []string, nsqds ...node) string {
	return describe(addressesOf(nsqds), slices.Clone(channels))
}

// everywhere waits until all nsqlookupds say the same of a topic.
func everywhere(t *testing.T, lookupds []node, topic, want string) {
	t.Helper()
	for _, l := range lookupds {
		got := ""
		defer func() {
			if t.Failed() {
				t.Logf("%s says %q of topic %s", l.http(), got, topic)
			}
		}()
		nsqtest.Eventually(t, fmt.Sprintf("an nsqlookupd says of topic %s: %s", topic, want), func() bool {
			got = known(l, topic)
			return got == want
		})
	}
}

// within fails the test if what began then has lasted too long, and logs how
// long it was.
func within(t *testing.T, what string, since time.Time, limit time.Duration) {
	t.Helper()
	took := time.Since(since)
	t.Logf("%s: %s", what, took.Round(time.Millisecond))
	if took > limit {
		t.Errorf("%s took %s, want at most %s", what, took, limit)
	}
}
