package main

import (
	"strings"
	"time"
)

// strftimeCodes are the codes that a --datetime-format may have, and what Go calls
// them.
var strftimeCodes = map[byte]string{
	'A': "Monday", 'a': "Mon",
	'B': "January", 'b': "Jan", 'm': "01",
	'd': "02", 'Y': "2006", 'y': "06",
	'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM",
	'Z': "MST", 'z': "-0700",
}

// strftime returns t in a format with codes such as %Y; %% stands for a percent
// sign. What is no code stays as it is.
func strftime(format string, t time.Time) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(format, '%')
		if i < 0 || i+1 == len(format) {
			b.WriteString(format)
			return b.String()
		}
		b.WriteString(format[:i])
		code := format[i : i+2]
		format = format[i+2:]
		if layout, ok := strftimeCodes[code[1]]; ok {
			b.WriteString(t.Format(layout))
		} else if code == "%%" {
			b.WriteByte('%')
		} else {
			b.WriteString(code)
		}
	}
}
