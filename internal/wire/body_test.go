package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// bytesAllocated returns how much memory f takes, in bytes.
func bytesAllocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestSizeRoundTrip(t *testing.T) {
	for size, want := range map[int32]string{
		0:             "00 00 00 00",
		1:             "00 00 00 01",
		0x01020304:    "01 02 03 04",
		1 << 20:       "00 10 00 00",
		math.MaxInt32: "7f ff ff ff",
		-1:            "ff ff ff ff",
		math.MinInt32: "80 00 00 00",
	} {
		b := AppendSize([]byte("dst"), int(size))[3:]
		if !bytes.Equal(b, unhex(t, want)) {
			t.Errorf("AppendSize(%d) = %x, want %s", size, b, want)
		}
		if got, err := ParseSize(append(b, "body"...)); got != size || err != nil {
			t.Errorf("ParseSize(%x) = %d, %v; want %d", b, got, err, size)
		}
		r := bufio.NewReader(iotest.OneByteReader(strings.NewReader(string(b) + "body")))
		if got, err := ReadSize(r); got != size || err != nil {
			t.Errorf("ReadSize(%x) = %d, %v; want %d", b, got, err, size)
		}
		if rest, err := io.ReadAll(r); string(rest) != "body" || err != nil {
			t.Errorf("after ReadSize: %q, %v; want the body", rest, err)
		}
	}
}

func TestSizeCut(t *testing.T) {
	whole := AppendSize(nil, 5)
	for cut := range whole {
		if n, err := ParseSize(whole[:cut]); n != 0 || err != ErrShort {
			t.Errorf("ParseSize of %d bytes: %d, %v; want ErrShort", cut, n, err)
		}
		want := io.ErrUnexpectedEOF
		if cut == 0 {
			want = io.EOF
		}
		if n, err := ReadSize(bufio.NewReader(bytes.NewReader(whole[:cut]))); n != 0 || err != want {
			t.Errorf("ReadSize of %d bytes: %d, %v; want %v", cut, n, err, want)
		}
		broken := errors.New("connection reset")
		r := io.MultiReader(bytes.NewReader(whole[:cut]), iotest.ErrReader(broken))
		if n, err := ReadSize(bufio.NewReader(r)); n != 0 || err != broken {
			t.Errorf("ReadSize of %d bytes, then an error: %d, %v; want %v", cut, n, err, broken)
		}
	}
}

// pattern returns n bytes in which no block repeats another.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}

// Bodies around every size at which ReadBody takes more memory.
func TestReadBodyGrows(t *testing.T) {
	for _, n := range []int{
		0, 1, 511, 512, bodyStep - 1, bodyStep, bodyStep + 1,
		2*bodyStep - 1, 2 * bodyStep, 2*bodyStep + 1, 4*bodyStep + 1, 1<<20 + 3,
	} {
		want := pattern(n)
		for name, wrap := range readers {
			r := wrap(io.MultiReader(bytes.NewReader(want), strings.NewReader("next")))
			got, err := ReadBody(r, make([]byte, 0, 512), n)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes, %s: got %d bytes, equal %v, %v", n, name, len(got), bytes.Equal(got, want), err)
			}
			if rest, err := io.ReadAll(r); string(rest) != "next" || err != nil {
				t.Fatalf("%d bytes, %s: %q, %v follow the body", n, name, rest, err)
			}
		}
	}
}

// The first part of a large body, much of which lies in the reader's buffer, is
// collected in memory that others use afterwards: nothing of it may be returned.
func TestReadBodyFromABuffer(t *testing.T) {
	buffered := func(content []byte) *bufio.Reader {
		r := bufio.NewReaderSize(bytes.NewReader(content), scratchLen/2)
		r.Peek(scratchLen / 2)
		return r
	}
	for _, n := range []int{scratchLen - 1, scratchLen, scratchLen + 1, 200_000, 4*scratchLen + 1, 1 << 20} {
		for _, arrive := range []int{n, n - 1, scratchLen/2 + 1, scratchLen - 1, scratchLen, scratchLen + 1} {
			arrive = min(arrive, n)
			want := pattern(arrive)
			got, err := ReadBody(buffered(want), nil, n)
			ReadBody(buffered(make([]byte, n)), nil, n) // others
			if (err == nil) != (arrive == n) || arrive < n && err != io.ErrUnexpectedEOF || !bytes.Equal(got, want) {
				t.Errorf("%d of %d bytes: got %d, equal %v, %v", arrive, n, len(got), bytes.Equal(got, want), err)
			}
		}
	}
}

func TestReadBodyUsesBuf(t *testing.T) {
	for _, tt := range []struct {
		rule   string
		buf    []byte
		n      int
		reused bool
	}{
		{"room to spare", make([]byte, 10), 5, true},
		{"exactly enough", make([]byte, 5), 5, true},
		{"capacity counts, not length", make([]byte, 0, 5), 5, true},
		{"one byte short", make([]byte, 4), 5, false},
	} {
		got, err := ReadBody(strings.NewReader("hello, world"), tt.buf, tt.n)
		if err != nil || string(got) != "hello" {
			t.Fatalf("%s: %q, %v", tt.rule, got, err)
		}
		if reused := &got[0] == &tt.buf[:1][0]; reused != tt.reused {
			t.Errorf("%s: reused = %v, want %v", tt.rule, reused, tt.reused)
		}
	}
}

func TestReadBodyTakesNoMoreThanItReturns(t *testing.T) {
	got, err := ReadBody(bytes.NewReader(pattern(3*bodyStep)), nil, 2*bodyStep+1)
	if err != nil || len(got) != 2*bodyStep+1 || cap(got) > 3*bodyStep {
		t.Errorf("length %d, capacity %d, %v", len(got), cap(got), err)
	}
}

func TestReadBodyCutAtEveryByte(t *testing.T) {
	broken := errors.New("connection reset")
	for cut := range 20 {
		for name, wrap := range readers {
			got, err := ReadBody(wrap(bytes.NewReader(pattern(cut))), nil, 20)
			if err != io.ErrUnexpectedEOF || !bytes.Equal(got, pattern(cut)) {
				t.Errorf("%d of 20 bytes, %s: %x, %v; want them and io.ErrUnexpectedEOF", cut, name, got, err)
			}
		}
		_, err := ReadBody(io.MultiReader(bytes.NewReader(pattern(cut)), iotest.ErrReader(broken)), nil, 20)
		if err != broken {
			t.Errorf("%d of 20 bytes, then an error: %v, want %v", cut, err, broken)
		}
	}
	// The cut lies exactly where more memory was taken.
	if got, err := ReadBody(bytes.NewReader(pattern(bodyStep)), nil, bodyStep+1); err != io.ErrUnexpectedEOF || len(got) != bodyStep {
		t.Errorf("%d of %d bytes: got %d, %v", bodyStep, bodyStep+1, len(got), err)
	}
}

// A body of 1 GiB is announced and only a part of it arrives: memory follows
// what arrived, not what was announced.
func TestReadBodyDoesNotTrustTheSize(t *testing.T) {
	for arrive, limit := range map[int]uint64{
		0:            128 << 10,
		10:           128 << 10,
		bodyStep - 1: 128 << 10,
		1 << 20:      128<<10 + 4<<20,
	} {
		r := bytes.NewReader(pattern(arrive))
		var got []byte
		var err error
		allocated := bytesAllocated(func() { got, err = ReadBody(r, nil, 1<<30) })
		if len(got) != arrive || err != io.ErrUnexpectedEOF {
			t.Errorf("%d bytes arrive: got %d, %v; want io.ErrUnexpectedEOF", arrive, len(got), err)
		}
		if allocated > limit {
			t.Errorf("%d bytes arrive: took %d bytes of memory, want at most %d", arrive, allocated, limit)
		}
	}
}

// walk returns the messages of a payload.
func walk(payload []byte) (bodies [][]byte) {
	for off := 0; off < len(payload); {
		var body []byte
		body, off = NextInPayload(payload, off)
		bodies = append(bodies, body)
	}
	return bodies
}

func messages(bodies ...string) (b [][]byte) {
	for _, body := range bodies {
		b = append(b, []byte(body))
	}
	return b
}

func TestBatchBytes(t *testing.T) {
	bodies := messages("a", "bcd")
	const want = "\x00\x00\x00\x02" + "\x00\x00\x00\x01a" + "\x00\x00\x00\x03bcd"
	if got := AppendBatch([]byte("dst"), bodies); string(got) != "dst"+want {
		t.Errorf("AppendBatch: %q, want %q", got, want)
	}
	if got := BatchLen(bodies); got != len(want) {
		t.Errorf("BatchLen = %d, want %d", got, len(want))
	}
	if got := BatchLen(nil); got != SizeLen || string(AppendBatch(nil, nil)) != "\x00\x00\x00\x00" {
		t.Errorf("a batch of none: length %d, bytes %q", got, AppendBatch(nil, nil))
	}
	var payload []byte
	for _, body := range bodies {
		payload = AppendToPayload(payload, body)
	}
	if string(payload) != want[SizeLen:] {
		t.Errorf("payload message by message: %q, want %q", payload, want[SizeLen:])
	}
}

func TestBatchRoundTrip(t *testing.T) {
	for name, bodies := range map[string][][]byte{
		"one message":               messages("x"),
		"three":                     messages("a", "bcd", "\x00\x00\x00\x01"),
		"largest message":           {pattern(1000)},
		"many":                      slices.Repeat(messages("message", "m"), 500),
		"bodies that look framed":   messages("\x00\x00\x00\x02\x00\x00\x00\x01a", "MPUB t\n"),
		"bodies of every byte":      {pattern(256), pattern(255)},
		"the same message repeated": messages("x", "x", "x"),
	} {
		t.Run(name, func(t *testing.T) {
			b := append(AppendBatch(nil, bodies), "NOP\n"...)
			count, payload, rest, err := ParseBatch(b, 1<<20, 1000)
			if err != nil {
				t.Fatal(err)
			}
			if count != len(bodies) || string(rest) != "NOP\n" {
				t.Errorf("count %d, rest %q; want %d and what follows the batch", count, rest, len(bodies))
			}
			if got := walk(payload); !slices.EqualFunc(got, bodies, bytes.Equal) {
				t.Errorf("messages %q, want %q", got, bodies)
			}
			for i := range b { // no copy was made
				b[i] = 'z'
			}
			if strings.Trim(string(payload)+string(rest), "z") != "" {
				t.Error("payload or rest is a copy, not a slice of the input")
			}
		})
	}
}

// Appending to what was parsed must not run into what follows it.
func TestBatchSlicesEndWhereTheyEnd(t *testing.T) {
	b := append(AppendBatch(nil, messages("a", "b")), "NOP\n"...)
	_, payload, rest, err := ParseBatch(b, 1<<20, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	first, next := NextInPayload(payload, 0)
	_ = append(first, "xxxx"...)
	_ = append(payload, "xxxx"...)
	if second, end := NextInPayload(payload, next); string(second) != "b" || end != len(payload) {
		t.Errorf("second message %q, ends at %d of %d", second, end, len(payload))
	}
	if string(rest) != "NOP\n" {
		t.Errorf("rest %q", rest)
	}
}

// What MPUB refuses, in the order of its checks. The body may have 24 bytes
// (at most 4 messages), a message 5.
func TestParseBatchRefusals(t *testing.T) {
	const (
		maxBody, maxMessage = 24, 5

		one  = "\x00\x00\x00\x01"
		two  = "\x00\x00\x00\x02"
		four = "\x00\x00\x00\x04"
		x    = "\x00\x00\x00\x01x" // a message
	)
	for _, tt := range []struct{ rule, body, want string }{
		{"no body", "", "E_BAD_BODY MPUB failed to read message count"},
		{"cut in the count", "\x00\x00\x00", "E_BAD_BODY MPUB failed to read message count"},

		{"count 0", "\x00\x00\x00\x00" + x, "E_BAD_BODY MPUB invalid message count 0"},
		{"count -1", "\xff\xff\xff\xff" + x, "E_BAD_BODY MPUB invalid message count -1"},
		{"smallest count", "\x80\x00\x00\x00", "E_BAD_BODY MPUB invalid message count -2147483648"},
		{"largest count", "\x7f\xff\xff\xff", "E_BAD_BODY MPUB invalid message count 2147483647"},
		{"one message more than fit", "\x00\x00\x00\x05" + x + x + x + x + x, "E_BAD_BODY MPUB invalid message count 5"},
		{"the count is refused before its messages", "\x00\x00\x00\x05" + "\x00\x00\x00\x00", "E_BAD_BODY MPUB invalid message count 5"},

		{"no first message", one, "E_BAD_MESSAGE MPUB failed to read message(0) body size"},
		{"cut in the first size", one + "\x00\x00\x00", "E_BAD_MESSAGE MPUB failed to read message(0) body size"},
		{"no second message", two + x, "E_BAD_MESSAGE MPUB failed to read message(1) body size"},
		{"cut in the last size", four + x + x + x + "\x00", "E_BAD_MESSAGE MPUB failed to read message(3) body size"},

		{"size 0", one + "\x00\x00\x00\x00", "E_BAD_MESSAGE MPUB invalid message(0) body size 0"},
		{"size -1", one + "\xff\xff\xff\xff", "E_BAD_MESSAGE MPUB invalid message(0) body size -1"},
		{"smallest size", one + "\x80\x00\x00\x00", "E_BAD_MESSAGE MPUB invalid message(0) body size -2147483648"},
		{"second size 0", two + x + "\x00\x00\x00\x00", "E_BAD_MESSAGE MPUB invalid message(1) body size 0"},

		{"one byte over the message limit", one + "\x00\x00\x00\x06xxxxxx", "E_BAD_MESSAGE MPUB message too big 6 > 5"},
		{"too big before its bytes arrived", one + "\x7f\xff\xff\xff", "E_BAD_MESSAGE MPUB message too big 2147483647 > 5"},
		{"the second too big", two + x + "\x00\x00\x00\x06xxxxxx", "E_BAD_MESSAGE MPUB message too big 6 > 5"},

		{"no byte of the message", one + "\x00\x00\x00\x01", "E_BAD_MESSAGE MPUB failed to read message body"},
		{"cut in the message", one + "\x00\x00\x00\x05xxxx", "E_BAD_MESSAGE MPUB failed to read message body"},
		{"cut in the second message", two + x + "\x00\x00\x00\x02x", "E_BAD_MESSAGE MPUB failed to read message body"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			count, payload, rest, err := ParseBatch([]byte(tt.body), maxBody, maxMessage)
			if count != 0 || payload != nil || rest != nil {
				t.Errorf("returned count %d, payload %x, rest %x", count, payload, rest)
			}
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Error() != tt.want {
				t.Fatalf("error %v, want %s", err, tt.want)
			}
			if !e.Fatal() {
				t.Error("the connection would stay open")
			}
			cut := strings.Contains(tt.want, "failed to read")
			if errors.Is(err, ErrShort) != cut {
				t.Errorf("cause %v; input too short: %v", e.Err, cut)
			}
		})
	}
}

func TestParseBatchAccepts(t *testing.T) {
	for _, tt := range []struct {
		rule                string
		bodies              [][]byte
		maxBody, maxMessage int
	}{
		{"as many messages as fit", messages("a", "b", "c", "d"), 24, 5},
		{"as many, and the division leaves a rest", messages("a", "b", "c", "d"), 28, 5},
		{"a message of the largest size", messages("12345"), 24, 5},
		{"a message of one byte", messages("1"), 9, 1},
		{"more bytes than a body may have: the count alone is checked", messages("12345", "12345", "12345", "12345"), 24, 5},
	} {
		count, payload, rest, err := ParseBatch(AppendBatch(nil, tt.bodies), tt.maxBody, tt.maxMessage)
		if err != nil || count != len(tt.bodies) || len(rest) != 0 || !slices.EqualFunc(walk(payload), tt.bodies, bytes.Equal) {
			t.Errorf("%s: count %d, payload %q, rest %q, %v", tt.rule, count, payload, rest, err)
		}
	}
}

// With nsqd's default --max-body-size: (5242880 - 4) / 5.
func TestParseBatchDefaultCountLimit(t *testing.T) {
	for count, want := range map[int]string{
		1048575: "E_BAD_MESSAGE MPUB failed to read message(0) body size",
		1048576: "E_BAD_BODY MPUB invalid message count 1048576",
	} {
		if _, _, _, err := ParseBatch(AppendSize(nil, count), 5242880, 1048576); err == nil || err.Error() != want {
			t.Errorf("count %d: %v, want %s", count, err, want)
		}
	}
}

// Every cut of a batch is refused, and none is taken for a smaller batch.
func TestParseBatchCutAtEveryByte(t *testing.T) {
	whole := AppendBatch(nil, messages("a", "bcd", "ef"))
	for cut := range whole {
		if count, payload, _, err := ParseBatch(whole[:cut], 1<<20, 1<<20); !errors.Is(err, ErrShort) {
			t.Errorf("cut at %d of %d: count %d, payload %q, %v; want ErrShort", cut, len(whole), count, payload, err)
		}
	}
}

// What is accepted is the batch of the messages walked over, followed by rest;
// what is refused is refused in the words of MPUB.
func FuzzParseBatch(f *testing.F) {
	f.Add(AppendBatch(nil, messages("a", "bcd")), 1<<20, 1<<20)
	f.Add(append(AppendBatch(nil, messages("a", "b", "c", "d")), "NOP\n"...), 24, 5)
	f.Add(AppendBatch(nil, messages("too big")), 24, 5)
	f.Add(AppendBatch(nil, messages("a", "")), 24, 5)
	f.Add(AppendBatch(nil, nil), 24, 5)
	f.Add([]byte("\x7f\xff\xff\xff"), math.MaxInt, 5)
	f.Add([]byte("\x00\x00\x00\x01\x7f\xff\xff\xff"), 24, math.MaxInt)
	f.Add([]byte("\x00\x00\x00\x01\xff\xff\xff\xff"), 0, -1)
	f.Add([]byte("\x00"), 24, 5)
	f.Fuzz(func(t *testing.T, b []byte, maxBody, maxMessage int) {
		count, payload, rest, err := ParseBatch(b, maxBody, maxMessage)
		if err != nil {
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Code != BadBody && e.Code != BadMessage || !strings.HasPrefix(e.Desc, "MPUB ") {
				t.Fatalf("%x: error %v", b, err)
			}
			return
		}
		bodies := walk(payload)
		if len(bodies) != count || count == 0 || count > (maxBody-4)/5 {
			t.Fatalf("%x with a limit of %d: count %d, but %d messages", b, maxBody, count, len(bodies))
		}
		for i, body := range bodies {
			if len(body) == 0 || len(body) > maxMessage {
				t.Fatalf("%x: message %d of %d bytes passed a limit of %d", b, i, len(body), maxMessage)
			}
		}
		enc := AppendBatch(nil, bodies)
		if !bytes.Equal(enc[SizeLen:], payload) || !bytes.Equal(append(enc, rest...), b) {
			t.Fatalf("%x parsed as %x, which encodes differently", b, bodies)
		}
		if BatchLen(bodies) != SizeLen+len(payload) {
			t.Fatalf("%x: BatchLen %d, want %d", b, BatchLen(bodies), SizeLen+len(payload))
		}
	})
}
