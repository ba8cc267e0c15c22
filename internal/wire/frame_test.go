package wire

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
)

// unhex returns the bytes of hex digits that may be grouped by spaces, as the
// protocol reference prints them.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFrameBytes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		frame []byte
		bytes string
	}{
		{
			"OK", AppendFrame(nil, FrameResponse, OK),
			"00 00 00 06  00 00 00 00  4F 4B",
		},
		{
			"heartbeat", AppendFrame(nil, FrameResponse, Heartbeat),
			"00 00 00 0F  00 00 00 00  5F 68 65 61 72 74 62 65 61 74 5F",
		},
		{
			"answer to CLS", AppendFrame(nil, FrameResponse, CloseWait),
			"00 00 00 0E  00 00 00 00  43 4C 4F 53 45 5F 57 41 49 54",
		},
		{
			"wrong magic: a code without text", AppendError(nil, NewError(BadProtocol, "", nil)),
			"00 00 00 12  00 00 00 01  45 5F 42 41 44 5F 50 52 4F 54 4F 43 4F 4C",
		},
		{
			"error: code, space, text", AppendError(nil, NewError(Invalid, "no", nil)),
			"00 00 00 10  00 00 00 01  45 5F 49 4E 56 41 4C 49 44 20 6E 6F",
		},
		{
			"message", AppendMessageFrame(nil, 0x18ea2682d0398496, 1, 0x18a376cace689000, []byte("hello")),
			"00000023 00000002 18ea2682d0398496 0001 31386133373663616365363839303030 68656c6c6f",
		},
		{
			"no data", AppendFrame(nil, FrameResponse, ""),
			"00 00 00 04  00 00 00 00",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if want := unhex(t, tt.bytes); !bytes.Equal(tt.frame, want) {
				t.Errorf("got  %x\nwant %x", tt.frame, want)
			}
		})
	}
}

func TestMagic(t *testing.T) {
	for magic, want := range map[string]string{MagicV1: "20 20 56 31", MagicV2: "20 20 56 32"} {
		if !bytes.Equal([]byte(magic), unhex(t, want)) {
			t.Errorf("magic %q is %x, want %s", magic, magic, want)
		}
	}
}

// A string and a byte slice of the same bytes are the same data, and what dst
// holds already stays.
func TestAppendFrameExtendsDst(t *testing.T) {
	dst := []byte("before")
	want := append([]byte("before"), AppendFrame(nil, FrameError, []byte("data"))...)
	if got := AppendFrame(dst, FrameError, "data"); !bytes.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

type frame struct {
	t    FrameType
	data []byte
}

// someFrames are what one connection might receive, one after the other. Their
// sizes lie below, at and above what ReadFrame takes when it is given nothing.
func someFrames() []frame {
	return []frame{
		{FrameResponse, []byte(OK)},
		{FrameMessage, AppendMessage(nil, 1, 2, 3, []byte("body"))},
		{FrameError, []byte("E_INVALID cannot SUB in current state")},
		{FrameResponse, nil},
		{FrameMessage, AppendMessage(nil, math.MinInt64, math.MaxUint16, math.MaxUint64, bytes.Repeat([]byte{0xA5}, 512-MessageHeaderLen))},
		{FrameMessage, AppendMessage(nil, math.MaxInt64, 0, 0, bytes.Repeat([]byte("\n\x00"), 400))},
		{FrameType(-1), []byte("a type no one has heard of")},
		{FrameResponse, []byte(Heartbeat)},
	}
}

// appendAll returns the bytes of the frames and where each one starts; the
// last offset is the end.
func appendAll(frames []frame) (stream []byte, starts []int) {
	for _, f := range frames {
		starts = append(starts, len(stream))
		stream = AppendFrame(stream, f.t, f.data)
	}
	return stream, append(starts, len(stream))
}

func TestParseFrameRoundTrip(t *testing.T) {
	frames := someFrames()
	rest, _ := appendAll(frames)
	for i, want := range frames {
		typ, data, r, err := ParseFrame(rest, 0)
		if err != nil || typ != want.t || !bytes.Equal(data, want.data) {
			t.Fatalf("frame %d: (%d, %q, %v), want (%d, %q)", i, typ, data, err, want.t, want.data)
		}
		rest = r
	}
	if len(rest) != 0 {
		t.Errorf("%d bytes left", len(rest))
	}
}

// A frame that is cut anywhere is ErrShort and consumes nothing.
func TestParseFrameCutAtEveryByte(t *testing.T) {
	for i, f := range someFrames() {
		whole := AppendFrame(nil, f.t, f.data)
		for cut := range whole {
			_, data, rest, err := ParseFrame(whole[:cut], 0)
			if err != ErrShort || data != nil || len(rest) != cut {
				t.Fatalf("frame %d cut at %d of %d: data %q, %d bytes of rest, %v; want ErrShort and all of it", i, cut, len(whole), data, len(rest), err)
			}
		}
	}
}

// Readers may hand out as little as they like, and io.EOF with the last bytes.
var readers = map[string]func(io.Reader) io.Reader{
	"all at once":               func(r io.Reader) io.Reader { return r },
	"one byte at a time":        iotest.OneByteReader,
	"half of what is asked for": iotest.HalfReader,
	"EOF with the last bytes":   iotest.DataErrReader,
	"one byte, EOF with last":   func(r io.Reader) io.Reader { return iotest.DataErrReader(iotest.OneByteReader(r)) },
}

var buffers = map[string][]byte{
	"no buffer":                       nil,
	"buffer smaller than the header":  make([]byte, FrameHeaderLen-1),
	"buffer of the header's size":     make([]byte, FrameHeaderLen),
	"empty buffer with room":          make([]byte, 0, 64),
	"buffer larger than every frame":  make([]byte, 4096),
	"buffer for all but the largest":  make([]byte, 512),
	"buffer that lacks a single byte": make([]byte, 511),
}

func TestReadFrameRoundTrip(t *testing.T) {
	frames := someFrames()
	stream, _ := appendAll(frames)
	for rname, wrap := range readers {
		for bname, buf := range buffers {
			t.Run(rname+"/"+bname, func(t *testing.T) {
				r := wrap(bytes.NewReader(stream))
				for i, want := range frames {
					typ, data, err := ReadFrame(r, buf, 0)
					if err != nil || typ != want.t || !bytes.Equal(data, want.data) {
						t.Fatalf("frame %d: (%d, %q, %v), want (%d, %q)", i, typ, data, err, want.t, want.data)
					}
				}
				if _, _, err := ReadFrame(r, buf, 0); err != io.EOF {
					t.Errorf("after the last frame: %v, want io.EOF", err)
				}
			})
		}
	}
}

func TestReadFrameUsesBuf(t *testing.T) {
	buf := make([]byte, 0, 64)
	for size, reused := range map[int]bool{1: true, 63: true, 64: true, 65: false, 600: false} {
		_, data, err := ReadFrame(bytes.NewReader(AppendFrame(nil, FrameMessage, make([]byte, size))), buf, 0)
		if err != nil || len(data) != size {
			t.Fatalf("%d bytes of data: got %d, %v", size, len(data), err)
		}
		if got := &data[0] == &buf[:1][0]; got != reused {
			t.Errorf("%d bytes of data into a buffer of %d: reused = %v, want %v", size, cap(buf), got, reused)
		}
	}
}

// Only an end between two frames is a clean one.
func TestReadFrameCutAtEveryByte(t *testing.T) {
	frames := someFrames()
	stream, starts := appendAll(frames)
	for name, wrap := range readers {
		t.Run(name, func(t *testing.T) {
			for cut := range len(stream) + 1 {
				whole, clean := 0, false // frames before the cut; whether it is between two
				for i, start := range starts {
					if start <= cut {
						whole, clean = i, start == cut
					}
				}
				r := wrap(bytes.NewReader(stream[:cut]))
				for i := range whole {
					if _, data, err := ReadFrame(r, nil, 0); err != nil || !bytes.Equal(data, frames[i].data) {
						t.Fatalf("cut at %d: frame %d: %q, %v", cut, i, data, err)
					}
				}
				want := io.ErrUnexpectedEOF
				if clean {
					want = io.EOF
				}
				if _, _, err := ReadFrame(r, nil, 0); err != want {
					t.Fatalf("cut at %d: %v, want %v", cut, err, want)
				}
			}
		})
	}
}

// A reader's own error arrives as it is, wherever the frame breaks off.
func TestReadFrameReturnsTheReadersError(t *testing.T) {
	whole := AppendFrame(nil, FrameResponse, OK)
	broken := errors.New("connection reset")
	for cut := range whole {
		r := io.MultiReader(bytes.NewReader(whole[:cut]), iotest.ErrReader(broken))
		if _, _, err := ReadFrame(r, nil, 0); err != broken {
			t.Errorf("broken at %d: %v, want %v", cut, err, broken)
		}
	}
}

func TestFrameSizeLimits(t *testing.T) {
	header := func(size int32) []byte {
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, uint32(size)), uint32(FrameMessage))
	}
	for _, tt := range []struct {
		name string
		b    []byte
		max  int
		err  string // empty: accepted
	}{
		{"size without room for the type", header(3), 0, "wire: frame size 3 is less than the 4 bytes of its type"},
		{"size 0", header(0), 0, "wire: frame size 0 is less than the 4 bytes of its type"},
		{"negative size", header(-1), 0, "wire: frame size -1 is less than the 4 bytes of its type"},
		{"smallest size", header(math.MinInt32), 0, "wire: frame size -2147483648 is less than the 4 bytes of its type"},
		{"one byte over the limit", AppendFrame(nil, FrameMessage, "12345"), 4, "wire: frame of 5 bytes exceeds the limit of 4"},
		{"over the limit before its data arrived", header(math.MaxInt32), 1 << 20, "wire: frame of 2147483643 bytes exceeds the limit of 1048576"},
		{"at the limit", AppendFrame(nil, FrameMessage, "1234"), 4, ""},
		{"0 sets no limit", AppendFrame(nil, FrameMessage, "12345"), 0, ""},
		{"a negative limit is none", AppendFrame(nil, FrameMessage, "12345"), -1, ""},
		{"no data fits any limit", header(4), 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, _, rest, perr := ParseFrame(tt.b, tt.max)
			_, _, rerr := ReadFrame(bytes.NewReader(tt.b), nil, tt.max)
			for reader, err := range map[string]error{"ParseFrame": perr, "ReadFrame": rerr} {
				got := ""
				if err != nil {
					got = err.Error()
				}
				if got != tt.err {
					t.Errorf("%s: error %q, want %q", reader, got, tt.err)
				}
			}
			if perr != nil && !bytes.Equal(rest, tt.b) {
				t.Errorf("ParseFrame refused the frame and left %x of %x", rest, tt.b)
			}
		})
	}
}

// ReadFrame announces 1 GiB of which only ten bytes arrive.
func TestReadFrameDoesNotTrustTheSize(t *testing.T) {
	b := append(AppendSize(nil, 1<<30), "\x00\x00\x00\x02ten bytes."...)
	var err error
	allocated := bytesAllocated(func() { _, _, err = ReadFrame(bytes.NewReader(b), nil, 0) })
	if err != io.ErrUnexpectedEOF {
		t.Errorf("error %v, want io.ErrUnexpectedEOF", err)
	}
	if allocated > 128<<10 {
		t.Errorf("took %d bytes of memory", allocated)
	}
}

// Whatever parses encodes back to the bytes it came from, ReadFrame reads the
// same, and nothing panics.
func FuzzParseFrame(f *testing.F) {
	stream, _ := appendAll(someFrames())
	f.Add(stream, 0)
	f.Add(AppendFrame(nil, FrameResponse, Heartbeat), len(Heartbeat))
	f.Add(AppendFrame(nil, FrameResponse, Heartbeat), len(Heartbeat)-1)
	f.Add([]byte("\x00\x00\x00\x03\x00\x00\x00\x00"), 0)
	f.Add([]byte("\xff\xff\xff\xff\x00\x00\x00\x00"), -1)
	f.Add([]byte("\x7f\xff\xff\xff\x00\x00\x00\x00"), 0)
	f.Add([]byte("\x00\x00\x00"), 0)
	f.Add([]byte(nil), 0)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		typ, data, rest, err := ParseFrame(b, limit)
		rtyp, rdata, rerr := ReadFrame(bytes.NewReader(b), nil, limit)
		if err != nil {
			if rerr == nil {
				t.Fatalf("%x with limit %d: ParseFrame refuses (%v) what ReadFrame accepts", b, limit, err)
			}
			if !bytes.Equal(rest, b) {
				t.Fatalf("%x with limit %d: refused, but only %x is left", b, limit, rest)
			}
			return
		}
		if enc := append(AppendFrame(nil, typ, data), rest...); !bytes.Equal(enc, b) {
			t.Fatalf("%x parsed as (%d, %x), which encodes differently", b, typ, data)
		}
		if limit > 0 && len(data) > limit {
			t.Fatalf("%d bytes of data passed a limit of %d", len(data), limit)
		}
		if rerr != nil || rtyp != typ || !bytes.Equal(rdata, data) {
			t.Fatalf("%x: ReadFrame returned (%d, %x, %v), ParseFrame (%d, %x)", b, rtyp, rdata, rerr, typ, data)
		}
	})
}

func ExampleParseFrame() {
	received := []byte("\x00\x00\x00\x06\x00\x00\x00\x00OK\x00\x00\x00\x0f\x00\x00\x00\x00_heart")
	for {
		t, data, rest, err := ParseFrame(received, 1<<20)
		if err != nil {
			fmt.Println(err, "with", len(received), "bytes left")
			return
		}
		fmt.Printf("%d %s\n", t, data)
		received = rest
	}
	// Output:
	// 0 OK
	// wire: input too short with 14 bytes left
}

func TestReadFrameHeader(t *testing.T) {
	frame := AppendFrame(nil, FrameMessage, "data")
	for _, tt := range []struct {
		name, in string
		max      int
		err      string
	}{
		{"whole", string(frame), 4, ""},
		{"without its data", string(frame[:FrameHeaderLen]), 0, ""},
		{"nothing", "", 0, io.EOF.Error()},
		{"a part", string(frame[:FrameHeaderLen-1]), 0, io.ErrUnexpectedEOF.Error()},
		{"too large", string(frame), 3, "wire: frame of 4 bytes exceeds the limit of 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := bufio.NewReader(strings.NewReader(tt.in))
			typ, n, err := ReadFrameHeader(r, tt.max)
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("got %v, want %s", err, tt.err)
				}
				return
			}
			if rest, _ := io.ReadAll(r); typ != FrameMessage || n != 4 || err != nil || string(rest) != tt.in[FrameHeaderLen:] {
				t.Errorf("got type %d, length %d, %v, and %q is left", typ, n, err, rest)
			}
		})
	}
}
