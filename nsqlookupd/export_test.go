package nsqlookupd

import (
	"net"

	"github.com/seed893f581e/nsq/internal/wire"
)

// What the tests of package nsqlookupd_test, which speak to the daemon from
// outside, need of its inside.

// ListenOn has Main accept connections from these in place of the listeners
// that New opened. It must be called before Main.
func (l *NSQLookupd) ListenOn(tcp, http net.Listener) {
	l.tcp.Close()
	l.http.listener.Close()
	l.tcp = l.newTCP(tcp)
	l.http.listener = http
}

// PanicOn adds a command that panics.
func (l *NSQLookupd) PanicOn(name string) {
	l.protocol.commands[name] = func(*client, *wire.Line) ([]byte, error) { panic("panic in a command") }
}

// Panics returns how many panics were survived.
func (l *NSQLookupd) Panics() uint64 { return l.panics.Load() }

// DeleteTopics deletes every topic.
func (l *NSQLookupd) DeleteTopics() {
	for topic := range l.db.snapshot().topics() {
		l.db.deleteTopic(topic)
	}
}

// Watching returns how many requests wait for a change.
func (l *NSQLookupd) Watching() int64 { return l.db.watches.waiting.Load() }

// LimitWatches bounds how many may. It must be called before the first.
func (l *NSQLookupd) LimitWatches(n int64) { l.db.watches.limit = n }
