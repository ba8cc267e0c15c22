package durable

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestWriteFileReplacesTheWhole(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "file.dat")
	for _, content := range []string{"a long first content", "short", ""} {
		if err := WriteFile(name, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(name); string(got) != content {
			t.Errorf("read %q, %v, want %q", got, err, content)
		}
	}
	if info, err := os.Stat(name); err != nil || runtime.GOOS != "windows" && info.Mode() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("the directory has %v, %v", entries, err)
	}
}

func TestFailedWriteLeavesNothingBehind(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(name, "full"), 0o700); err != nil { // cannot be renamed over
		t.Fatal(err)
	}
	if err := WriteFile(name, []byte("x")); err == nil {
		t.Error("a directory was replaced by a file")
	}
	if entries, err := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("the directory has %v, %v", entries, err)
	}
	if err := WriteFile(filepath.Join(dir, "missing", "file"), nil); err == nil {
		t.Error("a file in a missing directory was written")
	}
}

func TestSyncDirOfTheCurrentDirectory(t *testing.T) {
	if err := SyncDir(""); err != nil {
		t.Error(err)
	}
	if err := SyncDir("missing"); err == nil && runtime.GOOS != "windows" {
		t.Error("a missing directory was synced")
	}
}
