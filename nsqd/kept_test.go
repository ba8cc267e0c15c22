package nsqd

import (
	"strings"
	"testing"
)

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
