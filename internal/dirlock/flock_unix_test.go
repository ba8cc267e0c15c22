//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package dirlock

import (
	"errors"
	"syscall"
	"testing"
)

func TestSecondLockFailsUntilTheFirstIsReleased(t *testing.T) {
	dir := t.TempDir()
	first, err := Acquire(dir)
	if err != nil {
		t.Fatal(err)
	}

	_, err = Acquire(dir)
	want := "cannot flock directory " + dir + " - resource temporarily unavailable (possibly in use by another instance of nsqd)"
	if err == nil || err.Error() != want || !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("second Acquire = %v, want %s", err, want)
	}

	if err := first.Unlock(); err != nil {
		t.Fatal(err)
	}
	second, err := Acquire(dir)
	if err != nil {
		t.Fatalf("Acquire after Unlock: %v", err)
	}
	if err := second.Unlock(); err != nil {
		t.Error(err)
	}
}
