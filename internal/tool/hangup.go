package tool

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Hangups tells of SIGHUP until ctx ends. Several that come while nobody receives
// are one. A tool that does not call it is killed by the signal.
func Hangups(ctx context.Context) <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGHUP)
	context.AfterFunc(ctx, func() { signal.Stop(c) })
	return c
}
