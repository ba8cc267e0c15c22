package nsq

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestCommands(t *testing.T) {
	msgID := MessageID([]byte("0123456789abcdef"))
	fallible := func(c *Command, err error) *Command {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for want, cmd := range map[string]*Command{
		"IDENTIFY\n\x00\x00\x00\x07{\"a\":1}": fallible(Identify(map[string]any{"a": 1})),
		"AUTH\n\x00\x00\x00\x03abc":           fallible(Auth("abc")),
		"AUTH\n\x00\x00\x00\x00":              fallible(Auth("")),
		"REGISTER t\n":                        Register("t", ""),
		"REGISTER t c\n":                      Register("t", "c"),
		"UNREGISTER t\n":                      UnRegister("t", ""),
		"UNREGISTER t c\n":                    UnRegister("t", "c"),
		"PING\n":                              Ping(),
		"NOP\n":                               Nop(),
		"CLS\n":                               StartClose(),
		"PUB t\n\x00\x00\x00\x02hi":           Publish("t", []byte("hi")),
		"PUB empty\n\x00\x00\x00\x00":         Publish("empty", []byte{}),
		"PUB nil\n\x00\x00\x00\x00":           Publish("nil", nil),
		"DPUB t 1\n\x00\x00\x00\x02hi":        DeferredPublish("t", 1500*time.Microsecond, []byte("hi")),
		"DPUB nil 0\n\x00\x00\x00\x00":        DeferredPublish("nil", 0, nil),
		"MPUB t\n\x00\x00\x00\x0e\x00\x00\x00\x02\x00\x00\x00\x01a\x00\x00\x00\x01b": fallible(MultiPublish("t", [][]byte{[]byte("a"), []byte("b")})),
		"MPUB t\n\x00\x00\x00\x04\x00\x00\x00\x00":                                   fallible(MultiPublish("t", nil)),
		"SUB t c\n":                   Subscribe("t", "c"),
		"RDY 12\n":                    Ready(12),
		"FIN 0123456789abcdef\n":      Finish(msgID),
		"TOUCH 0123456789abcdef\n":    Touch(msgID),
		"REQ 0123456789abcdef 2500\n": Requeue(msgID, 2500*time.Millisecond),
	} {
		var b bytes.Buffer
		n, err := cmd.WriteTo(&b)
		if b.String() != want || n != int64(len(want)) || err != nil {
			t.Errorf("%s: wrote %q (%d, %v), want %q", cmd, b.String(), n, err, want)
		}
		if line, _, _ := strings.Cut(want, "\n"); cmd.String() != line {
			t.Errorf("String() = %q, want %q", cmd, line)
		}
	}
	if _, err := Identify(map[string]any{"a": func() {}}); err == nil {
		t.Error("Identify accepted what JSON cannot hold")
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"orders":                true,
		"orders#ephemeral":      true,
		"":                      false,
		"a b":                   false,
		strings.Repeat("x", 64): true,
		strings.Repeat("x", 65): false,
	} {
		if IsValidTopicName(name) != want || IsValidChannelName(name) != want {
			t.Errorf("%q: topic %v, channel %v, want %v", name, IsValidTopicName(name), IsValidChannelName(name), want)
		}
	}
}

func TestReadResponse(t *testing.T) {
	for _, tt := range []struct {
		in   string
		max  int32
		want string // data, or the text of the error
	}{
		{"\x00\x00\x00\x06\x00\x00\x00\x01no", 0, "no"},
		{"\x00\x00\x00\x06\x00\x00\x00\x01no", 6, "no"},
		{"\x00\x00\x00\x06\x00\x00\x00\x01no", 5, "response msg size 6 exceeds configured maximum (5)"},
		{"\xff\xff\xff\xfe", 0, "response msg size is negative: -2"},
		{"HTTP/1.1 400 Bad Request", 100, "unexpected HTTP response, a nsqd TCP endpoint is required"},
		{"HTTP/1.1 400 Bad Request", 0, "unexpected EOF"},
		{"\x00\x00\x00\x06\x00", 0, "unexpected EOF"},
		{"", 0, "EOF"},
		{"\x00\x00\x00\x02no", 0, "length of response is too small"},
	} {
		frameType, data, err := readUnpackedResponse(strings.NewReader(tt.in), tt.max)
		switch {
		case err != nil && (err.Error() != tt.want || frameType != -1):
			t.Errorf("%q, at most %d: type %d, %v; want %s", tt.in, tt.max, frameType, err, tt.want)
		case err == nil && (string(data) != tt.want || frameType != FrameTypeError):
			t.Errorf("%q, at most %d: type %d, %q; want %q", tt.in, tt.max, frameType, data, tt.want)
		}
	}
}
