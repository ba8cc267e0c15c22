package nsqd

import (
	"strings"
	"unicode/utf8"
)

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
