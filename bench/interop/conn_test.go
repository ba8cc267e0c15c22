package interop_test

import (
	"testing"

	"github.com/seed893f581e/nsq/bench/interop"
	"github.com/seed893f581e/nsq/bench/interop/gonsq"
	"github.com/seed893f581e/nsq/bench/interop/ours"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// A program that uses a Conn of its own is told the same.
func TestConn(t *testing.T) {
	converse := func(l interop.Library) []interop.Fact {
		n := nsqtest.Start(t, nil)
		p, err := l.NewProducer(n.TCPAddr(), interop.Setup{})
		must(t, err)
		defer p.Stop()
		must(t, p.Publish("t", []byte("body")))
		said, err := l.Converse(n.TCPAddr())
		for _, f := range said {
			t.Logf("%s: %s", f.Name, f.Value)
		}
		must(t, err)
		return said
	}
	d := allow(nil)
	d.compareFacts(t, converse(gonsq.Library{}), converse(ours.Library{}))
}
