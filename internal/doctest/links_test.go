package doctest

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

var (
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading    = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	fencedText = regexp.MustCompile("(?ms)^```.*?^```$")
	notInSlug  = regexp.MustCompile(`[^\p{L}\p{N}\p{M}_ -]`)
)

// prose returns the page without its code blocks.
func (p page) prose() string { return fencedText.ReplaceAllLiteralString(p.text, "") }

// anchors returns the names of a page's headings, as GitHub makes them.
func (p page) anchors() map[string]bool {
	all := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(p.prose(), -1) {
		text := strings.ToLower(strings.ReplaceAll(m[1], "`", ""))
		all[strings.ReplaceAll(notInSlug.ReplaceAllLiteralString(text, ""), " ", "-")] = true
	}
	return all
}

// readPage reads a text file of the repository, without a look at its blocks.
func readPage(tb testing.TB, name string) page {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(nsqtest.Root(), filepath.FromSlash(name)))
	if err != nil {
		tb.Fatal(err)
	}
	return page{name: name, text: string(text)}
}

// Every link within the repository leads to a file, and to a heading if it names one.
func TestLinks(t *testing.T) {
	links := 0
	for _, p := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(p.prose(), -1) {
			u, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: %v", p.name, err)
				continue
			}
			if u.Scheme != "" {
				continue // elsewhere
			}
			links++
			target := p.name
			if u.Path != "" {
				target = path.Join(path.Dir(p.name), u.Path)
			}
			if _, err := os.Stat(filepath.Join(nsqtest.Root(), filepath.FromSlash(target))); err != nil {
				t.Errorf("%s: link to %s: %v", p.name, m[1], err)
				continue
			}
			if u.Fragment != "" && !readPage(t, target).anchors()[u.Fragment] {
				t.Errorf("%s: link to %s: there is no such heading", p.name, m[1])
			}
		}
	}
	if links < 20 {
		t.Errorf("there are %d links, which cannot be all", links)
	}
}

var fileSpan = regexp.MustCompile("`((?:contrib|docs|bench|internal|nsq|nsqd|nsqadmin|nsqlookupd)/[^`\\s]*)`")

// Every file of the repository that a page names is there.
func TestFiles(t *testing.T) {
	for _, p := range pages(t) {
		for _, m := range fileSpan.FindAllStringSubmatch(p.prose(), -1) {
			found, err := filepath.Glob(filepath.Join(nsqtest.Root(), filepath.FromSlash(m[1])))
			if err != nil || len(found) == 0 {
				t.Errorf("%s: `%s` is not there: %v", p.name, m[1], err)
			}
		}
	}
}

// The index has every page.
func TestIndex(t *testing.T) {
	var index page
	all := pages(t)
	for _, p := range all {
		if p.name == "docs/README.md" {
			index = p
		}
	}
	for _, p := range all {
		name := path.Base(p.name)
		if name != "README.md" && !strings.Contains(index.text, "]("+name+")") {
			t.Errorf("docs/README.md does not have %s", name)
		}
	}
}

func TestAnchors(t *testing.T) {
	p := page{text: "# `nsqd`: One, two & three\n\n```sh\n# no heading\n```\n\n## What's new?\n"}
	got := p.anchors()
	if !got["nsqd-one-two--three"] || !got["whats-new"] || len(got) != 2 {
		t.Errorf("anchors are %v", got)
	}
}
