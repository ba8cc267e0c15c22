package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestVerdict(t *testing.T) {
	sent := []string{"000001 a", "000002", "000003 c", "000004 d", "000005 e", "000006 f", "000007 g"}
	changed := slices.Clone(sent)
	changed[2] = "000003 C"
	for name, c := range map[string]struct {
		arrived    []string
		want       string
		ok         bool
		duplicates int
	}{
		"all":               {sent, "7 of 7 lines arrived, checksums match, 2.0 s, 4 lines/s", true, 0},
		"another order":     {[]string{sent[6], sent[1], sent[0], sent[5], sent[2], sent[4], sent[3]}, "7 of 7 lines arrived, checksums match, 2.0 s, 4 lines/s", true, 0},
		"one twice":         {append(slices.Clone(sent), sent[3]), "7 of 7 lines arrived, checksums match, 2.0 s, 4 lines/s", true, 1},
		"one missing":       {sent[1:], "6 of 7 lines arrived, 1 missing (000001), checksums differ, 2.0 s, 3 lines/s", false, 0},
		"most missing":      {sent[6:], "1 of 7 lines arrived, 6 missing (000001, 000002, 000003, 000004, 000005, ...), checksums differ, 2.0 s, 0 lines/s", false, 0},
		"one changed":       {changed, "7 of 7 lines arrived, checksums differ, 2.0 s, 4 lines/s", false, 0},
		"one twice, unlike": {append(slices.Clone(sent), changed[2]), "7 of 7 lines arrived, 1 more that were not sent, checksums match, 2.0 s, 4 lines/s", false, 0},
		"not sent":          {append(slices.Clone(sent), "000008 h", "000000 x", "", "x"), "7 of 7 lines arrived, 4 more that were not sent, checksums match, 2.0 s, 4 lines/s", false, 0},
	} {
		tally := newTally(sent)
		for _, line := range c.arrived {
			tally.add(line)
		}
		got, ok := tally.verdict(2 * time.Second)
		if got != c.want || ok != c.ok || tally.duplicates != c.duplicates {
			t.Errorf("%s: %v, %d duplicates: %s\nwant %v, %d: %s", name, ok, tally.duplicates, got, c.ok, c.duplicates, c.want)
		}
	}
}

func TestSourceLines(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"b.go": "b\n", "a/z.go": "package a\n\n\tlast\r", "a/data.txt": "x\n"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"000001 package a", "000002 ", "000003 \tlast\r", "000004 b", "000005 package a", "000006 "}
	if got, err := sourceLines(dir, 6); err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if got, err := sourceLines(t.TempDir(), 6); err == nil {
		t.Errorf("an empty directory: got %q, want an error", got)
	}
}
