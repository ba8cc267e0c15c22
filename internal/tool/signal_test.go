//go:build unix

package tool

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Signals that come soon after the first do not kill a tool that has begun to stop.
// If they do, the test ends with them.
func TestSignalsThatComeTogetherAreOne(t *testing.T) {
	terminate := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
			t.Error(err)
		}
	}
	define := func(*flag.FlagSet) func(context.Context) error {
		return func(ctx context.Context) error {
			terminate()
			<-ctx.Done()
			for began := time.Now(); time.Since(began) < patience/4; {
				terminate()
			}
			// For good: one may still be on its way when nobody else waits for it any more.
			signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM)
			return nil
		}
	}
	var stdout, stderr strings.Builder
	if code := run("test", define, nil, &stdout, &stderr); code != 0 || stdout.String()+stderr.String() != "" {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
	}
}
