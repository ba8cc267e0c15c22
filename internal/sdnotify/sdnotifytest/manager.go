//go:build unix

// Package sdnotifytest is a service manager for tests: it listens for what programs
// tell of themselves.
package sdnotifytest

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// A Manager keeps the messages that it gets.
type Manager struct {
	t        *testing.T
	mu       sync.Mutex // messages
	messages []string
}

// New listens at an address, a path or "@" and a name, until the test ends.
func New(t *testing.T, address string) *Manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := &Manager{t: t}
	var reading sync.WaitGroup
	reading.Go(func() { m.read(conn) })
	t.Cleanup(func() {
		conn.Close()
		reading.Wait()
	})
	return m
}

func (m *Manager) read(conn *net.UnixConn) {
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		m.mu.Lock()
		m.messages = append(m.messages, string(buf[:n]))
		m.mu.Unlock()
	}
}

// All returns the messages so far, in order.
func (m *Manager) All() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.messages)
}

// Count returns how many messages so far contain a line that begins with the text.
func (m *Manager) Count(text string) (n int) {
	for _, message := range m.All() {
		if strings.Contains("\n"+message, "\n"+text) {
			n++
		}
	}
	return n
}

// Await waits for at least n messages with such a line.
func (m *Manager) Await(n int, text string) {
	m.t.Helper()
	nsqtest.Eventually(m.t, "the service manager is told "+text, func() bool { return m.Count(text) >= n })
}
