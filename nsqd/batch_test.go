package nsqd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/wire"
)

// batchOf returns a batch of the given bodies, whose first message has the id
// first.
func batchOf(first guid, bodies ...string) *batch {
	b := &batch{first: first, time: 42, count: int32(len(bodies))}
	for _, body := range bodies {
		b.payload = wire.AppendToPayload(b.payload, []byte(body))
	}
	return b
}

// describe lists the messages of spans as id:body.
func describe(spans ...span) string {
	var list []string
	for _, s := range spans {
		for s.count > 0 {
			m := s.pop()
			list = append(list, fmt.Sprintf("%d:%s", m.id(), m.body()))
		}
	}
	return strings.Join(list, " ")
}

func TestSpanWalksItsMessages(t *testing.T) {
	s := batchOf(7, "a", "bb", "ccc").all()
	if got := describe(s); got != "7:a 8:bb 9:ccc" {
		t.Errorf("messages are %q", got)
	}
}

func TestSpanCut(t *testing.T) {
	frame := func(body int) int { return wire.FrameHeaderLen + wire.MessageHeaderLen + body }
	for name, c := range map[string]struct {
		n, bytes   int
		head, tail string
	}{
		"by number":                      {2, 1 << 20, "1:a 2:bb", "3:ccc"},
		"more than there are":            {9, 1 << 20, "1:a 2:bb 3:ccc", ""},
		"by bytes":                       {9, frame(1) + frame(2), "1:a 2:bb", "3:ccc"},
		"one byte short":                 {9, frame(1) + frame(2) - 1, "1:a", "2:bb 3:ccc"},
		"at least one whatever it takes": {9, 1, "1:a", "2:bb 3:ccc"},
	} {
		s := batchOf(1, "a", "bb", "ccc").all()
		head, bytes := s.cut(c.n, c.bytes)
		if describe(head) != c.head || describe(s) != c.tail {
			t.Errorf("%s: cut into %q and %q, want %q and %q", name, describe(head), describe(s), c.head, c.tail)
		}
		if frames, _ := head.appendFrames(nil, nil); bytes != len(frames) {
			t.Errorf("%s: cut says %d bytes, the frames have %d", name, bytes, len(frames))
		}
	}
}

// What is left of a batch is cut without a look at each message where all of it
// fits, but only then.
func TestSpanCutBehindACursor(t *testing.T) {
	whole := batchOf(1, "a", "bb", "ccc", "dddd").all()
	whole.pop()
	rest, part := whole, whole
	part.count--
	for name, c := range map[string]struct {
		s          span
		n          int
		head, tail string
	}{
		"all of the rest":     {rest, 3, "2:bb 3:ccc 4:dddd", ""},
		"some of the rest":    {rest, 2, "2:bb 3:ccc", "4:dddd"},
		"all but the last":    {part, 3, "2:bb 3:ccc", ""},
		"one of all but last": {part, 1, "2:bb", "3:ccc"},
	} {
		head, bytes := c.s.cut(c.n, 1<<20)
		frames, _ := head.appendFrames(nil, nil)
		if describe(head) != c.head || describe(c.s) != c.tail || bytes != len(frames) {
			t.Errorf("%s: cut into %q of %d bytes and %q, want %q of %d bytes and %q", name, describe(head), bytes, describe(c.s), c.head, len(frames), c.tail)
		}
	}
}

func TestStragglerDoesNotPinItsBatch(t *testing.T) {
	s := batchOf(1, "a", strings.Repeat("b", 1000)).all()
	s.attempts = 3
	m := s.pop()
	alone := m.alone()
	if len(alone.b.payload) != wire.SizeLen+1 || describe(alone) != "1:a" || alone.attempts != 3 || alone.b.time != 42 {
		t.Errorf("alone() is %q with %d attempts, time %d, %d payload bytes", describe(alone), alone.attempts, alone.b.time, len(alone.b.payload))
	}
	if again := alone.alone(); again.b != alone.b {
		t.Error("alone() copies a message that is alone already")
	}
}

func TestRecordRoundTrip(t *testing.T) {
	s := batchOf(0xABC, "hello").all()
	s.attempts = 65535
	got, err := spanOfRecord(s.appendRecord(nil), nil)
	if err != nil || got.id() != 0xABC || string(got.body()) != "hello" || got.attempts != 65535 || got.b.time != 42 {
		t.Errorf("record came back as %q, attempts %d, time %d, error %v", describe(got), got.attempts, got.b.time, err)
	}
}

func TestRecordWithAForeignIDGetsANewOne(t *testing.T) {
	rec := batchOf(1, "hello").all()
	b := rec.appendRecord(nil)
	copy(b[10:], "NOT-A-HEX-NUMBER")
	got, err := spanOfRecord(b, func() guid { return 99 })
	if err != nil || describe(got) != "99:hello" {
		t.Errorf("record came back as %q, error %v", describe(got), err)
	}
}

func TestTooShortARecordIsAnError(t *testing.T) {
	if _, err := spanOfRecord(make([]byte, wire.MessageHeaderLen-1), nil); err == nil {
		t.Error("a record shorter than a header was accepted")
	}
}
