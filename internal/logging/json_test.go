package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/slogtest"
	"time"
)

// object writes a record as JSON, and reads it again.
func object(t *testing.T, r slog.Record) map[string]any {
	t.Helper()
	var out bytes.Buffer
	if err := NewJSONHandler(&out, "nsqd", slog.LevelDebug).Handle(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
		t.Errorf("%q is not one line", text)
	}
	var fields map[string]any
	if err := json.Unmarshal(out.Bytes(), &fields); err != nil {
		t.Errorf("%s: %v", out.String(), err)
	}
	return fields
}

func TestJSONHasTheKnownFields(t *testing.T) {
	for level, word := range map[slog.Level]string{
		slog.LevelDebug: "DEBUG", slog.LevelInfo: "INFO", slog.LevelWarn: "WARNING", slog.LevelError: "ERROR", LevelFatal: "FATAL",
	} {
		r := at(level, "TCP: \"new\"\nclient")
		got := object(t, r)
		logged, err := time.Parse(time.RFC3339Nano, got["time"].(string))
		if !regexp.MustCompile(`T19:33:05\.464851999(Z|[+-]\d\d:\d\d)$`).MatchString(got["time"].(string)) {
			t.Errorf("time is %v", got["time"])
		}
		if err != nil || !logged.Equal(r.Time) {
			t.Errorf("time is %v, %v, want %v", got["time"], err, r.Time)
		}
		delete(got, "time")
		if want := map[string]any{"level": word, "msg": "TCP: \"new\"\nclient", "program": "nsqd"}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestJSONValues(t *testing.T) {
	var nilError *nobody
	for _, c := range []struct {
		value, want any
	}{
		{"two words", "two words"},
		{"line\nforged", "line\nforged"},
		{"bad\xffutf8", "bad\ufffdutf8"},
		{[]byte("  V2"), "  V2"},
		{-5, -5.0},
		{0.25, 0.25},
		{true, true},
		{90 * time.Second, "1m30s"},
		{time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), "2026-01-02T03:04:05.000000006Z"},
		{errors.New("broken pipe"), "broken pipe"},
		{netip.MustParseAddrPort("127.0.0.1:4150"), "127.0.0.1:4150"},
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4150}, "127.0.0.1:4150"},
		{os.Interrupt, "interrupt"},
		{slog.LevelWarn, "WARN"}, // not the record's
		{secret{}, "resolved"},
		{[]string{"a", "b"}, []any{"a", "b"}},
		{slog.GroupValue(slog.Duration("after", time.Second)), map[string]any{"after": "1s"}},
		{math.NaN(), "!ERROR:json: unsupported value: NaN"},
		{make(chan int), "!ERROR:json: unsupported type: chan int"}, // as a panic may have
		{nil, nil},
		{nilError, "<nil>"},
	} {
		got := object(t, at(slog.LevelInfo, "text", "key", c.value))
		if value, ok := got["key"]; !ok || !reflect.DeepEqual(value, c.want) {
			t.Errorf("%#v: got %v, want %v", c.value, got, c.want)
		}
	}
}

func TestJSONFieldsHaveNoSpaces(t *testing.T) {
	got := object(t, at(slog.LevelInfo, "text", "user agent", "a b", slog.Group("done", "how often", 2)))
	if got["user_agent"] != "a b" || !reflect.DeepEqual(got["done"], map[string]any{"how_often": 2.0}) {
		t.Errorf("got %v", got)
	}
}

func TestJSONFollowsSlogsRules(t *testing.T) {
	var out bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out.Reset()
		return NewJSONHandler(&out, "nsqd", slog.LevelInfo)
	}, func(t *testing.T) (fields map[string]any) {
		if err := json.Unmarshal(out.Bytes(), &fields); err != nil {
			t.Fatal(err)
		}
		return fields
	})
}

func TestHandlerOfAProgram(t *testing.T) {
	for format, want := range map[Format]string{
		"":   "[nsqd] 2026/11/21 19:33:05.464851 INFO: text k=v\n",
		Text: "[nsqd] 2026/11/21 19:33:05.464851 INFO: text k=v\n",
		JSON: `,"level":"INFO","msg":"text","program":"nsqd","k":"v"}` + "\n",
	} {
		var out bytes.Buffer
		h := NewProgramHandler(&out, "nsqd", Settings{Format: format, Prefix: "[nsqd] "}, slog.LevelInfo)
		if err := h.Handle(t.Context(), at(slog.LevelInfo, "text", "k", "v")); err != nil || !strings.HasSuffix(out.String(), want) {
			t.Errorf("%q: got %q, %v, want it to end in %q", format, out.String(), err, want)
		}
		if h.Enabled(t.Context(), slog.LevelDebug) {
			t.Errorf("%q: debug is on", format)
		}
	}
}

func TestFormatIsAFlag(t *testing.T) {
	var format Format
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Var(&format, "log-format", "")
	if def := fs.Lookup("log-format").DefValue; def != "text" {
		t.Errorf("default is %q, want text", def)
	}
	for _, word := range []string{"json", "JSON"} {
		if err := fs.Parse([]string{"--log-format=" + word}); err != nil || format != JSON {
			t.Errorf("%s: got %v, %v, want json", word, format, err)
		}
	}
	err := fs.Parse([]string{"--log-format=xml"})
	if want := `invalid value "xml" for flag -log-format: invalid log format 'xml' (text, json)`; err == nil || err.Error() != want || format != JSON {
		t.Errorf("got %v, %v, want %s", format, err, want)
	}
}
