package nsq

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/seed893f581e/nsq/internal/wire"
)

// frameLog notes what a connection hands over.
type frameLog struct {
	events   []string
	messages []*Message
	fail     error // what onPause returns
}

func (l *frameLog) onResponse(data []byte) error {
	l.events = append(l.events, "response "+string(data))
	return nil
}

func (l *frameLog) onError(data []byte) error {
	l.events = append(l.events, "error "+string(data))
	return nil
}

func (l *frameLog) onMessage(m *Message) error {
	l.events = append(l.events, fmt.Sprint("message ", m.Attempts))
	l.messages = append(l.messages, m)
	return nil
}

func (l *frameLog) onHeartbeat() { l.events = append(l.events, "heartbeat") }

func (l *frameLog) onPause() error {
	if n := len(l.events); n > 0 && l.events[n-1] != "pause" {
		l.events = append(l.events, "pause")
	}
	return l.fail
}

// readFrom has a connection read from r until it ends.
func readFrom(r io.Reader, cfg *Config, h frameHandler) error {
	c := newNSQDConn(nil, "nsqd:4150", cfg)
	c.br.Reset(r)
	return c.readLoop(h)
}

// bodyOf returns n bytes that differ from those of another length.
func bodyOf(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(n + i)
	}
	return b
}

func TestReadMessages(t *testing.T) {
	sizes := []int{4 << 10, readBufferSize - 34, readBufferSize, 3*readBufferSize + 1, 1 << 20}
	for n := range maxRoom + 100 {
		sizes = append(sizes, n)
	}
	var in []byte
	for i, n := range sizes {
		in = wire.AppendMessageFrame(in, int64(i), uint16(i), uint64(i), bodyOf(n))
	}
	for name, r := range map[string]io.Reader{
		"as much as there is room for": bytes.NewReader(in),
		"byte by byte":                 iotest.OneByteReader(bytes.NewReader(in)),
	} {
		t.Run(name, func(t *testing.T) {
			var got frameLog
			if err := readFrom(r, NewConfig(), &got); err != io.EOF {
				t.Errorf("ended with %v, want EOF", err)
			}
			if len(got.messages) != len(sizes) {
				t.Fatalf("got %d messages, want %d", len(got.messages), len(sizes))
			}
			for i, m := range got.messages { // only now: none may be overwritten
				n := sizes[i]
				if !bytes.Equal(m.Body, bodyOf(n)) || cap(m.Body) != n || m.Body == nil {
					t.Errorf("body of %d bytes has length %d, capacity %d, or is not the one that was sent", n, len(m.Body), cap(m.Body))
				}
				if id := MessageID(wire.AppendID(nil, uint64(i))); m.ID != id || m.Timestamp != int64(i) || m.Attempts != uint16(i) || m.NSQDAddress != "nsqd:4150" {
					t.Errorf("got message %+v, want the %dth", m, i)
				}
			}
		})
	}
}

// What one read brought is handed over before onPause, and that is called
// before anything is waited for.
func TestPauseBeforeWaiting(t *testing.T) {
	ok := wire.AppendFrame(nil, wire.FrameResponse, wire.OK)
	message := wire.AppendMessageFrame(nil, 1, 7, 1, []byte("body"))
	large := wire.AppendMessageFrame(nil, 1, 9, 1, make([]byte, 2*readBufferSize))
	failed := wire.AppendFrame(nil, wire.FrameError, "E_INVALID")
	heartbeat := wire.AppendFrame(nil, wire.FrameResponse, wire.Heartbeat)
	in := io.MultiReader( // every one is a read of its own
		bytes.NewReader(slices.Concat(ok, heartbeat, ok, message, message[:20])),
		bytes.NewReader(slices.Concat(message[20:], message, failed, large[:100])),
		bytes.NewReader(slices.Concat(large[100:], ok)),
	)
	var got frameLog
	if err := readFrom(in, NewConfig(), &got); err != io.EOF {
		t.Errorf("ended with %v, want EOF", err)
	}
	want := "response OK, heartbeat, response OK, message 7, pause, message 7, message 7, error E_INVALID, pause, message 9, response OK, pause"
	if got := strings.Join(got.events, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestReadLoopEnds(t *testing.T) {
	ok := wire.AppendFrame(nil, wire.FrameResponse, wire.OK)
	message := func(n int) []byte { return wire.AppendMessageFrame(nil, 1, 1, 1, make([]byte, n)) }
	limited := NewConfig()
	limited.MaxMsgSize = 1000
	broken := errors.New("broken")
	for _, tt := range []struct {
		name string
		in   []byte
		fail error
		want string
	}{
		{"between two frames", ok, nil, io.EOF.Error()},
		{"in a header", append(ok, 0, 0, 0), nil, io.ErrUnexpectedEOF.Error()},
		{"after a header", ok[:8], nil, io.ErrUnexpectedEOF.Error()},
		{"in a response", ok[:9], nil, io.ErrUnexpectedEOF.Error()},
		{"in a small message", message(100)[:100], nil, io.ErrUnexpectedEOF.Error()},
		{"in a message's header", message(100)[:20], nil, io.ErrUnexpectedEOF.Error()},
		{"a message without a header", wire.AppendFrame(nil, wire.FrameMessage, "short"), nil, "not enough data to decode valid message"},
		{"a negative size", []byte("\xff\xff\xff\xff\x00\x00\x00\x00"), nil, "wire: frame size -1 is less than the 4 bytes of its type"},
		{"a message of the largest size", message(1000 - 30), nil, io.EOF.Error()},
		{"a message that is too large", message(1000 - 29), nil, "wire: frame of 997 bytes exceeds the limit of 996"},
		{"a frame of another type", wire.AppendFrame(nil, 3, "data"), nil, "unexpected frame type 3"},
		{"by who is told", ok, broken, "broken"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := frameLog{fail: tt.fail}
			if err := readFrom(bytes.NewReader(tt.in), limited, &got); err == nil || err.Error() != tt.want {
				t.Errorf("ended with %v, want %s", err, tt.want)
			}
			if n := len(got.events); n > 0 && got.events[n-1] != "pause" {
				t.Errorf("no pause after %s", got.events[n-1])
			}
		})
	}
}

// Announcing a message costs nothing until it arrives.
func TestAnnouncedMessageTakesNoMemory(t *testing.T) {
	const arrived = 100
	for _, announced := range []int{maxRoom, 1 << 30} {
		in := wire.AppendSize(nil, announced)
		in = append(in, 0, 0, 0, byte(wire.FrameMessage))
		in = append(in, make([]byte, arrived)...)
		_, bytesPer := memoryPer(1, func() {
			if err := readFrom(bytes.NewReader(in), &Config{}, &frameLog{}); err != io.ErrUnexpectedEOF {
				t.Errorf("ended with %v", err)
			}
		})
		if bytesPer > readBufferSize+16<<10 {
			t.Errorf("%d bytes announced, %d arrived: took %.0f bytes", announced, arrived, bytesPer)
		}
	}
}
