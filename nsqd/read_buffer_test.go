package nsqd

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadLine(t *testing.T) {
	longest := strings.Repeat("x", maxReadBuffer-1) + "\n"
	for rule, tt := range map[string]struct {
		input string
		lines []string
		err   error
	}{
		"lines":                     {"a\n\nbc\r\n", []string{"a\n", "\n", "bc\r\n"}, io.EOF},
		"a cut line is lost":        {"a\nbc", []string{"a\n"}, io.EOF},
		"the longest line":          {longest + "NOP\n", []string{longest, "NOP\n"}, io.EOF},
		"behind another":            {"NOP\n" + longest, []string{"NOP\n", longest}, io.EOF},
		"a line that is too long":   {"NOP\nx" + longest, []string{"NOP\n"}, errLineTooLong},
		"a buffer without line end": {longest[1:] + longest[:1], []string{longest[1:]}, io.EOF},
	} {
		for way, src := range map[string]io.Reader{
			"at once":     strings.NewReader(tt.input),
			"in bytes":    iotest.OneByteReader(strings.NewReader(tt.input)),
			"EOF with it": iotest.DataErrReader(strings.NewReader(tt.input)),
		} {
			b := newReadBuffer(src)
			for _, want := range tt.lines {
				if line, err := b.ReadLine(); string(line) != want || err != nil {
					t.Errorf("%s, %s: %.20q, %v, want %.20q", rule, way, line, err, want)
				}
			}
			if line, err := b.ReadLine(); line != nil || err != tt.err {
				t.Errorf("%s, %s: %.20q, %v at the end, want %v", rule, way, line, err, tt.err)
			}
		}
	}
}

// Any mixture of its methods, over reads of any size, gives the input byte by byte.
func TestReadBufferGivesTheInput(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	input := make([]byte, 4<<20)
	for i := range input {
		input[i] = "abcdefg\n"[rnd.IntN(8)]
	}
	b := newReadBuffer(&pieces{rest: input, rnd: rnd})
	var got []byte
	for {
		var part []byte
		var err error
		switch rnd.IntN(3) {
		case 0:
			part, err = b.ReadLine()
		case 1:
			part, err = b.Peek(rnd.IntN(5000))
			if err == nil {
				b.Discard(len(part))
			}
		case 2:
			part = make([]byte, 1+rnd.IntN(40_000))
			var n int
			n, err = b.Read(part)
			part = part[:n]
		}
		got = append(got, part...)
		if err != nil {
			if !errors.Is(err, io.EOF) || len(got) < len(input)-5000 || !bytes.HasPrefix(input, got) {
				t.Fatalf("%v after %d bytes of %d", err, len(got), len(input))
			}
			return
		}
	}
}

// pieces is read in pieces of any size, sometimes empty ones.
type pieces struct {
	rest []byte
	rnd  *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(len(p.rest), p.rnd.IntN(1+p.rnd.IntN(40_000)))])
	p.rest = p.rest[n:]
	return n, nil
}

func TestReadBufferFollowsTraffic(t *testing.T) {
	var input bytes.Buffer
	b := newReadBuffer(&input)
	nops := func(n int) {
		t.Helper()
		input.WriteString(strings.Repeat("NOP\n", n))
		for range n {
			if line, err := b.ReadLine(); string(line) != "NOP\n" || err != nil {
				t.Fatalf("%q, %v", line, err)
			}
		}
	}
	wantSize := func(when string, want int) {
		t.Helper()
		if len(b.buf) != want {
			t.Errorf("%s the buffer has %d bytes, want %d", when, len(b.buf), want)
		}
	}
	nops(1)
	wantSize("at first", minReadBuffer)
	nops(20_000)
	wantSize("under load", maxReadBuffer)
	for range fewReads - 1 {
		nops(1)
	}
	wantSize("after some small reads", maxReadBuffer)
	nops(1)
	nops(1)
	wantSize("after more of them", minReadBuffer)
}

func TestReaderWithoutProgress(t *testing.T) {
	b := newReadBuffer(stuck{})
	if _, err := b.ReadLine(); err != io.ErrNoProgress {
		t.Errorf("%v, want %v", err, io.ErrNoProgress)
	}
}

// stuck has nothing and does not say why.
type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

// endless is a client that sends the same for ever.
type endless struct {
	text []byte
	off  int
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.text[e.off:])
	e.off = (e.off + n) % len(e.text)
	return n, nil
}

func BenchmarkReadLine(b *testing.B) {
	text := bytes.Repeat([]byte("FIN 0123456789abcdef\n"), 10_000)
	b.Run("readBuffer", func(b *testing.B) {
		b.ReportAllocs()
		r := newReadBuffer(&endless{text: text})
		for b.Loop() {
			if _, err := r.ReadLine(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bufio", func(b *testing.B) { // what it is held against
		b.ReportAllocs()
		r := bufio.NewReaderSize(&endless{text: text}, maxReadBuffer)
		for b.Loop() {
			if _, err := r.ReadSlice('\n'); err != nil {
				b.Fatal(err)
			}
		}
	})
}
