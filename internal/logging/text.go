package logging

import (
	"encoding"
	"fmt"
	"log/slog"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// appendMessage appends s as it is, except that nothing in it can end the line
// or write to a terminal.
func appendMessage(b []byte, s string) []byte {
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		if plain(r, size) {
			b = append(b, s[:size]...)
		} else {
			quoted := len(b)
			b = strconv.AppendQuote(b, s[:size])
			b = append(b[:quoted], b[quoted+1:len(b)-1]...)
		}
		s = s[size:]
	}
	return b
}

// plain says whether a rune, decoded from size bytes, is a character one can see.
func plain(r rune, size int) bool {
	if r < utf8.RuneSelf {
		return r >= ' ' && r != 0x7f
	}
	return unicode.IsPrint(r) && (r != utf8.RuneError || size > 1)
}

// appendAttr appends " key=value", for a group one for each of its members, and nothing for
// what the message says.
func appendAttr(b []byte, group string, a slog.Attr) []byte {
	if isSaid(a.Value) {
		return b
	}
	a.Value = a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return b
	}
	if a.Value.Kind() != slog.KindGroup {
		b = append(b, ' ')
		b = appendText(b, group+a.Key)
		return appendValue(append(b, '='), a.Value)
	}
	if a.Key != "" {
		group += a.Key + "."
	}
	for _, member := range a.Value.Group() {
		b = appendAttr(b, group, member)
	}
	return b
}

func appendValue(b []byte, v slog.Value) []byte {
	switch v.Kind() {
	case slog.KindString:
		return appendText(b, v.String())
	case slog.KindInt64:
		return strconv.AppendInt(b, v.Int64(), 10)
	case slog.KindUint64:
		return strconv.AppendUint(b, v.Uint64(), 10)
	case slog.KindFloat64:
		return strconv.AppendFloat(b, v.Float64(), 'g', -1, 64)
	case slog.KindBool:
		return strconv.AppendBool(b, v.Bool())
	case slog.KindDuration:
		return append(b, v.Duration().String()...)
	case slog.KindTime:
		return v.Time().AppendFormat(b, time.RFC3339Nano)
	default:
		return appendText(b, anyText(v.Any()))
	}
}

func anyText(v any) string {
	switch v := v.(type) {
	case []byte:
		return string(v)
	case encoding.TextMarshaler:
		text, err := v.MarshalText()
		if err != nil {
			return "!ERROR:" + err.Error()
		}
		return string(text)
	default:
		return fmt.Sprint(v) // calls Error and String, and survives their panics
	}
}

// appendText quotes what could not be told apart from its surroundings.
func appendText(b []byte, s string) []byte {
	if needsQuotes(s) {
		return strconv.AppendQuote(b, s)
	}
	return append(b, s...)
}

func needsQuotes(s string) bool {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == ' ' || r == '"' || r == '=' || !plain(r, size) {
			return true
		}
		i += size
	}
	return s == ""
}
