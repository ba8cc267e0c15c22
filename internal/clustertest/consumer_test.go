package clustertest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/nsq"
)

// received is what a consumer got.
type received struct {
	mu     sync.Mutex // bodies
	bodies map[string]bool
}

func (r *received) has(body string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bodies[body]
}

// missing returns how many of the messages did not arrive, and one of them.
func (r *received) missing(messages []string) (n int, example string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range messages {
		if !r.bodies[m] {
			n++
			example = m
		}
	}
	return n, example
}

// consume starts a consumer that finds its brokers by these nsqlookupds.
func consume(t *testing.T, topic string, lookupds ...node) *received {
	t.Helper()
	r := &received{bodies: map[string]bool{}}
	config := nsq.NewConfig()
	config.MaxInFlight = 50
	config.LookupdPollInterval = 30 * time.Second // what is found earlier was not found by polling
	consumer, err := nsq.NewConsumer(topic, "c", config)
	if err != nil {
		t.Fatal(err)
	}
	consumer.SetLoggerLevel(nsq.LogLevelError)
	consumer.AddHandler(nsq.HandlerFunc(func(m *nsq.Message) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.bodies[string(m.Body)] = true
		return nil
	}))
	var addresses []string
	for _, l := range lookupds {
		addresses = append(addresses, strings.TrimPrefix(l.http(), "http://"))
	}
	if err := consumer.ConnectToNSQLookupds(addresses); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		consumer.Stop()
		<-consumer.StopChan
	})
	return r
}

// A topic that did not exist, and then one more producer of it, are consumed
// right after they appear.
func TestNewProducersAreConsumedAtOnce(t *testing.T) {
	onEveryCluster(t, func(t *testing.T, c cluster) {
		lookupds := []node{c.lookupd(t), c.lookupd(t)}
		a, b := c.nsqd(t, lookupds...), c.nsqd(t, lookupds...)
		for _, n := range []node{a, b} { // that they are connected is not part of this
			publish(t, n, "warm", "up")
		}
		everywhere(t, lookupds, "warm", at(nil, a, b))
		got := consume(t, "t", lookupds...)
		for i, n := range []node{a, b} {
			body := fmt.Sprint("from broker ", i)
			begin := time.Now()
			publish(t, n, "t", body)
			nsqtest.Eventually(t, "the consumer gets "+body, func() bool { return got.has(body) })
			within(t, "a new producer is consumed after", begin, 5*time.Second)
		}
	})
}

// A publisher publishes numbered messages to one broker for as long as it is
// told to, and keeps those that were acknowledged.
type publisher struct {
	name         string
	acknowledged []string
}

func (p *publisher) run(ctx context.Context, url string) {
	for i := 0; ctx.Err() == nil; i++ {
		body := fmt.Sprintf("%s %d", p.name, i)
		if status, _ := request("POST", url+"/pub?topic=t", body); status == http.StatusOK {
			p.acknowledged = append(p.acknowledged, body)
		}
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// While brokers and nsqlookupds come and go, a consumer gets everything that was
// acknowledged.
func TestNothingIsLostWhileNodesComeAndGo(t *testing.T) {
	onEveryCluster(t, func(t *testing.T, c cluster) {
		lookupds := []node{c.lookupd(t), c.lookupd(t)}
		brokers := []node{c.nsqd(t, lookupds...), c.nsqd(t, lookupds...)}
		got := consume(t, "t", lookupds...)

		ctx, stop := context.WithCancel(t.Context())
		var publishing sync.WaitGroup
		defer publishing.Wait()
		defer stop()
		publishers := []*publisher{{name: "a"}, {name: "b"}}
		for i, p := range publishers {
			publishing.Go(func() { p.run(ctx, brokers[i].http()) })
		}
		arrives := func(n node) { // what is published now
			t.Helper()
			body := fmt.Sprint("now ", time.Now().UnixNano())
			publish(t, n, "t", body)
			nsqtest.Eventually(t, "the consumer gets what is published", func() bool { return got.has(body) })
		}
		for range 2 {
			for i := range lookupds {
				lookupds[i].stop()
				arrives(brokers[0])
				brokers[1].stop() // what it has and the consumer has not comes after its start
				arrives(brokers[0])
				brokers[1].start()
				arrives(brokers[1])
				lookupds[i].start()
				brokers[0].stop()
				brokers[0].start()
				arrives(brokers[0])
			}
		}
		late := c.nsqd(t, lookupds...)
		arrives(late)
		late.stop()

		stop()
		publishing.Wait()
		for _, p := range publishers {
			nsqtest.Eventually(t, "everything that was acknowledged arrived", func() bool {
				n, _ := got.missing(p.acknowledged)
				return n == 0
			})
			n, example := got.missing(p.acknowledged)
			t.Logf("publisher %s: %d messages acknowledged, %d missing", p.name, len(p.acknowledged), n)
			if n > 0 {
				t.Errorf("%q is missing", example)
			}
			if len(p.acknowledged) == 0 {
				t.Error("nothing was acknowledged")
			}
		}
	})
}
