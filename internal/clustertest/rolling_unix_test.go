//go:build unix

package clustertest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsq"
)

// What a rolling restart goes through: the time for a drain is less than that which
// an orchestrator leaves a container to stop.
const (
	drainOnTerm = 5 * time.Second
	farOff      = drainOnTerm + time.Second // a deferral that no drain waits for
	rolling     = 20 * time.Second          // what all of it may take
)

// channels are those of each topic of the test.
var channels = map[string][]string{
	"orders": {"billing", "audit"},
	"events": {"archive"},
	"mail":   {"send"},
	"far":    {"late"},
}

// A ledger knows what was published, and which channel has got what.
type ledger struct {
	next atomic.Int64

	mu        sync.Mutex                 // what follows
	published map[string]map[string]bool // ids by topic
	received  map[string]map[string]int  // by topic/channel, how often
	errors    []error                    // of publishing
}

func newLedger() *ledger {
	l := &ledger{published: make(map[string]map[string]bool), received: make(map[string]map[string]int)}
	for topic, names := range channels {
		l.published[topic] = make(map[string]bool)
		for _, name := range names {
			l.received[topic+"/"+name] = make(map[string]int)
		}
	}
	return l
}

func (l *ledger) newID() string { return fmt.Sprint(l.next.Add(1)) }

func (l *ledger) publish(topic string, publish func(ids ...string) error, ids ...string) {
	err := publish(ids...)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.errors = append(l.errors, err)
		return
	}
	for _, id := range ids {
		l.published[topic][id] = true
	}
}

// got takes a delivery and reports whether it is the first on that channel.
func (l *ledger) got(channel, id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.received[channel][id]++
	return l.received[channel][id] == 1
}

// missing returns how many messages have not reached every channel, and how many
// came more than once though nobody requeued them.
func (l *ledger) missing() (missing, again, all int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for topic, names := range channels {
		for _, name := range names {
			for id := range l.published[topic] {
				all++
				switch n := l.received[topic+"/"+name][id]; {
				case n == 0:
					missing++
				case n > 1 && !isRequeued(id):
					again++
				}
			}
		}
	}
	return missing, again, all
}

// isRequeued picks the messages that a consumer requeues once.
func isRequeued(id string) bool { return strings.HasSuffix(id, "7") }

// consume has every message of a channel noted, and some of them requeued before.
func (l *ledger) consume(t *testing.T, topic, channel string, lookupds []node) {
	t.Helper()
	config := nsq.NewConfig()
	config.MaxInFlight = 30
	c, err := nsq.NewConsumer(topic, channel, config)
	if err != nil {
		t.Fatal(err)
	}
	c.SetLogger(nil, nsq.LogLevelMax)
	c.AddConcurrentHandlers(nsq.HandlerFunc(func(m *nsq.Message) error {
		id := string(m.Body)
		if l.got(topic+"/"+channel, id) && isRequeued(id) {
			m.RequeueWithoutBackoff(20 * time.Millisecond)
		}
		return nil
	}), 4)
	if err := c.ConnectToNSQLookupds(httpAddresses(lookupds)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Stop()
		<-c.StopChan
	})
}

func httpAddresses(nodes []node) (list []string) {
	for _, n := range nodes {
		list = append(list, strings.TrimPrefix(n.http(), "http://"))
	}
	return list
}

// produce publishes until ctx ends, in every way there is.
func (l *ledger) produce(ctx context.Context, p *nsq.MultiProducer) {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		switch i % 4 {
		case 0:
			l.publish("orders", func(ids ...string) error { return p.Publish("orders", []byte(ids[0])) }, l.newID())
		case 1:
			l.publish("events", func(ids ...string) error {
				var bodies [][]byte
				for _, id := range ids {
					bodies = append(bodies, []byte(id))
				}
				return p.MultiPublish("events", bodies)
			}, l.newID(), l.newID(), l.newID())
		case 2:
			l.publish("mail", func(ids ...string) error {
				return p.DeferredPublish("mail", 150*time.Millisecond, []byte(ids[0]))
			}, l.newID())
		case 3:
			l.publish("mail", func(ids ...string) error {
				done := make(chan *nsq.ProducerTransaction, 1)
				if err := p.PublishAsync("mail", []byte(ids[0]), done); err != nil {
					return err
				}
				return (<-done).Error
			}, l.newID())
		}
	}
}

// isReady asks as an orchestrator does.
func isReady(n node) bool {
	status, _ := request("GET", n.http()+"/health/ready", "")
	return status == http.StatusOK
}

// restart does what an orchestrator does with one container of a StatefulSet.
// Meanwhile a consumer takes its time for one message.
func restart(t *testing.T, n *process, held string) {
	t.Helper()
	busy, finish := hold(t, n, held)
	<-busy
	n.Signal(syscall.SIGTERM)
	nsqtest.Eventually(t, "it is not ready any more", func() bool { return !isReady(n) })
	status, answer := request("GET", n.http()+"/health/ready", "")
	if status != http.StatusServiceUnavailable || !strings.HasPrefix(answer, "draining") {
		t.Errorf("while it drains, /health/ready answers %d %s", status, answer)
	}
	if status, answer := request("GET", n.http()+"/health/live", ""); status != http.StatusOK {
		t.Errorf("while it drains, /health/live answers %d %s", status, answer)
	}
	if status, answer := request("POST", n.http()+"/pub?topic=orders", "lost"); status != http.StatusServiceUnavailable || !strings.Contains(answer, "DRAINING") {
		t.Errorf("while it drains, /pub answers %d %s", status, answer)
	}
	close(finish)
	if r := n.End(); r.Code != 0 || !strings.Contains(r.Stderr, "DRAIN: drained after=") {
		t.Errorf("%s ended with exit code %d, and was not drained", n.tcp(), r.Code)
	}
	n.start()
	nsqtest.Eventually(t, "it is ready again", func() bool { return isReady(n) })
}

// hold has a consumer of one broker work on a message until finish is closed. A drain waits for
// it: the topic's messages are in memory, where those of the others are kept, and come again.
func hold(t *testing.T, n *process, topic string) (busy <-chan struct{}, finish chan struct{}) {
	t.Helper()
	post(t, n.http()+"/topic/create?durability=memory&topic="+topic, "")
	working, finish := make(chan struct{}), make(chan struct{})
	c, err := nsq.NewConsumer(topic, "c", nsq.NewConfig())
	if err != nil {
		t.Fatal(err)
	}
	c.SetLogger(nil, nsq.LogLevelMax)
	c.AddHandler(nsq.HandlerFunc(func(*nsq.Message) error {
		close(working)
		<-finish
		return nil
	}))
	if err := c.ConnectToNSQD(n.tcp()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Stop()
		<-c.StopChan
	})
	publish(t, n, topic, "x")
	return working, finish
}

// Every broker and every nsqlookupd is restarted in its turn, as an orchestrator does
// it, under load: no message is lost, and no publisher gets an error.
func TestRollingRestart(t *testing.T) {
	var lookupds, brokers []node
	for range 2 {
		lookupds = append(lookupds, newProcess(t, "nsqlookupd", lookupdArguments(t)...))
	}
	for range 3 {
		brokers = append(brokers, newProcess(t, "nsqd", nsqdArguments(t, lookupds)...))
	}
	l := newLedger()
	for topic, names := range channels {
		for _, name := range names {
			for _, b := range brokers {
				post(t, b.http()+"/topic/create?topic="+topic, "")
				post(t, b.http()+"/channel/create?topic="+topic+"&channel="+name, "")
			}
			l.consume(t, topic, name, lookupds)
		}
	}
	config := nsq.NewConfig()
	p, err := nsq.NewMultiProducer(addressesOf(brokers), config)
	if err != nil {
		t.Fatal(err)
	}
	p.SetLogger(nil, nsq.LogLevelMax)
	defer p.Stop()

	ctx, stop := context.WithCancel(t.Context())
	var producing sync.WaitGroup
	defer producing.Wait()
	defer stop()
	for range 4 {
		producing.Go(func() { l.produce(ctx, p) })
	}
	nsqtest.Eventually(t, "messages flow", func() bool { return l.next.Load() > 500 })
	begin := time.Now()
	for i, n := range brokers {
		for range 20 { // they stay in this broker
			l.publish("far", func(ids ...string) error {
				status, answer := request("POST", fmt.Sprintf("%s/pub?topic=far&defer=%d", n.http(), farOff.Milliseconds()), ids[0])
				if status != http.StatusOK {
					return fmt.Errorf("%d %s", status, answer)
				}
				return nil
			}, l.newID())
		}
		restart(t, n.(*process), fmt.Sprint("held", i))
		t.Logf("broker %d is restarted after %s, %d messages published", i, time.Since(begin).Round(time.Millisecond), l.next.Load())
	}
	for _, n := range lookupds {
		n.stop()
		n.start()
		nsqtest.Eventually(t, "it is ready again", func() bool { return isReady(n) })
	}
	stop()
	producing.Wait()
	nsqtest.Eventually(t, "every message has come", func() bool { missing, _, _ := l.missing(); return missing == 0 })
	within(t, "all restarts, and the last message", begin, rolling)

	missing, again, all := l.missing()
	t.Logf("%d messages, %d deliveries; %d are missing, %d came again", l.next.Load(), all, missing, again)
	if len(l.errors) > 0 {
		t.Errorf("%d publishes failed: %v", len(l.errors), slices.Compact(l.errors))
	}
}

// chartArguments returns the arguments that the Helm chart gives a daemon, with those
// addresses and paths that only a cluster has replaced by ours: each flag by what
// ours has for it.
func chartArguments(t *testing.T, daemon string, ours map[string][]string) (args []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(nsqtest.Root(), "contrib", "deploy", "testdata", "arguments.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rendered map[string][]string
	if err := json.Unmarshal(text, &rendered); err != nil {
		t.Fatal(err)
	}
	for _, arg := range rendered[daemon] {
		flag, _, _ := strings.Cut(arg, "=")
		values, ok := ours[flag]
		if !ok {
			t.Fatalf("the chart gives %s %s, for which this test has no value", daemon, arg)
		}
		ours[flag] = nil // one for several
		for _, value := range values {
			args = append(args, flag+"="+value)
		}
	}
	if len(args) == 0 {
		t.Fatalf("the chart gives %s no arguments", daemon)
	}
	return args
}

func nsqdArguments(t *testing.T, lookupds []node) []string {
	args := chartArguments(t, "nsqd", map[string][]string{
		"--broadcast-address":   {"127.0.0.1"},
		"--lookupd-tcp-address": addressesOf(lookupds),
		"--data-path":           {t.TempDir()},
		"--durability":          {"disk"},
		"--drain-on-term":       {drainOnTerm.String()}, // less than the chart's, so that what no drain waits for is soon due
	})
	return append(args, "--https-address=")
}

func lookupdArguments(t *testing.T) []string {
	return chartArguments(t, "nsqlookupd", map[string][]string{"--broadcast-address": {"127.0.0.1"}})
}
