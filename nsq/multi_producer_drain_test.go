package nsq

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/stats"
)

// An nsqd that drains gets no messages, its refusals are no errors of the calls, and
// it gets its share again when it does not drain any more.
func TestMultiProducerAndAnNSQDThatDrains(t *testing.T) {
	brokers := []*nsqtest.NSQD{nsqtest.Start(t, nil), nsqtest.Start(t, nil)}
	addrs := []string{brokers[0].TCPAddr(), brokers[1].TCPAddr()}
	p := newTestMulti(t, addrs, nil)
	calls := []func(body []byte) error{
		func(body []byte) error { return p.Publish("t", body) },
		func(body []byte) error { return p.MultiPublish("t", [][]byte{body, body}) },
		func(body []byte) error { return p.DeferredPublish("t", time.Minute, body) },
		func(body []byte) error {
			done := make(chan *ProducerTransaction, 1)
			if err := p.PublishAsync("t", body, done); err != nil {
				return err
			}
			return (<-done).Error
		},
	}
	for name, publish := range map[string]func([]byte) error{"one": calls[0], "several": calls[1], "deferred": calls[2], "async": calls[3]} {
		t.Run(name, func(t *testing.T) {
			const publishers = 8
			stop, count := startPublishers(t, publishers, publish)
			p.connectedTo(t, addrs...)
			atLeast(t, count, 100)
			brokers[0].StartDrain()
			has := received(brokers[0])
			atLeast(t, count, 1000)
			const underWay = 2 * publishers // two in each MPUB
			now := received(brokers[0])
			if now > has+underWay {
				t.Errorf("it has taken %d messages while it drained, at most %d were under way", now-has, underWay)
			}
			request(t, http.MethodDelete, brokers[0].HTTPURL()+"/drain")
			nsqtest.Eventually(t, "it gets messages again", func() bool { return received(brokers[0]) > now })
			_, slowest := stop()
			t.Logf("%d calls, the slowest took %v", count.Load(), slowest)
		})
	}

	brokers[0].StartDrain()
	brokers[1].StartDrain()
	for i, publish := range calls {
		if err := publish([]byte("x")); !errors.Is(err, ErrDraining) {
			t.Errorf("call %d, when all of them drain: %v", i, err)
		}
	}
}

// received returns how many messages a broker took for topic t.
func received(n *nsqtest.NSQD) (messages uint64) {
	resp, err := http.Get(n.HTTPURL() + "/stats?format=json&topic=t")
	if err != nil {
		n.TB.Fatal(err)
	}
	defer resp.Body.Close()
	var s stats.Stats
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		n.TB.Fatal(err)
	}
	for _, topic := range s.Topics {
		messages += topic.Messages
	}
	return messages
}

func request(t *testing.T, method, url string) {
	t.Helper()
	r, err := http.NewRequest(method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("%s %s: %s", method, url, resp.Status)
	}
}
