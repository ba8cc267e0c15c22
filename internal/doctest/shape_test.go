package doctest

import (
	"regexp"
	"strings"
	"testing"
)

// variable finds what may differ from what a page shows, each time in the same way.
var variable = regexp.MustCompile(`\d{4}/\d\d/\d\d \d\d:\d\d:\d\d(\.\d+)?|\b[0-9a-f]{16}\b|\d{4,}|\.\.\.`)

// shape returns an expression for lines like these.
func shape(output string) *regexp.Regexp {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimSuffix(output, "\n"), "\n") {
		if strings.TrimSpace(line) == "..." {
			lines = append(lines, `(?:.*\n)*?`)
			continue
		}
		var b strings.Builder
		for rest := line; rest != ""; {
			at := variable.FindStringIndex(rest)
			if at == nil {
				b.WriteString(regexp.QuoteMeta(rest))
				break
			}
			b.WriteString(regexp.QuoteMeta(rest[:at[0]]))
			b.WriteString(like(rest[at[0]:at[1]]))
			rest = rest[at[1]:]
		}
		lines = append(lines, b.String()+`[ \t]*(?:\n|$)`)
	}
	return regexp.MustCompile(`(?m)^` + strings.Join(lines, ""))
}

// like returns the expression for something variable.
func like(s string) string {
	switch {
	case s == "...":
		return `.*`
	case strings.Contains(s, "/"):
		return regexp.MustCompile(`\d+`).ReplaceAllString(s, `\d+`)
	case len(s) == 16:
		return `[0-9a-f]{16}`
	}
	return `\d+`
}

func TestShape(t *testing.T) {
	for _, c := range []struct {
		shown, printed string
		want           bool
	}{
		{"OK\n", "OK", true},
		{"OK\n", "OKAY\n", false},
		{"depth: 3\n", "depth: 4\n", false},
		{"started 1795000000\n", "started 17\n", true},
		{"[nsqd] 2026/11/22 12:17:00.123456 INFO: x\n", "[nsqd] 2027/01/01 00:00:00.1 INFO: x\n", true},
		{"[a, ..., z]\n", "[a, b, c, z]\n", true},
		{"one\n...\nthree\n", "one\ntwo\nand a half\nthree\n", true},
		{"one\n...\nthree\n", "one\ntwo\n", false},
		{"id 0f8c1e5a7b1c2000\n", "id 0f8c1e5a7b1c2fff\n", true},
	} {
		if got := shape(c.shown).MatchString(c.printed); got != c.want {
			t.Errorf("shape(%q) matches %q: %v, want %v", c.shown, c.printed, got, c.want)
		}
	}
}
