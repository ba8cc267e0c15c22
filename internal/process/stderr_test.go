package process

import (
	"strings"
	"testing"
)

// Addresses are found in whatever pieces the text comes, and in whole lines only.
func TestAddressesAreFound(t *testing.T) {
	text := "[nsqd] INFO: TCP: listening on 127.0.0.1:4150\n[nsqd] INFO: HTTP: listening on 127.0.0.1:4151\n"
	for size := 1; size <= len(text); size++ {
		var all strings.Builder
		p := &Process{Done: make(chan struct{})}
		p.stderr.all = &all
		p.stderr.found = make(chan struct{})
		for at := 0; at < len(text); at += size {
			if _, err := p.stderr.Write([]byte(text[at:min(at+size, len(text))])); err != nil {
				t.Fatal(err)
			}
		}
		got, err := p.Listening(t.Context(), "HTTP", "TCP")
		if err != nil || got[0] != "127.0.0.1:4151" || got[1] != "127.0.0.1:4150" {
			t.Errorf("in pieces of %d: %q, %v", size, got, err)
		}
		if all.String() != text || p.Stderr() != text {
			t.Errorf("in pieces of %d: logged %q", size, all.String())
		}
	}
}

func TestTheEndOfTheTextIsKept(t *testing.T) {
	p := &Process{}
	p.stderr.found = make(chan struct{})
	for range 3 {
		if _, err := p.stderr.Write([]byte(strings.Repeat("x", maxStderr/2) + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.Stderr(); len(got) != maxStderr || !strings.HasSuffix(got, "x\n") {
		t.Errorf("%d bytes are kept", len(got))
	}
}
