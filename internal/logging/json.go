package logging

import (
	"encoding"
	"fmt"
	"io"
	"log/slog"
	"strings"
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

// jsonAttr changes what slog would show in another way than the text form does.
func jsonAttr(groups []string, a slog.Attr) slog.Attr {
	a.Key = strings.ReplaceAll(a.Key, " ", "_")
	switch a.Value.Kind() {
	case slog.KindDuration:
		a.Value = slog.StringValue(a.Value.Duration().String())
	case slog.KindAny:
		a.Value = jsonValue(a.Value, len(groups) == 0 && a.Key == slog.LevelKey)
	}
	return a
}

func jsonValue(value slog.Value, isLevel bool) slog.Value {
	switch v := value.Any().(type) {
	case slog.Level:
		if isLevel {
			return slog.StringValue(printed(v))
		}
	case []byte, encoding.TextMarshaler, error, fmt.Stringer:
		return slog.StringValue(anyText(v))
	}
	return value
}
