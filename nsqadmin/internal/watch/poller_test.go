package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
	"github.com/seed893f581e/nsq/internal/history"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/stats"
)

// A bubble is a cluster and a poller of it inside synctest: no network, and a
// clock that stands still unless everybody waits.
type bubble struct {
	t      *testing.T
	poller *Poller
	stop   func() // ends the poller and waits for it

	mu       sync.Mutex // all below
	asked    map[string][]time.Time
	down     map[string]bool // refuses connections
	hangs    map[string]bool
	stats    map[string]*stats.Stats
	lists    map[string][]string // nsqds by nsqlookupd
	lookupds []string            // of the configuration
}

func startBubble(t *testing.T, lists map[string][]string) *bubble {
	b := &bubble{
		t: t, lists: lists,
		asked: make(map[string][]time.Time), down: make(map[string]bool), hangs: make(map[string]bool),
		stats: make(map[string]*stats.Stats),
	}
	for l := range lists {
		b.lookupds = append(b.lookupds, l)
	}
	listener := nsqtest.NewPipeListener()
	server := &http.Server{Handler: b}
	var serving sync.WaitGroup
	serving.Go(func() { server.Serve(listener) })
	client := cluster.NewClient(cluster.Config{
		Dial: func(ctx context.Context, _, address string) (net.Conn, error) {
			if b.is(b.down, address) {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
			}
			return listener.TryDial(ctx)
		},
		RequestTimeout: 5 * time.Second, MaxAnswer: 1 << 20, ConnsPerDaemon: 2,
	})
	b.poller = NewPoller(client, slog.New(slog.DiscardHandler), nil, func() []string {
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.Clone(b.lookupds)
	})
	ctx, cancel := context.WithCancel(t.Context())
	b.stop = sync.OnceFunc(func() {
		cancel()
		<-b.poller.stopped
	})
	go b.poller.Run(ctx)
	t.Cleanup(func() {
		b.stop()
		client.Close()
		server.Close()
		serving.Wait()
	})
	return b
}

func (b *bubble) is(set map[string]bool, address string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return set[address]
}

func (b *bubble) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// times returns when a daemon was asked since, and forgets it.
func (b *bubble) times(address string) []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	times := b.asked[address]
	delete(b.asked, address)
	return times
}

func (b *bubble) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.is(b.down, r.Host) {
		panic(http.ErrAbortHandler) // a connection from before
	}
	b.mu.Lock()
	hangs := b.hangs[r.Host]
	if r.URL.Path == "/stats" || r.URL.Path == "/nodes" {
		b.asked[r.Host] = append(b.asked[r.Host], time.Now())
	}
	answer := b.answerLocked(r)
	b.mu.Unlock()
	if hangs {
		<-r.Context().Done()
		return
	}
	w.Header().Set("X-NSQ-Content-Type", "nsq; version=1.0")
	json.NewEncoder(w).Encode(answer)
}

func (b *bubble) answerLocked(r *http.Request) any {
	switch r.URL.Path {
	case "/stats":
		if s := b.stats[r.Host]; s != nil {
			return s
		}
		return nodeStats(1)
	case "/nodes":
		var producers []cluster.Producer
		for _, address := range b.lists[r.Host] {
			host, port, _ := net.SplitHostPort(address)
			n, _ := strconv.Atoi(port)
			producers = append(producers, cluster.Producer{Hostname: host, BroadcastAddress: host, HTTPPort: n, RemoteAddress: address})
		}
		return map[string]any{"producers": producers}
	case "/topics":
		return map[string]any{"topics": []string{}}
	}
	return map[string]any{"version": "1.3.0"}
}

// node returns what the latest view says of one, without watching.
func (b *bubble) node(address string) *NodeState {
	b.t.Helper()
	n, ok := b.poller.view.Load().Node(address)
	if !ok {
		b.t.Fatalf("after %v the view has no node %s", time.Since(b.poller.start), address)
	}
	return n
}

func TestPollsKeepTheirPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBubble(t, map[string][]string{"l:1": {"n:1"}})
		<-time.After(5 * time.Second)
		b.times("n:1")
		<-time.After(time.Minute)
		if n := len(b.times("n:1")); n != 6 {
			t.Errorf("asked %d times within a minute in which nobody watched, want 6", n)
		}
		b.poller.View()
		<-time.After(25 * time.Second)
		if n := len(b.times("n:1")); n < 11 || n > 14 {
			t.Errorf("asked %d times within 25 s in which somebody watched, want every 2 s", n)
		}
		<-time.After(20 * time.Second)
		b.times("n:1")
		<-time.After(time.Minute)
		if n := len(b.times("n:1")); n != 6 {
			t.Errorf("asked %d times within a minute in which nobody watched any more, want 6", n)
		}
	})
}

// Who comes to watch gets fresh numbers soon.
func TestFirstLookWakesThePoller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBubble(t, map[string][]string{"l:1": {"n:1"}})
		b.poller.View()
		if at := time.Since(b.poller.start); at > firstView {
			t.Errorf("the first view came after %v", at)
		}
		if n := b.node("n:1"); n.Stats == nil {
			t.Error("the first view is without what the node said")
		}
		<-time.After(2 * time.Minute)
		b.poller.View()
		<-time.After(3 * time.Second)
		if v := b.poller.View(); time.Since(v.At) > 3*time.Second {
			t.Errorf("3 s after somebody came to watch, the view is %v old", time.Since(v.At))
		}
	})
}

func TestManyAreNotAskedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var nodes []string
		for i := range 50 {
			nodes = append(nodes, fmt.Sprintf("n:%d", i+1))
		}
		b := startBubble(t, map[string][]string{"l:1": nodes})
		<-time.After(15 * time.Second)
		moments := make(map[time.Time]int)
		for _, n := range nodes {
			times := b.times(n)
			moments[times[len(times)-1]]++
		}
		if len(moments) < 45 {
			t.Errorf("50 nodes were asked at %d moments", len(moments))
		}
	})
}

// A node that hangs, one that is down, and their return.
func TestOneThatHangsHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBubble(t, map[string][]string{"l:1": {"a:1", "b:1", "c:1"}})
		<-time.After(3 * time.Second)
		b.set(func() { b.hangs["b:1"], b.down["c:1"] = true, true })
		b.set(func() { b.stats["b:1"] = nodeStats(1, topicStats("t", 1)) })
		for range 20 {
			b.poller.View()
			<-time.After(time.Second)
		}
		if n := len(b.times("a:1")); n < 8 {
			t.Errorf("the node that is well was asked %d times within 20 s, want every 2 s", n)
		}
		if n := b.node("a:1"); n.Err != nil || time.Since(n.Answered) > 4*time.Second {
			t.Errorf("the node that is well: %v, answered %v ago", n.Err, time.Since(n.Answered))
		}
		for _, address := range []string{"b:1", "c:1"} {
			if n := b.node(address); n.Err == nil || n.Stats == nil || time.Since(n.Answered) < 15*time.Second {
				t.Errorf("%s: %v, answered %v ago", address, n.Err, time.Since(n.Answered))
			}
		}
		b.set(func() { clear(b.hangs); clear(b.down) })
		<-time.After(12 * time.Second)
		for _, address := range []string{"b:1", "c:1"} {
			if n := b.node(address); n.Err != nil {
				t.Errorf("%s came back: %v", address, n.Err)
			}
		}
		if n := b.node("b:1"); len(n.Stats.Topics) != 1 {
			t.Errorf("b:1 came back with %d topics", len(n.Stats.Topics))
		}
	})
}

// The numbers of a node that does not answer count a little longer, and no more.
func TestOldNumbersDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBubble(t, map[string][]string{"l:1": {"a:1"}})
		b.set(func() { b.stats["a:1"] = nodeStats(1, topicStats("t", 9, channelStats("c", 9, 0, 9, 0, 0))) })
		<-time.After(15 * time.Second)
		if d := b.poller.view.Load().Totals.Depth; d != 9 {
			t.Fatalf("depth %d, want 9", d)
		}
		b.set(func() { b.down["a:1"] = true })
		<-time.After(15 * time.Second)
		if d := b.poller.view.Load().Totals.Depth; d != 9 {
			t.Errorf("depth %d soon after the node went, want 9", d)
		}
		<-time.After(staleAfter + idlePace)
		v := b.poller.view.Load()
		if v.Totals.Depth != 0 || len(v.Topics) != 0 {
			t.Errorf("depth %d of topics %q later, want none", v.Totals.Depth, v.Topics)
		}
		depth := v.Series(history.Key{Topic: "t"}).Depth
		if i := slices.Index(depth, 9); i < 0 || depth[len(depth)-1] == 9 {
			t.Error("the history has lost the topic, or has it still")
		}
	})
}

// A node that is no longer registered is asked and shown for an hour.
func TestMissingNodesAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBubble(t, map[string][]string{"l:1": {"a:1", "b:1"}, "l:2": {"a:1", "b:1"}})
		<-time.After(15 * time.Second)
		if n := b.node("a:1"); n.Missing || len(n.RemoteAddresses) != 2 {
			t.Errorf("a node that is registered twice: %+v", n.Node)
		}
		b.set(func() { b.lists["l:1"] = []string{"b:1"} })
		<-time.After(15 * time.Second)
		if n := b.node("a:1"); n.Missing || len(n.RemoteAddresses) != 1 {
			t.Errorf("a node that one nsqlookupd has forgotten is missing: %v, %q", n.Missing, n.RemoteAddresses)
		}
		b.set(func() { b.lists["l:2"] = []string{"b:1"} })
		<-time.After(15 * time.Second)
		b.times("a:1")
		<-time.After(50 * time.Minute)
		if n := b.node("a:1"); !n.Missing || time.Since(n.Registered) < 50*time.Minute || len(b.times("a:1")) < 250 {
			t.Errorf("after 50 minutes it is missing: %v, registered %v ago", n.Missing, time.Since(n.Registered))
		}
		<-time.After(11 * time.Minute)
		if _, ok := b.poller.view.Load().Node("a:1"); ok {
			t.Error("after more than an hour it is still there")
		}
		b.times("a:1")
		<-time.After(time.Minute)
		if n := len(b.times("a:1")); n > 0 {
			t.Errorf("after more than an hour it was asked %d times", n)
		}
		b.set(func() { b.lists["l:2"] = []string{"a:1", "b:1"} })
		<-time.After(15 * time.Second)
		if n := b.node("a:1"); n.Missing {
			t.Error("it came back, and is missing")
		}
	})
}

// Nodes do not go with the nsqlookupd that knows them.
func TestSilentLookupdForgetsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBubble(t, map[string][]string{"l:1": {"a:1"}})
		<-time.After(3 * time.Second)
		b.set(func() { b.down["l:1"] = true })
		<-time.After(2 * time.Hour)
		v := b.poller.view.Load()
		if v.Lookupds[0].Err == nil || v.Lookupds[0].Nodes != 1 {
			t.Errorf("nsqlookupd: %+v", v.Lookupds[0])
		}
		if n := b.node("a:1"); n.Missing || n.Err != nil {
			t.Errorf("node: missing %v, %v", n.Missing, n.Err)
		}
	})
}

// The list of nsqlookupds changes while the poller runs.
func TestLookupdsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBubble(t, map[string][]string{"l:1": {"a:1"}, "l:2": {"b:1"}})
		b.set(func() { b.lookupds = []string{"l:1"} })
		<-time.After(15 * time.Second)
		b.times("l:2")
		b.set(func() { b.lookupds = []string{"l:2"} })
		b.poller.Stir()
		<-time.After(12 * time.Second)
		v := b.poller.view.Load()
		if len(v.Lookupds) != 1 || v.Lookupds[0].Address != "l:2" || b.node("b:1").Missing || !b.node("a:1").Missing {
			t.Errorf("nsqlookupds %+v", v.Lookupds)
		}
		b.times("l:1")
		<-time.After(time.Minute)
		if n := len(b.times("l:1")); n > 0 {
			t.Errorf("the nsqlookupd that was taken out was asked %d times", n)
		}
	})
}

// A stop ends everything at once, whoever hangs, also who waits in View and
// Refresh.
func TestStopWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBubble(t, map[string][]string{"l:1": {"a:1", "b:1"}})
		<-time.After(3 * time.Second)
		b.set(func() { b.hangs["a:1"], b.hangs["l:1"] = true, true })
		var waiting sync.WaitGroup
		waiting.Go(func() { b.poller.Refresh(t.Context()) })
		synctest.Wait()
		began := time.Now()
		b.stop()
		waiting.Wait()
		b.poller.Refresh(t.Context())
		b.poller.View()
		if took := time.Since(began); took > 0 {
			t.Errorf("the stop took %v", took)
		}
	})
}

// A Refresh that comes while a daemon is being asked is not content with that
// answer: it may be older than what it is to see.
func TestRefreshAsksAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := startBubble(t, map[string][]string{"l:1": {"a:1"}})
		<-time.After(3 * time.Second)
		b.set(func() { b.hangs["a:1"] = true })
		go b.poller.Refresh(t.Context(), "a:1")
		synctest.Wait() // it is being asked, in vain
		b.set(func() { b.hangs["a:1"] = false })
		b.times("a:1")
		b.poller.Refresh(t.Context(), "a:1")
		if n := b.node("a:1"); n.Err != nil || len(b.times("a:1")) == 0 {
			t.Errorf("a question that was asked before was enough: %v", n.Err)
		}
	})
}
