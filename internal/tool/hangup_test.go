//go:build unix

package tool

import (
	"os"
	"syscall"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

func TestHangups(t *testing.T) {
	hangups := Hangups(t.Context())
	for range 2 {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if s := nsqtest.Receive(t, "SIGHUP", hangups); s != syscall.SIGHUP {
			t.Errorf("got %v", s)
		}
	}
}
