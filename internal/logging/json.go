package logging

import (
	"encoding"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"
)

// NewJSONHandler returns a handler that writes every record as a JSON object on a
// line of its own, with the fields time (RFC 3339, nanoseconds), level (the words
// of the text form), msg, program, and then the attributes. Groups are objects;
// errors, durations and whatever else has a text of its own are strings. A field's
// name has "_" for spaces.
func NewJSONHandler(w io.Writer, program string, level slog.Leveler) slog.Handler {
	h := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: jsonAttr})
	return h.WithAttrs([]slog.Attr{slog.String("program", program)})
}

// jsonTime has all nanoseconds, so that lines can be sorted by it as text.
const jsonTime = "2006-01-02T15:04:05.000000000Z07:00"

// jsonAttr changes what slog would show in another way than the text form does.
func jsonAttr(groups []string, a slog.Attr) slog.Attr {
	a.Key = strings.ReplaceAll(a.Key, " ", "_")
	ofRecord := func(key string) bool { return len(groups) == 0 && a.Key == key }
	switch v := a.Value.Any().(type) {
	case time.Time:
		if ofRecord(slog.TimeKey) {
			a.Value = slog.StringValue(v.Format(jsonTime))
		}
	case slog.Level:
		if ofRecord(slog.LevelKey) {
			a.Value = slog.StringValue(printed(v))
		}
	case []byte, encoding.TextMarshaler, error, fmt.Stringer: // durations, too
		a.Value = slog.StringValue(anyText(v))
	}
	return a
}
