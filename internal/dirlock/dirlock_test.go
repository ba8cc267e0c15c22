package dirlock

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestMissingDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "missing")
	_, err := Acquire(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Acquire = %v, want %v", err, fs.ErrNotExist)
	}
}

func TestFileIsNotADirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Acquire(file); err == nil {
		t.Error("Acquire of a file succeeded")
	}
}

func TestEmptyPathIsTheCurrentDirectory(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	lock, err := Acquire("")
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("the lock left %v, %v in the directory, want nothing", entries, err)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
}
