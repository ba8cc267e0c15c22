package nsqd_test

import (
	"runtime"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// What is kept of a small message is small, also when pipelined publishes go
// to several topics in turn.
func TestSmallMessagesToAlternatingTopicsTakeLittleMemory(t *testing.T) {
	n := nsqtest.Start(t, nil)
	p := dialRaw(t, n)
	const messages = 10_000
	before := heap()
	for i := 0; i < messages; i += 500 {
		var commands []byte
		for j := range 500 {
			commands = wire.AppendPub(commands, []string{"a", "b"}[j%2], []byte("0123456789"))
		}
		p.send(commands)
		for range 500 {
			p.want(ok)
		}
	}
	if per := (heap() - before) / messages; per > 500 {
		t.Errorf("a message of 10 bytes takes %d", per)
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
