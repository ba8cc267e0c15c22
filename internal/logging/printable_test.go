package logging

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
		if got := Printable(sent); got != want {
			t.Errorf("Printable(%q) = %s, want %s", sent, got, want)
		}
	}
}
