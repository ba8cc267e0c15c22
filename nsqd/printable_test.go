package nsqd

import (
	"strings"
	"testing"
)

func TestPrintable(t *testing.T) {
	for sent, want := range map[string]string{
		`{"client_id":"a b"}`:    `{"client_id":"a b"}`,
		"Grüße":                  "Grüße",
		"two\nlines\r\t\x00\x1b": `two\u000alines\u000d\u0009\u0000\u001b`,
		"\xff\xfe":               `\xff\xfe`,
		strings.Repeat("x", 300): strings.Repeat("x", 256) + "...",
	} {
		if got := printable(sent); got != want {
			t.Errorf("printable(%q) = %s, want %s", sent, got, want)
		}
	}
}

func TestKept(t *testing.T) {
	long := strings.Repeat("x", maxKept)
	for text, want := range map[string]string{
		"":                      "",
		"go-nsq/1.1.0":          "go-nsq/1.1.0",
		long:                    long,
		long + "y":              long,
		long[1:] + "é":          long[1:],
		long[2:] + "é" + "y":    long[2:] + "é",
		long[3:] + "\U0001f40d": long[3:],
	} {
		if got := kept(text); got != want {
			t.Errorf("kept(%q) = %q, want %q", text, got, want)
		}
	}
}
