package wire

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// What the encoders write and the parsers read below. In package variables,
// so that the compiler takes nothing for a constant.
var (
	hotBody   = bytes.Repeat([]byte("b"), 200)
	hotBatch  = [][]byte{hotBody, hotBody[:100], hotBody[:1]}
	hotJSON   = []byte(`{"client_id":"a","hostname":"b"}`)
	hotSecret = "secret"
	hotTopic  = "orders"
	hotError  = NewError(FinFailed, "FIN 18a376cace689000 failed ID not in flight", nil)
	hotDelay  = 90 * time.Second
	hotCount  = 2500
	hotName   = []byte("DPUB")
	hotParams = [][]byte{[]byte("orders"), []byte("90000")}
	hotTime   = int64(1795305600123456789)
	hotNumber = uint64(0x18a376cace689000)
)

// encoders holds every function that appends to a buffer.
var encoders = []struct {
	name   string
	append func(dst []byte) []byte
}{
	{"AppendFrame", func(dst []byte) []byte { return AppendFrame(dst, FrameMessage, hotBody) }},
	{"AppendFrame of a string", func(dst []byte) []byte { return AppendFrame(dst, FrameResponse, hotSecret) }},
	{"AppendError", func(dst []byte) []byte { return AppendError(dst, hotError) }},
	{"AppendMessage", func(dst []byte) []byte { return AppendMessage(dst, hotTime, 1, hotNumber, hotBody) }},
	{"AppendMessageFrame", func(dst []byte) []byte { return AppendMessageFrame(dst, hotTime, 1, hotNumber, hotBody) }},
	{"AppendDeferred", func(dst []byte) []byte { return AppendDeferred(dst, hotTime, hotTime, 1, hotNumber, hotBody) }},
	{"AppendID", func(dst []byte) []byte { return AppendID(dst, hotNumber) }},
	{"AppendSub", func(dst []byte) []byte { return AppendSub(dst, hotTopic, hotTopic) }},
	{"AppendRdy", func(dst []byte) []byte { return AppendRdy(dst, hotCount) }},
	{"AppendFin", func(dst []byte) []byte { return AppendFin(dst, testID) }},
	{"AppendReq", func(dst []byte) []byte { return AppendReq(dst, testID, hotDelay) }},
	{"AppendTouch", func(dst []byte) []byte { return AppendTouch(dst, testID) }},
	{"AppendCls", AppendCls},
	{"AppendNop", AppendNop},
	{"AppendRegister", func(dst []byte) []byte { return AppendRegister(dst, hotTopic, hotTopic) }},
	{"AppendUnregister", func(dst []byte) []byte { return AppendUnregister(dst, hotTopic, "") }},
	{"AppendPing", AppendPing},
	{"AppendResponse", func(dst []byte) []byte { return AppendResponse(dst, hotJSON) }},
	{"AppendIdentify", func(dst []byte) []byte { return AppendIdentify(dst, hotJSON) }},
	{"AppendAuth", func(dst []byte) []byte { return AppendAuth(dst, hotSecret) }},
	{"AppendPub", func(dst []byte) []byte { return AppendPub(dst, hotTopic, hotBody) }},
	{"AppendDPub", func(dst []byte) []byte { return AppendDPub(dst, hotTopic, hotDelay, hotBody) }},
	{"AppendMPub", func(dst []byte) []byte { return AppendMPub(dst, hotTopic, hotBatch) }},
	{"AppendCommand", func(dst []byte) []byte { return AppendCommand(dst, hotName, hotParams, hotBody) }},
	{"AppendSize", func(dst []byte) []byte { return AppendSize(dst, hotCount) }},
	{"AppendBatch", func(dst []byte) []byte { return AppendBatch(dst, hotBatch) }},
	{"AppendToPayload", func(dst []byte) []byte { return AppendToPayload(dst, hotBody) }},
}

// Results go here, so that the compiler drops no call.
var (
	sinkLine Line
	sinkSum  int64
	sinkBool bool
)

// parsers holds what reads from memory. Each returns whether it understood its
// input, which none of them may fail to.
var parsers = []struct {
	name  string
	parse func() bool
}{
	{"ParseLine", parseLine("REQ 18a376cace689000 90000\r\n", 2)},
	{"ParseLine of one word", parseLine("NOP\n", 0)},
	{"ParseLine with extra parameters", parseLine("SUB t c x y z\n", 5)},
	{"ParseNumber", parseNumber("3600000")},
	{"ParseNumber of 20 digits", parseNumber("18446744073709551617")},
	{"ParseID", parseID("18a376cace689000")},
	{"ValidName", validName("orders.of-today_2#ephemeral")},
	{"ValidName of 64 bytes", validName(strings.Repeat("x", MaxNameLen))},
	{"ParseFrame", parseFrame(AppendFrame(nil, FrameMessage, hotBody))},
	{"ParseMessage", parseMessage(AppendMessage(nil, 1, 2, 3, hotBody))},
	{"ParseDeferred", parseDeferred(AppendDeferred(nil, 1, 2, 3, 4, hotBody))},
	{"ParseSize", parseSize(AppendSize(nil, 2500))},
	{"ParseBatch and walk", parseBatch(AppendBatch(nil, hotBatch))},
}

func parseLine(s string, params int) func() bool {
	b := []byte(s)
	return func() bool {
		sinkLine = ParseLine(b)
		return sinkLine.Params() == params
	}
}

func parseNumber(s string) func() bool {
	b := []byte(s)
	return func() (ok bool) {
		n, err := ParseNumber(b)
		sinkSum += n
		return err == nil
	}
}

func parseID(s string) func() bool {
	b := []byte(s)
	return func() bool {
		id, ok := ParseID(b)
		sinkSum += int64(id)
		return ok
	}
}

func validName(s string) func() bool {
	b := []byte(s)
	return func() bool { return ValidName(b) }
}

func parseFrame(b []byte) func() bool {
	return func() bool {
		t, data, rest, err := ParseFrame(b, 1<<20)
		sinkSum += int64(len(data))
		return t == FrameMessage && len(rest) == 0 && err == nil
	}
}

func parseMessage(b []byte) func() bool {
	return func() bool {
		m, err := ParseMessage(b)
		sinkSum += m.Timestamp + int64(len(m.Body))
		return err == nil
	}
}

func parseDeferred(b []byte) func() bool {
	return func() bool {
		due, message, rest, err := ParseDeferred(b)
		sinkSum += due + int64(len(message))
		return len(rest) == 0 && err == nil
	}
}

func parseSize(b []byte) func() bool {
	return func() bool {
		n, err := ParseSize(b)
		sinkSum += int64(n)
		return err == nil
	}
}

func parseBatch(b []byte) func() bool {
	return func() bool {
		count, payload, rest, err := ParseBatch(b, 5242880, 1048576)
		for off := 0; off < len(payload); count-- {
			var body []byte
			body, off = NextInPayload(payload, off)
			sinkSum += int64(len(body))
		}
		return count == 0 && len(rest) == 0 && err == nil
	}
}

// Given room, encoders allocate nothing; parsers never do.
func TestEncodersAndParserDoNotAllocate(t *testing.T) {
	for _, e := range encoders {
		buf := make([]byte, 0, 1024)
		if n := testing.AllocsPerRun(100, func() { buf = e.append(buf[:0]) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", e.name, n)
		}
		if len(buf) == 0 {
			t.Errorf("%s wrote nothing", e.name)
		}
	}
	for _, p := range parsers {
		ok := true
		if n := testing.AllocsPerRun(100, func() { ok = p.parse() && ok }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", p.name, n)
		}
		if !ok {
			t.Errorf("%s refused its input", p.name)
		}
	}
}

// Given a buffer with room, reading a frame or a body allocates nothing.
func TestReadersDoNotAllocate(t *testing.T) {
	stream := AppendFrame(nil, FrameMessage, hotBody)
	r := bytes.NewReader(nil)
	buf := make([]byte, 1024)
	var err error
	if n := testing.AllocsPerRun(100, func() {
		r.Reset(stream)
		_, _, err = ReadFrame(r, buf, 1<<20)
	}); n != 0 || err != nil {
		t.Errorf("ReadFrame: %v allocations, %v; want 0", n, err)
	}
	if n := testing.AllocsPerRun(100, func() {
		r.Reset(stream)
		_, err = ReadBody(r, buf, len(stream))
	}); n != 0 || err != nil {
		t.Errorf("ReadBody: %v allocations, %v; want 0", n, err)
	}
}

func BenchmarkEncoders(b *testing.B) {
	for _, e := range encoders {
		b.Run(e.name, func(b *testing.B) {
			buf := make([]byte, 0, 1024)
			b.ReportAllocs()
			for b.Loop() {
				buf = e.append(buf[:0])
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}

func BenchmarkParsers(b *testing.B) {
	for _, p := range parsers {
		b.Run(p.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sinkBool = p.parse()
			}
		})
	}
}

func BenchmarkReadFrame(b *testing.B) {
	stream := AppendFrame(nil, FrameMessage, hotBody)
	r := bytes.NewReader(nil)
	buf := make([]byte, 1024)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(stream)
		if _, _, err := ReadFrame(r, buf, 1<<20); err != nil {
			b.Fatal(err)
		}
	}
}
