package doctest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// A page is a file of the documentation.
type page struct {
	name   string // from the root of the repository, with slashes
	text   string
	blocks []block
}

// A block is what stands between two fences, or a directive for the test.
type block struct {
	line     int
	language string
	words    []string // that follow the language
	text     string
}

// how is the first word that follows the language, "" without one.
func (b block) how() string {
	if len(b.words) == 0 {
		return ""
	}
	return b.words[0]
}

// is reports whether the block has that language and first word.
func (b block) is(language, how string) bool { return b.language == language && b.how() == how }

// directive is the language of a comment that tells the test something.
const directive = "doctest"

var (
	fenceLine     = regexp.MustCompile("^(```+)(.*)$")
	directiveLine = regexp.MustCompile(`^<!-- doctest (.+) -->$`)
)

// pages returns all pages.
func pages(tb testing.TB) []page {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(nsqtest.Root(), "docs", "*.md"))
	if err != nil {
		tb.Fatal(err)
	}
	var all []page
	for _, name := range append(names, filepath.Join(nsqtest.Root(), "README.md")) {
		text, err := os.ReadFile(name)
		if err != nil {
			tb.Fatal(err)
		}
		rel, err := filepath.Rel(nsqtest.Root(), name)
		if err != nil {
			tb.Fatal(err)
		}
		p, err := parsePage(filepath.ToSlash(rel), string(text))
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 8 {
		tb.Fatalf("there are %d pages, which cannot be all", len(all))
	}
	return all
}

// parsePage finds the blocks of a page.
func parsePage(name, text string) (page, error) {
	p := page{name: name, text: text}
	var open *block
	var fence string
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		m := fenceLine.FindStringSubmatch(line)
		switch {
		case open != nil && line == fence:
			p.blocks = append(p.blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		case m != nil:
			info := strings.Fields(m[2])
			if len(info) == 0 {
				return page{}, fmt.Errorf("%s:%d: the block does not say what it is", name, i+1)
			}
			open, fence = &block{line: i + 1, language: info[0], words: info[1:]}, m[1]
			if err := open.check(); err != nil {
				return page{}, fmt.Errorf("%s:%d: %w", name, i+1, err)
			}
		default:
			if m := directiveLine.FindStringSubmatch(line); m != nil {
				p.blocks = append(p.blocks, block{line: i + 1, language: directive, words: strings.Fields(m[1])})
			}
		}
	}
	if open != nil {
		return page{}, fmt.Errorf("%s:%d: the block does not end", name, open.line)
	}
	return p, nil
}

// check refuses what doc.go does not know.
func (b block) check() error {
	known := false
	switch b.language {
	case "sh":
		known = len(b.words) == 0 || len(b.words) == 1 && slices.Contains([]string{"fails", "background"}, b.how()) ||
			len(b.words) > 1 && b.how() == "norun"
	case "mermaid":
		known = len(b.words) == 0
	case "output", "go", "toml", "json", "yaml", "text", "ini":
		known = len(b.words) <= 1
	}
	if !known {
		return fmt.Errorf("nobody knows what to do with a block %q", strings.Join(append([]string{b.language}, b.words...), " "))
	}
	return nil
}

func TestParsePage(t *testing.T) {
	const text = "# Title\n\n```sh background\nnsqd\n```\n```go main.go\npackage main\n```\n<!-- doctest stop nsqd -->\n"
	p, err := parsePage("x.md", text)
	if err != nil {
		t.Fatal(err)
	}
	want := []block{
		{3, "sh", []string{"background"}, "nsqd\n"},
		{6, "go", []string{"main.go"}, "package main\n"},
		{9, directive, []string{"stop", "nsqd"}, ""},
	}
	if !slices.EqualFunc(p.blocks, want, func(a, b block) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
		t.Errorf("blocks are %v, want %v", p.blocks, want)
	}
	for text, want := range map[string]string{
		"```\nls\n```\n":          "x.md:1: the block does not say what it is",
		"\n```sh norun\nls\n```":  `x.md:2: nobody knows what to do with a block "sh norun"`,
		"```sh sometimes\n\n```":  `x.md:1: nobody knows what to do with a block "sh sometimes"`,
		"```bash\nls\n```":        `x.md:1: nobody knows what to do with a block "bash"`,
		"text\n```sh\nls\n``` \n": "x.md:2: the block does not end",
	} {
		if _, err := parsePage("x.md", text); err == nil || err.Error() != want {
			t.Errorf("parsePage(%q) = %v, want %s", text, err, want)
		}
	}
}
