package diskspace_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/seed893f581e/nsq/internal/diskspace"
)

func TestFree(t *testing.T) {
	for _, dir := range []string{t.TempDir(), ""} {
		free, total, err := diskspace.Free(dir)
		if err != nil || free < 0 || total <= 0 || free > total || total == math.MaxInt64 {
			t.Errorf("Free(%q) = %d of %d, %v", dir, free, total, err)
		}
	}
	if _, _, err := diskspace.Free(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a directory that is missing: %v", err)
	}
}

func TestIsFull(t *testing.T) {
	full := syscall.ENOSPC
	if runtime.GOOS == "windows" {
		full = syscall.Errno(112)
	}
	for err, want := range map[error]bool{
		fmt.Errorf("writing: %w", &fs.PathError{Op: "write", Path: "x", Err: full}): true,
		syscall.EACCES:   false,
		errors.New("no"): false,
		nil:              false,
	} {
		if got := diskspace.IsFull(err); got != want {
			t.Errorf("IsFull(%v) = %v", err, got)
		}
	}
}
