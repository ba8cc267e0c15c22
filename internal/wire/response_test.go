package wire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
)

// someResponses are what nsqlookupd might say on one connection. Their sizes
// lie below, at and above what ReadResponse takes when it is given nothing.
func someResponses() []string {
	return []string{
		OK,
		`{"broadcast_address":"127.0.0.1","hostname":"vm","http_port":4161,"tcp_port":4160,"version":"1.3.0"}`,
		"",
		strings.Repeat("x", 512),
		strings.Repeat("\n\x00", 400),
		"E_INVALID client must IDENTIFY",
	}
}

func TestResponseBytes(t *testing.T) {
	for data, want := range map[string]string{
		OK:               "00 00 00 02 4f 4b",
		"E_BAD_PROTOCOL": "00 00 00 0e 45 5f 42 41 44 5f 50 52 4f 54 4f 43 4f 4c",
		"":               "00 00 00 00",
	} {
		if got := AppendResponse([]byte("dst"), data)[3:]; !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("%q: %x, want %s", data, got, want)
		}
	}
}

func TestReadResponseRoundTrip(t *testing.T) {
	var stream []byte
	for _, data := range someResponses() {
		stream = AppendResponse(stream, data)
	}
	for rname, wrap := range readers {
		for bname, buf := range buffers {
			t.Run(rname+"/"+bname, func(t *testing.T) {
				r := wrap(bytes.NewReader(stream))
				for i, want := range someResponses() {
					data, err := ReadResponse(r, buf, 0)
					if err != nil || string(data) != want {
						t.Fatalf("response %d: (%q, %v), want %q", i, data, err, want)
					}
				}
				if _, err := ReadResponse(r, buf, 0); err != io.EOF {
					t.Errorf("after the last response: %v, want io.EOF", err)
				}
			})
		}
	}
}

// Only an end between two responses is a clean one; a reader's own error
// arrives as it is.
func TestReadResponseCutAtEveryByte(t *testing.T) {
	whole := AppendResponse(nil, OK)
	broken := errors.New("connection reset")
	for cut := range whole {
		want := io.ErrUnexpectedEOF
		if cut == 0 {
			want = io.EOF
		}
		if _, err := ReadResponse(bytes.NewReader(whole[:cut]), nil, 0); err != want {
			t.Errorf("cut at %d: %v, want %v", cut, err, want)
		}
		r := io.MultiReader(bytes.NewReader(whole[:cut]), iotest.ErrReader(broken))
		if _, err := ReadResponse(r, nil, 0); err != broken {
			t.Errorf("broken at %d: %v, want %v", cut, err, broken)
		}
	}
}

func TestResponseSizeLimits(t *testing.T) {
	size := func(n int) string { return string(AppendSize(nil, n)) }
	for _, tt := range []struct {
		name, b string
		max     int
		err     string // empty: accepted
	}{
		{"negative size", size(-1), 0, "wire: response size -1 is negative"},
		{"smallest size", size(math.MinInt32), 100, "wire: response size -2147483648 is negative"},
		{"one byte over the limit", size(5) + "12345", 4, "wire: response of 5 bytes exceeds the limit of 4"},
		{"over the limit before it arrived", size(math.MaxInt32), 1 << 20, "wire: response of 2147483647 bytes exceeds the limit of 1048576"},
		{"what answers is a web server", "HTTP/1.1 400 Bad Request", 1 << 20, "wire: response of 1213486160 bytes exceeds the limit of 1048576"},
		{"at the limit", size(4) + "1234", 4, ""},
		{"0 sets no limit", size(5) + "12345", 0, ""},
		{"a negative limit is none", size(5) + "12345", -1, ""},
		{"nothing fits any limit", size(0), 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ReadResponse(strings.NewReader(tt.b), nil, tt.max)
			if got := errorText(err); got != tt.err {
				t.Errorf("error %q, want %q", got, tt.err)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// ReadResponse announces 1 GiB of which only ten bytes arrive.
func TestReadResponseDoesNotTrustTheSize(t *testing.T) {
	b := append(AppendSize(nil, 1<<30), "ten bytes."...)
	var err error
	allocated := bytesAllocated(func() { _, err = ReadResponse(bytes.NewReader(b), nil, 0) })
	if err != io.ErrUnexpectedEOF {
		t.Errorf("error %v, want io.ErrUnexpectedEOF", err)
	}
	if allocated > 128<<10 {
		t.Errorf("took %d bytes of memory", allocated)
	}
}

// Whatever is read encodes back to the bytes it came from and keeps the limit;
// nothing panics.
func FuzzReadResponse(f *testing.F) {
	for _, data := range someResponses() {
		f.Add(AppendResponse(nil, data), len(data))
		f.Add(AppendResponse(nil, data), len(data)-1)
	}
	f.Add([]byte("\xff\xff\xff\xff"), 0)
	f.Add([]byte("\x7f\xff\xff\xffx"), 0)
	f.Add([]byte("\x00\x00"), 0)
	f.Fuzz(func(t *testing.T, b []byte, limit int) {
		r := bytes.NewReader(b)
		data, err := ReadResponse(r, nil, limit)
		if err != nil {
			return
		}
		if read := b[:len(b)-r.Len()]; !bytes.Equal(AppendResponse(nil, data), read) {
			t.Fatalf("%x was read as %x, which encodes differently", read, data)
		}
		if limit > 0 && len(data) > limit {
			t.Fatalf("%d bytes passed a limit of %d", len(data), limit)
		}
	})
}
