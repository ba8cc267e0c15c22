// Package loggingtest keeps a log for tests to look at.
package loggingtest

import (
	"bytes"
	"log/slog"
	"sync"
)

// A Buffer holds the lines of a log. Its zero value is empty. It is safe for
// concurrent use.
type Buffer struct {
	mu    sync.Mutex // lines
	lines bytes.Buffer
}

// Logger returns a logger that writes to b what has at least the given level.
func (b *Buffer) Logger(level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: level}))
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines.Write(p)
}

// String returns what was logged so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lines.String()
}
