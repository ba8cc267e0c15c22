package nsqadmin

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// testPages returns a page "x" with this in the frame, below /admin.
func testPages(t *testing.T, main string) pages {
	t.Helper()
	files := fstest.MapFS{"templates/x.html": {Data: []byte(`{{define "main"}}` + main + `{{end}}`)}}
	for _, name := range []string{"templates/layout.html", "templates/parts.html"} {
		text, err := templateFiles.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: text}
	}
	p, err := parsePages(files, pageFuncs("/admin", func(name string) string { return "/admin/static/" + name }))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEveryTemplateParses(t *testing.T) {
	p, err := parsePages(templateFiles, pageFuncs("", func(name string) string { return name }))
	if err != nil {
		t.Fatal(err)
	}
	for name, own := range p {
		if own.Lookup("main") == nil && name != "layout" && !strings.HasPrefix(name, "parts") {
			t.Errorf("templates/%s.html defines no main", name)
		}
	}
}

func TestTemplateFunctions(t *testing.T) {
	const hostile = `a"b<script>/?#`
	for _, c := range []struct{ name, template, want string }{
		{"the front page", `{{url}}`, "/admin"},
		{"a path", `{{url "topics" "orders#ephemeral" "mail"}}`, "/admin/topics/orders%23ephemeral/mail"},
		{"segments as a list", `{{url .Data}}`, "/admin/nodes/%5B::1%5D:4151"},
		{"a query", `<a href="{{url "action" (query "do" "pause_topic" "topic" "a&b")}}">`, `<a href="/admin/action?do=pause_topic&amp;topic=a%26b">`},
		{"a name that means harm", `<a href="{{url "topics" .Title}}">`, `<a href="/admin/topics/a%22b%3Cscript%3E%2F%3F%23">`},
		{"a number", `{{count 1234567}}`, "1,234,567"},
		{"a rate", `{{rate 12.34}}`, "12.3/s"},
		{"bytes", `{{bytes 2048}}`, "2 KiB"},
		{"nanoseconds", `{{nanos 1500000}}`, "1.5 ms"},
		{"no time", `{{clock .Updated}}{{since .Updated}}`, "never"},
		{"a state", `{{badge "warning" .Title}}`, `aria-hidden="true"><path d="M8 2.2L14.5 13.5h-13zM8 6.5v3.2M8 11.7v.1"/></svg>a&#34;b&lt;script&gt;/?#</span>`},
	} {
		f := frame{page: page{Title: hostile, Data: []string{"nodes", "[::1]:4151"}}}
		got, err := testPages(t, c.template+"]]").render("x", f)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if !strings.Contains(string(got), c.want+"]]") {
			t.Errorf("%s: no %q in %s", c.name, c.want, got)
		}
	}
}

func TestTemplateMistakesAreErrors(t *testing.T) {
	for _, template := range []string{
		`{{badge "fine" "x"}}`, `{{url (query "a" "b") "x"}}`, `{{url 7}}`, `{{query "a"}}`, `{{count "x"}}`, `{{.Data.Nothing}}`,
	} {
		if got, err := testPages(t, template).render("x", frame{}); err == nil || got != nil {
			t.Errorf("%s: got %d bytes and %v, want an error alone", template, len(got), err)
		}
	}
	if _, err := testPages(t, "").render("other", frame{}); err == nil {
		t.Error("a page without a template was rendered")
	}
}

func TestSince(t *testing.T) {
	for ago, want := range map[time.Duration]string{
		0: "0 s", -time.Minute: "0 s", 12 * time.Second: "12 s", 90 * time.Second: "1 min 30 s",
	} {
		if got := since(time.Now().Add(-ago)); got != want {
			t.Errorf("since %s ago: %q, want %q", ago, got, want)
		}
	}
}
