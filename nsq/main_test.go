package nsq

import (
	"testing"

	"go.uber.org/goleak"
)

// Whoever starts a goroutine waits for it: when all tests are done, none is
// left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
