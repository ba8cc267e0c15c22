package httpapi

import (
	"testing"
	"time"
)

func TestFailuresAreLoggedOncePerSecondAndCode(t *testing.T) {
	var f failures
	start := time.Unix(1000, 0)
	for _, c := range []struct {
		name string
		code string
		at   time.Duration
		left int
		ok   bool
	}{
		{"the first", "DISK_FULL", 0, 0, true},
		{"one at once after it", "DISK_FULL", 0, 0, false},
		{"another code", "INTERNAL_ERROR", 0, 0, true},
		{"one just before its time", "DISK_FULL", failureInterval - 1, 0, false},
		{"one in time tells of those before", "DISK_FULL", failureInterval, 2, true},
		{"one after a silence", "DISK_FULL", time.Hour, 0, true},
		{"another code after a silence", "INTERNAL_ERROR", time.Hour, 0, true},
	} {
		if left, ok := f.admit(c.code, start.Add(c.at)); left != c.left || ok != c.ok {
			t.Errorf("%s: got %d and %v, want %d and %v", c.name, left, ok, c.left, c.ok)
		}
	}
}
