package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
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

func readMembers(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
