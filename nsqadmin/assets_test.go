package nsqadmin

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestAssets(t *testing.T) {
	a := newAssets("")
	linked := a.path("nsqadmin.css")
	_, version, _ := strings.Cut(linked, "?v=")
	for _, c := range []struct {
		name, file, query, known string
		status                   int
		kind, cache              string
	}{
		{"as pages link it", "nsqadmin.css", "?v=" + version, "", 200, "text/css; charset=utf-8", "public, max-age=31536000, immutable"},
		{"without a version", "nsqadmin.css", "", "", 200, "text/css; charset=utf-8", "no-cache"},
		{"of another version", "nsqadmin.css", "?v=0", "", 200, "text/css; charset=utf-8", "no-cache"},
		{"that the browser has", "nsqadmin.css", "", `W/"` + version + `"`, 304, "text/css; charset=utf-8", "no-cache"},
		{"the icon", "favicon.svg", "", "", 200, "image/svg+xml", "no-cache"},
		{"an unknown one", "other.css", "", "", 404, "text/plain; charset=utf-8", ""},
		{"one from outside", "../page.go", "", "", 404, "text/plain; charset=utf-8", ""},
	} {
		r := httptest.NewRequest("GET", "/static/x"+c.query, nil)
		r.Header.Set("If-None-Match", c.known)
		w := httptest.NewRecorder()
		a.serve(w, r, c.file)
		if w.Code != c.status || w.Header().Get("Content-Type") != c.kind || w.Header().Get("Cache-Control") != c.cache {
			t.Errorf("%s: %d, %q, %q", c.name, w.Code, w.Header().Get("Content-Type"), w.Header().Get("Cache-Control"))
		}
		if c.status == 404 && w.Body.String() != "NOT_FOUND" {
			t.Errorf("%s: %q", c.name, w.Body)
		}
	}
}

func TestAssetsOfADirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nsqadmin.css"), []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "below"), 0o700); err != nil {
		t.Fatal(err)
	}
	a := newAssets(dir)
	for file, want := range map[string]string{"nsqadmin.css": "one", "favicon.svg": "", "../x": "", "below": "", ".": "", "": "", `..\x`: ""} {
		if got, _ := a.find(file); string(got.body) != want {
			t.Errorf("%q is %q, want %q", file, got.body, want)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "nsqadmin.css"), []byte("two"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, _ := a.find("nsqadmin.css"); string(got.body) != "two" {
		t.Errorf("after a change it is %q", got.body)
	}
}

// Nothing of a page may come from anywhere else.
func TestStylesLoadNothing(t *testing.T) {
	css, err := staticFiles.ReadFile("static/nsqadmin.css")
	if err != nil {
		t.Fatal(err)
	}
	if found := regexp.MustCompile(`url\(|@import|https?:`).Find(css); found != nil {
		t.Errorf("the style sheet has %q", found)
	}
}
