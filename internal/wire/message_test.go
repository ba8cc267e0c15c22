package wire

import (
	"bytes"
	"math"
	"regexp"
	"strings"
	"testing"
)

// The example of the reference, field by field.
func TestParseMessageExample(t *testing.T) {
	b := unhex(t, "18ea2682d0398496 0001 31386133373663616365363839303030 68656c6c6f")
	m, err := ParseMessage(b)
	if err != nil {
		t.Fatal(err)
	}
	if m.Timestamp != 0x18ea2682d0398496 || m.Attempts != 1 || string(m.ID[:]) != "18a376cace689000" || string(m.Body) != "hello" {
		t.Errorf("got timestamp %x, attempts %d, id %q, body %q", m.Timestamp, m.Attempts, m.ID, m.Body)
	}
	if &m.Body[0] != &b[MessageHeaderLen] {
		t.Error("the body is a copy, not a slice of the input")
	}
}

func TestMessageRoundTrip(t *testing.T) {
	for _, tt := range []struct {
		name      string
		timestamp int64
		attempts  uint16
		id        uint64
		body      string
	}{
		{"first delivery", 1<<60 + 1, 1, 0x18a376cace689000, "hello"},
		{"all zero, no body", 0, 0, 0, ""},
		{"before 1970", -1, 1, 1, "x"},
		{"largest of everything", math.MaxInt64, math.MaxUint16, math.MaxUint64, strings.Repeat("\xff", 300)},
		{"smallest timestamp", math.MinInt64, 256, 1 << 63, "\x00"},
		{"a body that looks like a command", 1, 2, 3, "FIN 0000000000000003\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			content := AppendMessage([]byte("dst"), tt.timestamp, tt.attempts, tt.id, []byte(tt.body))[3:]
			if len(content) != MessageHeaderLen+len(tt.body) {
				t.Errorf("%d bytes, want %d and the body", len(content), MessageHeaderLen)
			}
			m, err := ParseMessage(content)
			if err != nil {
				t.Fatal(err)
			}
			if m.Timestamp != tt.timestamp || m.Attempts != tt.attempts || string(m.Body) != tt.body {
				t.Errorf("got %+v", m)
			}
			if id, ok := ParseID(m.ID[:]); id != tt.id || !ok {
				t.Errorf("id %q parses as %x, %v; want %x", m.ID, id, ok, tt.id)
			}
			inFrame := AppendMessageFrame([]byte("dst"), tt.timestamp, tt.attempts, tt.id, []byte(tt.body))
			if want := AppendFrame([]byte("dst"), FrameMessage, content); !bytes.Equal(inFrame, want) {
				t.Errorf("in a frame: %x, want %x", inFrame, want)
			}
		})
	}
}

func TestParseMessageCutInItsHeader(t *testing.T) {
	whole := AppendMessage(nil, 1, 2, 3, nil)
	for cut := range whole {
		if m, err := ParseMessage(whole[:cut]); err == nil {
			t.Errorf("%d of %d bytes parsed as %+v", cut, len(whole), m)
		}
	}
	if _, err := ParseMessage(whole); err != nil {
		t.Errorf("a header alone: %v", err)
	}
	want := "wire: message of 25 bytes is shorter than its header of 26"
	if _, err := ParseMessage(whole[:25]); err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestID(t *testing.T) {
	for id, want := range map[uint64]string{
		0:                  "0000000000000000",
		1:                  "0000000000000001",
		0x0123456789abcdef: "0123456789abcdef",
		0x18a376cace689000: "18a376cace689000",
		math.MaxUint64:     "ffffffffffffffff",
	} {
		if got := AppendID([]byte("FIN "), id); string(got) != "FIN "+want {
			t.Errorf("AppendID(%x) = %q, want %q", id, got, want)
		}
		if got, ok := ParseID([]byte(want)); got != id || !ok {
			t.Errorf("ParseID(%q) = %x, %v; want %x", want, got, ok, id)
		}
	}
}

func TestParseIDRefuses(t *testing.T) {
	for name, b := range map[string]string{
		"nothing":              "",
		"15 digits":            "18a376cace68900",
		"17 digits":            "18a376cace6890000",
		"upper case":           "18A376CACE689000",
		"one upper-case digit": "18a376cace68900F",
		"first byte no digit":  "g8a376cace689000",
		"last byte no digit":   "18a376cace68900g",
		"a sign":               "+8a376cace689000",
		"a prefix":             "0x8a376cace68900",
		"a space":              "18a376cace68900 ",
		"byte before '0'":      "18a376cace68900/",
		"byte after '9'":       "18a376cace68900:",
		"byte before 'a'":      "18a376cace68900`",
		"zero byte":            "18a376cace68900\x00",
		"not ASCII":            "18a376cace6890\u00e9",
		"only bytes 0xff":      strings.Repeat("\xff", 16),
	} {
		if id, ok := ParseID([]byte(b)); ok || id != 0 {
			t.Errorf("%s: ParseID(%q) = %x, %v; want 0, false", name, b, id, ok)
		}
	}
}

// Every byte at every position is one of the 16 digits or refused.
func TestParseIDKnowsEveryByte(t *testing.T) {
	const digits = "0123456789abcdef"
	for at := range MessageIDLen {
		for c := range 256 {
			b := []byte("18a376cace689000")
			b[at] = byte(c)
			digit := strings.IndexByte(digits, byte(c))
			id, ok := ParseID(b)
			if ok != (digit >= 0) || ok && int(id>>(4*(15-at))&15) != digit {
				t.Errorf("ParseID(%q) = %x, %v", b, id, ok)
			}
			if ok && string(AppendID(nil, id)) != string(b) {
				t.Errorf("AppendID(%x) = %q, want %q", id, AppendID(nil, id), b)
			}
		}
	}
}

func TestDeferredBytes(t *testing.T) {
	got := AppendDeferred([]byte("dst"), 0x0102030405060708, 0x18ea2682d0398496, 1, 0x18a376cace689000, []byte("hello"))[3:]
	want := unhex(t, "00000027 0102030405060708 18ea2682d0398496 0001 31386133373663616365363839303030 68656c6c6f")
	if !bytes.Equal(got, want) {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

// A file of records is walked to its end, and each message is as it was.
func TestDeferredRoundTrip(t *testing.T) {
	bodies := []string{"hello", "", strings.Repeat("\x00\xff", 500), "x"}
	dues := []int64{0, -1, math.MaxInt64, math.MinInt64}
	var file []byte
	for i, body := range bodies {
		file = AppendDeferred(file, dues[i], int64(i), uint16(i), uint64(i), []byte(body))
	}
	rest := file
	for i, body := range bodies {
		due, message, r, err := ParseDeferred(rest)
		if want := AppendMessage(nil, int64(i), uint16(i), uint64(i), []byte(body)); err != nil || due != dues[i] || !bytes.Equal(message, want) {
			t.Fatalf("record %d: due %d, message %x, %v; want %d, %x", i, due, message, err, dues[i], want)
		}
		if _, err := ParseMessage(message); err != nil {
			t.Errorf("record %d: %v", i, err)
		}
		_ = append(message, "must not run into the next record"...)
		rest = r
	}
	if len(rest) != 0 {
		t.Errorf("%d bytes left", len(rest))
	}
}

// A torn record is ErrShort and consumes nothing.
func TestParseDeferredCutAtEveryByte(t *testing.T) {
	whole := AppendDeferred(nil, 1, 2, 3, 4, []byte("body"))
	for cut := range whole {
		if _, message, rest, err := ParseDeferred(whole[:cut]); err != ErrShort || message != nil || len(rest) != cut {
			t.Errorf("cut at %d of %d: message %x, %d bytes of rest, %v; want ErrShort and all of it", cut, len(whole), message, len(rest), err)
		}
	}
}

func TestParseDeferredRefusesSizes(t *testing.T) {
	for size, want := range map[int32]string{
		0:             "wire: deferred record of 0 bytes is shorter than its header of 34",
		33:            "wire: deferred record of 33 bytes is shorter than its header of 34",
		-1:            "wire: deferred record of -1 bytes is shorter than its header of 34",
		math.MinInt32: "wire: deferred record of -2147483648 bytes is shorter than its header of 34",
		math.MaxInt32: ErrShort.Error(),
		35:            ErrShort.Error(),
	} {
		b := append(AppendSize(nil, int(size)), make([]byte, 34)...)
		if _, _, rest, err := ParseDeferred(b); err == nil || err.Error() != want || !bytes.Equal(rest, b) {
			t.Errorf("size %d: %v, %d bytes of rest; want %s and all of it", size, err, len(rest), want)
		}
	}
}

// A record that parses is written back byte for byte.
func FuzzParseDeferred(f *testing.F) {
	f.Add(AppendDeferred(nil, 1, 2, 3, 4, []byte("hello")))
	f.Add(append(AppendDeferred(nil, -1, -1, math.MaxUint16, math.MaxUint64, nil), "next"...))
	f.Add([]byte("\x00\x00\x00\x21"))
	f.Add([]byte("\x7f\xff\xff\xff"))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		due, message, rest, err := ParseDeferred(b)
		if err != nil {
			if !bytes.Equal(rest, b) {
				t.Fatalf("%x: refused, but only %x is left", b, rest)
			}
			return
		}
		m, err := ParseMessage(message)
		if err != nil {
			t.Fatalf("%x holds a message that does not parse: %v", b, err)
		}
		id, ok := ParseID(m.ID[:])
		enc := AppendDeferred(nil, due, m.Timestamp, m.Attempts, id, m.Body)
		if !ok { // any 16 bytes pass as an id
			copy(enc[SizeLen+8+MessageHeaderLen-MessageIDLen:], m.ID[:])
		}
		if !bytes.Equal(append(enc, rest...), b) {
			t.Fatalf("%x parsed as due %d and %+v, which encodes differently", b, due, m)
		}
	})
}

// A message that parses is written back byte for byte; a shorter input than
// the header does not parse.
func FuzzParseMessage(f *testing.F) {
	f.Add(AppendMessage(nil, 1, 2, 3, []byte("hello")))
	f.Add(AppendMessage(nil, -1, math.MaxUint16, math.MaxUint64, nil))
	f.Add(bytes.Repeat([]byte("X"), MessageHeaderLen-1))
	f.Add(bytes.Repeat([]byte("X"), MessageHeaderLen))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMessage(b)
		if (err == nil) != (len(b) >= MessageHeaderLen) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if err != nil {
			return
		}
		id, ok := ParseID(m.ID[:])
		enc := AppendMessage(nil, m.Timestamp, m.Attempts, id, m.Body)
		if !ok { // any 16 bytes pass as an id
			copy(enc[MessageHeaderLen-MessageIDLen:], m.ID[:])
		}
		if !bytes.Equal(enc, b) {
			t.Fatalf("%x parsed as %+v, which encodes as %x", b, m, enc)
		}
	})
}

func FuzzParseID(f *testing.F) {
	f.Add([]byte("18a376cace689000"))
	f.Add([]byte("18A376CACE689000"))
	f.Add([]byte("ffffffffffffffff"))
	f.Add([]byte("ffffffffffffffffff"))
	f.Add([]byte(""))
	pattern := regexp.MustCompile(`\A[0-9a-f]{16}\z`)
	f.Fuzz(func(t *testing.T, b []byte) {
		id, ok := ParseID(b)
		if ok != pattern.Match(b) {
			t.Fatalf("ParseID(%q) = %v", b, ok)
		}
		if ok && !bytes.Equal(AppendID(nil, id), b) {
			t.Fatalf("ParseID(%q) = %x, which is written %q", b, id, AppendID(nil, id))
		}
	})
}
