package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
)

// gunzip returns what a file of whole gzip members holds.
func gunzip(t *testing.T, b []byte) []byte {
	t.Helper()
	text, err := readMembers(b)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// wholeMembers returns what a file holds that may end with part of a gzip member, as
// after a kill.
func wholeMembers(t *testing.T, b []byte) []byte {
	t.Helper()
	text, err := readMembers(b)
	if err != nil && len(b) > 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
	return text
}

// members returns a gzip member for each text, one after the other.
func members(t *testing.T, texts ...string) string {
	t.Helper()
	var b bytes.Buffer
	for _, text := range texts {
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

func TestEndOfLastMember(t *testing.T) {
	one, two := members(t, "one\n"), members(t, "two\n")
	for what, c := range map[string]struct{ content, want string }{
		"nothing":                  {"", ""},
		"one":                      {one, one},
		"an empty one":             {members(t, ""), members(t, "")},
		"two":                      {one + two, one + two},
		"the other's first byte":   {one + two[:1], one},
		"the other without a byte": {one + two[:len(two)-1], one},
		"half of the first":        {one[:len(one)/2], ""},
		"damage in the middle":     {one + "no gzip" + two, one + "no gzip" + two},
		"damage in the checksum":   {one[:len(one)-8] + "12345678" + two[:9], one[:len(one)-8] + "12345678" + two[:9]},
	} {
		end, err := endOfLastMember(strings.NewReader(c.content), int64(len(c.content)))
		if err != nil || end != int64(len(c.want)) {
			t.Errorf("%s: the end is at %d of %d, want %d; %v", what, end, len(c.content), len(c.want), err)
		}
	}
	for n := range len(two) { // wherever a crash has cut it
		if end, err := endOfLastMember(strings.NewReader(one+two[:n]), int64(len(one)+n)); err != nil || end != int64(len(one)) {
			t.Errorf("with %d bytes of another member the end is at %d, want %d; %v", n, end, len(one), err)
		}
	}
}

func readMembers(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
