package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func readAll(t *testing.T, r io.Reader, delimiter byte) []string {
	t.Helper()
	in := newRecords(r, delimiter)
	var all []string
	for {
		record, err := in.next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(record))
	}
}

func TestRecords(t *testing.T) {
	long := strings.Repeat("x", readBufferSize+1)
	huge := strings.Repeat("y", 3*maxKept)
	for name, c := range map[string]struct {
		input     string
		delimiter byte
		want      []string
	}{
		"nothing":                                 {"", '\n', nil},
		"a line":                                  {"a\n", '\n', []string{"a"}},
		"an empty line":                           {"a\n\nb\n", '\n', []string{"a", "", "b"}},
		"no newline at the end":                   {"a\nxyz", '\n', []string{"a", "xyz"}},
		"one byte without a newline":              {"a\nb", '\n', []string{"a", "b"}},
		"a carriage return is part of the line":   {"a\r\n", '\n', []string{"a\r"}},
		"one, two, three":                         {"one,two,three\n", ',', []string{"one", "two", "three"}},
		"no newline after the last part":          {"one,two", ',', []string{"one", "two"}},
		"a newline within a part stays":           {"one\n,two\n\n", ',', []string{"one\n", "two\n"}},
		"only a newline after the delimiter":      {"one,\n", ',', []string{"one", ""}},
		"the delimiter is zero":                   {"a\x00b\x00", 0, []string{"a", "b"}},
		"as long as the buffer":                   {long[:readBufferSize] + "\n", '\n', []string{long[:readBufferSize]}},
		"as long as the buffer, with its newline": {long[:readBufferSize-1] + "\nz", '\n', []string{long[:readBufferSize-1], "z"}},
		"longer than the buffer":                  {long + "\n" + huge + "\nz\n" + long, '\n', []string{long, huge, "z", long}},
	} {
		for reader, r := range map[string]io.Reader{
			"whole":         strings.NewReader(c.input),
			"in halves":     iotest.HalfReader(strings.NewReader(c.input)),
			"EOF with data": iotest.DataErrReader(strings.NewReader(c.input)),
		} {
			if got := readAll(t, r, c.delimiter); !slices.Equal(got, c.want) {
				t.Errorf("%s, read %s: got %.100q, want %.100q", name, reader, got, c.want)
			}
		}
	}
}

// Whatever the input, joining the records gives it back.
func FuzzRecords(f *testing.F) {
	f.Add([]byte("one,two\n,,three"), byte(','))
	f.Add([]byte("a\n\nb\n"), byte('\n'))
	f.Fuzz(func(t *testing.T, input []byte, delimiter byte) {
		got := strings.Join(readAll(t, bytes.NewReader(input), delimiter), string([]byte{delimiter}))
		want := strings.TrimSuffix(string(input), string([]byte{delimiter}))
		if len(want) == len(input) && delimiter != '\n' {
			want = strings.TrimSuffix(want, "\n")
		}
		if got != want {
			t.Fatalf("%q at %q: got %q, want %q", input, delimiter, got, want)
		}
	})
}

func TestHalfARecordIsNone(t *testing.T) {
	broken := errors.New("broken")
	in := newRecords(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), '\n')
	if record, err := in.next(); string(record) != "a" || err != nil {
		t.Errorf("got %q, %v, want a", record, err)
	}
	if record, err := in.next(); record != nil || !errors.Is(err, broken) {
		t.Errorf("got %q, %v, want %v", record, err, broken)
	}
}

// zeros is input without a delimiter and without an end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestARecordWithoutAnEndIsRefused(t *testing.T) {
	const limit = 3 * readBufferSize
	in := newRecords(io.MultiReader(io.LimitReader(zeros{}, limit), strings.NewReader("\n"), zeros{}), '\n')
	in.limit = limit
	if record, err := in.next(); len(record) != limit || err != nil {
		t.Errorf("got %d bytes, %v, want %d", len(record), err, limit)
	}
	if record, err := in.next(); record != nil || err == nil || err.Error() != "longer than 786432 bytes" {
		t.Errorf("got %d bytes, %v, want an error", len(record), err)
	}
}

// Only a whole record that was read already is ready.
func TestReady(t *testing.T) {
	in := newRecords(io.MultiReader(strings.NewReader("a\nb\n"), strings.NewReader("c")), '\n')
	for i, want := range []bool{false, true, false} {
		if got := in.ready(); got != want {
			t.Errorf("ready before record %d: %v, want %v", i+1, got, want)
		}
		if _, err := in.next(); err != nil {
			t.Fatal(err)
		}
	}
	if in.ready() {
		t.Error("ready at the end")
	}
}

func TestInterruptible(t *testing.T) {
	silent, _ := io.Pipe()
	ctx, interrupt := context.WithCancel(t.Context())
	r := interruptible(ctx, silent)
	time.AfterFunc(time.Millisecond, interrupt)
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("got %d, %v, want %v", n, err, context.Canceled)
	}
}

func TestBucket(t *testing.T) {
	start := time.Now()
	b := newBucket(10, start)
	for _, c := range []struct {
		rule     string
		at, want time.Duration
	}{
		{"it starts with one token", 0, 0},
		{"the next comes after a tenth of a second", 0, 100 * time.Millisecond},
		{"and the next behind that", 50 * time.Millisecond, 150 * time.Millisecond},
		{"when it has come nobody waits", 300 * time.Millisecond, 0},
	} {
		if got := b.take(start.Add(c.at)); got != c.want {
			t.Errorf("%s: %v, want %v", c.rule, got, c.want)
		}
	}
	later := start.Add(time.Hour)
	for i := range 10 {
		if got := b.take(later); got != 0 {
			t.Errorf("after an hour, token %d has to be waited for: %v", i+1, got)
		}
	}
	if got := b.take(later); got != 100*time.Millisecond {
		t.Errorf("after an hour, the token after a second's worth: %v, want 100ms", got)
	}
}
