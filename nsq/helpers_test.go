package nsq

import (
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// testLog passes log lines to the test.
type testLog struct{ t testing.TB }

func (l testLog) Output(_ int, s string) error {
	l.t.Log(s)
	return nil
}

func newTestProducer(t testing.TB, addr string, change func(*Config)) *Producer {
	t.Helper()
	cfg := NewConfig()
	if change != nil {
		change(cfg)
	}
	p, err := NewProducer(addr, cfg)
	if err != nil {
		t.Fatal(err)
	}
	p.SetLogger(testLog{t}, LogLevelDebug)
	t.Cleanup(p.Stop)
	return p
}

// newTestConsumer returns a consumer of channel t/c that is stopped with the
// test.
func newTestConsumer(t testing.TB, change func(*Config)) *Consumer {
	t.Helper()
	cfg := NewConfig()
	if change != nil {
		change(cfg)
	}
	r, err := NewConsumer("t", "c", cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.SetLogger(testLog{t}, LogLevelDebug)
	t.Cleanup(func() {
		r.Stop()
		nsqtest.Receive(t, "StopChan", r.StopChan)
	})
	return r
}
