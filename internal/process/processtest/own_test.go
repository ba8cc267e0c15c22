package processtest

import (
	"os"
	"testing"
)

// What a test does to its process is not seen by others.
func TestOwnProcess(t *testing.T) {
	const name = "PROCESSTEST_SEEN"
	if Own(t) {
		os.Setenv(name, "1")
		return
	}
	if os.Getenv(name) != "" {
		t.Error("the test ran in the process of others")
	}
}
