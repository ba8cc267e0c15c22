package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"testing"
)

// gunzip returns what a file of whole gzip members holds.
func gunzip(t *testing.T, b []byte) []byte {
	t.Helper()
	if len(b) == 0 {
		return nil
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
