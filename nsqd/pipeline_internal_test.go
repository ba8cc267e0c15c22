package nsqd

import "testing"

func TestAPublishThatPanicsDoesNotStayInTheLog(t *testing.T) {
	broken := &topic{log: &topicLog{}} // with no log behind it
	c := new(client)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a publish without a log has not panicked")
			}
		}()
		c.start(broken, []byte("\x00\x00\x00\x04body"), published{count: 1}, 0)
	}()
	if !broken.log.mu.TryLock() {
		t.Error("who deletes the topic would wait for ever")
	}
}
