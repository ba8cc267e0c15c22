package logging

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxPrinted is how many bytes of what a client sent appear in a log line.
const maxPrinted = 256

// Printable returns what a client sent as it may stand in a log line: cut, and
// with everything escaped that is not a printable character.
func Printable[T ~string | ~[]byte](sent T) string {
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
