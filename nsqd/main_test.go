package nsqd_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Tests look for goroutines that they left behind, but for those that run beside
// each other: they are looked for when all are done.
func TestMain(m *testing.M) {
	code := m.Run()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
