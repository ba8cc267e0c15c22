package nsqd

import (
	"errors"
	"testing"
)

// What is published first to a durable topic makes it: until that is done nobody sees the
// topic, and if it fails, or panics, there is none and the next one begins anew.
func TestFirstPublishMakesTheTopic(t *testing.T) {
	e := testEnv(t, 10)
	t.Cleanup(func() { e.durable.close() })
	e.opts.Durability = Disk
	e.lookups = new(lookups)
	var ts topics
	ts.init(e)
	publish := func(then func() error) error {
		return ts.publishTo([]byte("t"), func(top *topic, fresh bool) error {
			if !fresh || ts.existing("t") != nil {
				t.Error("the topic is seen before its first message is kept")
			}
			if err := top.publish(batchOf(1, "m").payload, 1, 0); err != nil {
				return err
			}
			return then()
		})
	}
	failed := errors.New("failed")
	if err := publish(func() error { return failed }); !errors.Is(err, failed) {
		t.Errorf("a publish that fails: %v", err)
	}
	func() {
		defer func() { recover() }()
		publish(func() error { panic("oh dear") })
	}()
	if ts.existing("t") != nil {
		t.Error("a publish that failed has left its topic")
	}
	if err := publish(func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	top := ts.existing("t")
	t.Cleanup(func() { top.stopPump(); top.pump.Wait() })
	if depth, _ := top.depth(); depth != 1 {
		t.Errorf("the topic holds %d messages, want the one that was kept", depth)
	}
}
