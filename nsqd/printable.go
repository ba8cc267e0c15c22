package nsqd

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPrinted is how many bytes of what a client sent appear in a log line.
const maxPrinted = 256

// printable returns what a client sent as it may stand in a log line: cut, and
// with everything escaped that is not a printable character.
func printable[T ~string | ~[]byte](sent T) string {
	s := string(sent[:min(len(sent), maxPrinted)])
	var b strings.Builder
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size <= 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		s = s[size:]
	}
	if len(sent) > maxPrinted {
		b.WriteString("...")
	}
	return b.String()
}

// maxKept is how many bytes of each text in IDENTIFY are kept, for statistics.
const maxKept = 256

// kept returns what is kept of a text in IDENTIFY: all of it, or whole
// characters from its beginning.
func kept(text string) string {
	if len(text) <= maxKept {
		return text
	}
	cut := maxKept
	for cut > maxKept-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return strings.Clone(text[:cut]) // so that the rest is not kept with it
}
