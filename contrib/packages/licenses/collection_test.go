package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tree writes files below a new directory.
func tree(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestText(t *testing.T) {
	a := &module{Path: "example.com/a", Version: "v1.0.0", Dir: tree(t, map[string]string{
		"LICENSE": "\r\nas is\r\n", "NOTICE": "made by A", "licence.go": "no", "other/LICENSE": "of what is not linked", "in/side/COPYING.txt": "of a part",
	})}
	b := &module{Path: "example.com/b", Version: "v2.0.0", Dir: tree(t, map[string]string{"License.md": "as is\n", "docs/LICENSE/x": "no"})}
	var c collection
	for _, p := range []linkedPackage{
		{Dir: b.Dir, Module: b},
		{Dir: filepath.Join(a.Dir, "in", "side"), Module: a},
		{Dir: a.Dir, Module: a},
		{Dir: filepath.Join(b.Dir, "docs"), Module: b},
		{Dir: "of Go itself"},
		{Dir: "ours", Module: &module{Main: true}},
	} {
		if err := c.addPackage(p); err != nil {
			t.Fatal(err)
		}
	}
	got, err := c.text()
	want := head +
		"  example.com/a v1.0.0\n  example.com/b v2.0.0\n" +
		"\n" + rule + "example.com/a v1.0.0: LICENSE\nexample.com/b v2.0.0: License.md\n" + rule + "\nas is\n" +
		"\n" + rule + "example.com/a v1.0.0: NOTICE\n" + rule + "\nmade by A\n" +
		"\n" + rule + "example.com/a v1.0.0: in/side/COPYING.txt\n" + rule + "\nof a part\n"
	if err != nil || string(got) != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, got, want)
	}
}

func TestSoftwareWithoutALicence(t *testing.T) {
	var c collection
	m := &module{Path: "example.com/a", Version: "v1.0.0", Dir: tree(t, map[string]string{"README": "no"})}
	if err := c.addPackage(linkedPackage{Dir: m.Dir, Module: m}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.text(); err == nil || !strings.Contains(err.Error(), "example.com/a v1.0.0 comes without a licence") {
		t.Errorf("got %v", err)
	}
}

// What is linked is found as the go command finds it, and what is written holds until
// something else is linked.
func TestRun(t *testing.T) {
	out := filepath.Join(t.TempDir(), "licences")
	root := filepath.Join("..", "..", "..")
	of := func(program string, check bool) error {
		return run(root, []string{"linux-amd64"}, []string{program}, out, check)
	}
	if err := of("./apps/to_nsq", true); err == nil {
		t.Error("a file that is not there is well")
	}
	if err := of("./apps/to_nsq", false); err != nil {
		t.Fatal(err)
	}
	if err := of("./apps/to_nsq", true); err != nil {
		t.Error(err)
	}
	if err := of("./apps/nsqd", true); err == nil || !strings.Contains(err.Error(), "make generate") {
		t.Errorf("after a change: %v", err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nGo: LICENSE\n", "\ngithub.com/klauspost/compress v", ": s2/LICENSE\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("lacks %q", want)
		}
	}
	if strings.Contains(string(text), "github.com/seed893f581e/nsq") || strings.Contains(string(text), "chromedp") {
		t.Error("has what is ours or is not linked")
	}
	if err := of("./apps/none", false); err == nil {
		t.Error("there is no program none")
	}
}
