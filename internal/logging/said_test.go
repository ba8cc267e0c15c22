package logging

import (
	"bytes"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"testing"
)

// What the message says is not repeated in text, and is a field of its own in JSON.
func TestSaid(t *testing.T) {
	client := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4150}
	r := at(slog.LevelInfo, "CHANNEL(c): client(127.0.0.1:4150) left")
	r.Add("channel", Said("c"), "client", Said(client), "messages", 3, slog.Group("of", "topic", Said("t"), "n", 1), "nothing", Said(nil))

	var out bytes.Buffer
	if err := NewHandler(&out, "", slog.LevelInfo).WithAttrs([]slog.Attr{slog.Any("node", Said(1))}).Handle(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if want := " INFO: CHANNEL(c): client(127.0.0.1:4150) left messages=3 of.n=1\n"; !strings.HasSuffix(out.String(), want) {
		t.Errorf("%q does not end with %q", out.String(), want)
	}

	got := object(t, r)
	delete(got, "time")
	want := map[string]any{
		"level": "INFO", "msg": "CHANNEL(c): client(127.0.0.1:4150) left", "program": "nsqd",
		"channel": "c", "client": "127.0.0.1:4150", "messages": 3.0, "of": map[string]any{"topic": "t", "n": 1.0}, "nothing": nil,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
