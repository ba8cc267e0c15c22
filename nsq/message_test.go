package nsq

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// recorder is a delegate that remembers what it was told.
type recorder []string

func (r *recorder) OnFinish(*Message) { *r = append(*r, "finish") }
func (r *recorder) OnTouch(*Message)  { *r = append(*r, "touch") }
func (r *recorder) OnRequeue(_ *Message, delay time.Duration, backoff bool) {
	s := "requeue " + delay.String()
	if backoff {
		s += " backoff"
	}
	*r = append(*r, s)
}

func TestMessageIsAnsweredOnce(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(m *Message)
		want recorder
	}{
		{"finish", func(m *Message) { m.Finish(); m.Finish(); m.Requeue(0); m.Touch() }, recorder{"finish"}},
		{"requeue", func(m *Message) { m.Requeue(time.Second); m.Finish(); m.Requeue(0) }, recorder{"requeue 1s backoff"}},
		{"requeue without back-off", func(m *Message) { m.RequeueWithoutBackoff(-1); m.Requeue(0) }, recorder{"requeue -1ns"}},
		{"touch, then finish", func(m *Message) { m.Touch(); m.Touch(); m.Finish(); m.Touch() }, recorder{"touch", "touch", "finish"}},
	} {
		var got recorder
		m := NewMessage(MessageID{'x'}, []byte("body"))
		m.Delegate = &got
		if m.HasResponded() {
			t.Errorf("%s: a new message has responded", tt.name)
		}
		tt.do(m)
		if !reflect.DeepEqual(got, tt.want) || !m.HasResponded() {
			t.Errorf("%s: got %v, want %v; responded: %v", tt.name, got, tt.want, m.HasResponded())
		}
	}
}

func TestMessageWithoutDelegate(t *testing.T) {
	before := time.Now().UnixNano()
	m := NewMessage(MessageID{}, nil)
	if m.Timestamp < before || m.Timestamp > time.Now().UnixNano() {
		t.Errorf("timestamp %d is not now", m.Timestamp)
	}
	m.Touch()
	m.Requeue(-1)
	if !m.HasResponded() {
		t.Error("the message does not remember its answer")
	}
	if m.IsAutoResponseDisabled() {
		t.Error("automatic answers are off at first")
	}
	m.DisableAutoResponse()
	if !m.IsAutoResponseDisabled() {
		t.Error("automatic answers cannot be switched off")
	}
}

func TestDecodeMessage(t *testing.T) {
	b := wire.AppendMessage(nil, 99, 3, 0xabc, []byte("hello"))
	m, err := DecodeMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	if m.Timestamp != 99 || m.Attempts != 3 || string(m.ID[:]) != nsqtest.ID(0xabc) || string(m.Body) != "hello" {
		t.Errorf("got %d %d %s %q", m.Timestamp, m.Attempts, m.ID, m.Body)
	}
	if &m.Body[0] != &b[len(b)-5] {
		t.Error("the body is a copy")
	}
	m.ID = MessageID([]byte("not hexadecimal!"))
	copy(b[10:], m.ID[:])
	var written bytes.Buffer
	if n, err := m.WriteTo(&written); n != int64(len(b)) || err != nil || !bytes.Equal(written.Bytes(), b) {
		t.Errorf("wrote %x (%d, %v), want %x", written.Bytes(), n, err, b)
	}
	if _, err := DecodeMessage(b[:25]); err == nil || err.Error() != "not enough data to decode valid message" {
		t.Errorf("25 bytes: %v", err)
	}
}

func FuzzDecodeMessage(f *testing.F) {
	f.Add(wire.AppendMessage(nil, 99, 3, 0xabc, []byte("hello")))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMessage(b)
		if err != nil {
			return
		}
		var written bytes.Buffer
		m.WriteTo(&written)
		if !bytes.Equal(written.Bytes(), b) {
			t.Fatalf("%x encodes as %x", b, written.Bytes())
		}
	})
}
