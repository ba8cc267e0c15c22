// Package logging writes log/slog records as the lines operators and their
// scripts know:
//
//	[nsqd] 2026/11/21 19:33:05.464851 INFO: text key=value ...
package logging

import (
	"context"
	"io"
	"log/slog"
	"sync"
)

const timeLayout = "2006/01/02 15:04:05.000000"

// Handler is a slog.Handler for that form, with local time. Every record is
// one line and one Write. It is safe for concurrent use, also in common with
// the handlers derived from it.
type Handler struct {
	out    *output
	level  slog.Leveler
	prefix string // of the line
	group  string // of the next key: "a.b."
	attrs  []byte // what WithAttrs brought, already in text form
}

type output struct {
	mu sync.Mutex // w
	w  io.Writer
}

// NewHandler writes to w what has at least the given level, which may change
// at run time (slog.LevelVar). A failing Write loses its line and nothing else.
func NewHandler(w io.Writer, prefix string, level slog.Leveler) *Handler {
	return &Handler{out: &output{w: w}, prefix: prefix, level: level}
}

// Enabled says whether l is logged at present.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// Handle writes the line. It blocks as long as the writer does.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	buf := buffers.Get().(*[]byte)
	defer release(buf)

	b := append((*buf)[:0], h.prefix...)
	if !r.Time.IsZero() {
		b = append(r.Time.Local().AppendFormat(b, timeLayout), ' ')
	}
	b = append(append(b, printed(r.Level)...), ": "...)
	b = appendMessage(b, r.Message)
	b = append(b, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		b = appendAttr(b, h.group, a)
		return true
	})
	b = append(b, '\n')
	*buf = b

	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	_, err := h.out.w.Write(b)
	return err
}

// WithAttrs returns a handler that adds attrs to every line.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.attrs = append([]byte(nil), h.attrs...)
	for _, a := range attrs {
		with.attrs = appendAttr(with.attrs, h.group, a)
	}
	return &with
}

// WithGroup returns a handler that puts name and a dot before the keys that follow.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.group += name + "."
	return &with
}

// maxKeptBuffer keeps one huge record from staying in memory for good.
const maxKeptBuffer = 16 << 10

var buffers = sync.Pool{New: func() any { return new(make([]byte, 0, 512)) }}

func release(buf *[]byte) {
	if cap(*buf) <= maxKeptBuffer {
		buffers.Put(buf)
	}
}
