package nsq

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// A topic that does not exist yet, and each nsqd that has it later, is consumed as
// soon as nsqlookupd knows of it.
func TestNewProducersAreConsumedAtOnce(t *testing.T) {
	const limit = 100 * time.Millisecond
	var nsqds []string
	for i := range 5 {
		addr := nsqtest.Start(t, nil).TCPAddr()
		if err := newTestProducer(t, addr, nil).Publish("t", fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		nsqds = append(nsqds, addr)
	}
	f := startFakeLookupd(t)
	f.set(func(f *fakeLookupd) { f.known = false })
	bodies := make(chan string, 10)
	r := newTestConsumer(t, func(c *Config) { c.MaxInFlight = 10 })
	r.AddHandler(HandlerFunc(func(m *Message) error { bodies <- string(m.Body); return nil }))
	mustConnect(t, r, f.url)
	eventually(t, "a watch", func() bool { return len(f.asked("/watch")) == 1 })

	var took []time.Duration
	for i := range nsqds {
		start := time.Now()
		f.list(nsqds[:i+1]...)
		if got := receive(t, "the message", bodies); got != fmt.Sprint(i) {
			t.Errorf("got %q, want %d", got, i)
		}
		took = append(took, time.Since(start))
	}
	t.Logf("from being listed to the handler: %v", took)
	// A machine that is busy with other things may be late once.
	slices.Sort(took)
	if took[len(took)/2] > limit {
		t.Errorf("messages came after %v, want less than %v", took, limit)
	}
}
