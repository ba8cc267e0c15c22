package compress_test

import (
	"bytes"
	stdflate "compress/flate"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/s2"

	"github.com/seed893f581e/nsq/internal/compress"
)

// format is a compressed layer, with another implementation's reader of it.
type format struct {
	writer  func(io.Writer) io.Writer
	reader  func(io.Reader) io.Reader
	another func(io.Reader) io.Reader
}

func formats() map[string]format {
	all := map[string]format{"snappy": {
		func(w io.Writer) io.Writer { return compress.NewSnappyWriter(w) }, compress.NewSnappyReader,
		func(r io.Reader) io.Reader { return s2.NewReader(r) },
	}}
	for level := 1; level <= 9; level++ {
		all[fmt.Sprint("deflate ", level)] = format{
			func(w io.Writer) io.Writer { return compress.NewDeflateWriter(w, level) }, compress.NewDeflateReader,
			func(r io.Reader) io.Reader { return stdflate.NewReader(r) },
		}
	}
	return all
}

// Whatever is written comes out, whole after each write, with our reader and
// with another.
func TestEveryWriteIsWholeAtOnce(t *testing.T) {
	random := make([]byte, 300<<10)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(random)
	pieces := [][]byte{
		[]byte("x"), []byte("hello"), bytes.Repeat([]byte("abc"), 100), random[:7], random,
		bytes.Repeat([]byte("message "), 100_000), bytes.Repeat([]byte{0}, 64<<10), random[:64<<10+1], []byte("y"),
	}
	for name, f := range formats() {
		for _, reader := range []func(io.Reader) io.Reader{f.reader, f.another} {
			var stream bytes.Buffer
			w := f.writer(&stream)
			r := reader(noEnd{&stream})
			for i, p := range pieces {
				if n, err := w.Write(p); n != len(p) || err != nil {
					t.Fatalf("%s: write %d returned %d, %v", name, i, n, err)
				}
				got := make([]byte, len(p))
				if n, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, p) {
					t.Fatalf("%s: of write %d with %d bytes %d were read, %v", name, i, len(p), n, err)
				}
			}
		}
	}
}

// noEnd fails where a reader asks for more than was written: on a connection
// it would wait.
type noEnd struct{ r *bytes.Buffer }

func (r noEnd) Read(p []byte) (int, error) {
	if r.r.Len() == 0 {
		return 0, iotest.ErrTimeout
	}
	return r.r.Read(p)
}

// These bytes were observed.
func TestSnappyBytes(t *testing.T) {
	var stream bytes.Buffer
	compress.NewSnappyWriter(&stream).Write([]byte("\x00\x00\x00\x06\x00\x00\x00\x00OK"))
	const want = "ff060000734e61507059010e000026982bcf00000006000000004f4b"
	if got := hex.EncodeToString(stream.Bytes()); got != want {
		t.Errorf("OK is %s, want %s", got, want)
	}
}

func TestDeflateEndsWithASyncMarker(t *testing.T) {
	var stream bytes.Buffer
	w := compress.NewDeflateWriter(&stream, 6)
	for range 3 {
		w.Write([]byte("hello"))
		if !bytes.HasSuffix(stream.Bytes(), []byte{0, 0, 0xff, 0xff}) {
			t.Errorf("a write ends with %x", stream.Bytes())
		}
	}
}

// Streams of other programs, one byte at a time.
func TestReadersTakeWhatOthersWrite(t *testing.T) {
	text := bytes.Repeat([]byte("from elsewhere "), 20_000)
	var deflated, snappied bytes.Buffer
	d, _ := stdflate.NewWriter(&deflated, 9)
	d.Write(text)
	d.Flush()
	s := s2.NewWriter(&snappied, s2.WriterSnappyCompat())
	s.Write(text)
	s.Flush()
	for name, r := range map[string]io.Reader{
		"deflate": compress.NewDeflateReader(iotest.OneByteReader(&deflated)),
		"snappy":  compress.NewSnappyReader(iotest.OneByteReader(&snappied)),
	} {
		got := make([]byte, len(text))
		if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBrokenStreams(t *testing.T) {
	for name, f := range formats() {
		var stream bytes.Buffer
		f.writer(&stream).Write(bytes.Repeat([]byte("hello world "), 100))
		for i := range stream.Len() {
			broken := bytes.Clone(stream.Bytes())
			broken[i] ^= 0x55
			n, err := io.Copy(io.Discard, f.reader(bytes.NewReader(broken)))
			if n > 1<<20 {
				t.Errorf("%s with byte %d changed: %d bytes, %v", name, i, n, err)
			}
		}
		if _, err := io.ReadAll(f.reader(bytes.NewReader([]byte("PUB topic\n")))); err == nil {
			t.Errorf("%s: what is not compressed is read without an error", name)
		}
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestWriteErrors(t *testing.T) {
	for name, f := range formats() {
		if n, err := f.writer(failing{}).Write([]byte("hello")); n != 0 || err != io.ErrClosedPipe {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

func BenchmarkWriters(b *testing.B) {
	message := []byte(`{"id":12345,"name":"some thing","list":[1,2,3,4,5,6],"url":"http://example.com/aaa/bbb"}`)
	for _, size := range []int{1, 200} {
		p := bytes.Repeat(message, size)
		for name, w := range map[string]io.Writer{
			"snappy": compress.NewSnappyWriter(io.Discard), "deflate 6": compress.NewDeflateWriter(io.Discard, 6), "deflate 9": compress.NewDeflateWriter(io.Discard, 9),
		} {
			b.Run(fmt.Sprintf("%s, %d bytes", name, len(p)), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(p)))
				for b.Loop() {
					w.Write(p)
				}
			})
		}
	}
}
