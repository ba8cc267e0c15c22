package load

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// deadlineFormat is how -deadline is written, in local time.
const deadlineFormat = "2006-01-02 15:04:05"

// Flags are those that the programs which load an nsqd have in common.
type Flags struct {
	Addr  string
	Topic string
	Run   time.Duration

	deadline string
}

// Define adds the flags to a set.
func (f *Flags) Define(fs *flag.FlagSet) {
	fs.StringVar(&f.Addr, "nsqd-tcp-address", "127.0.0.1:4150", "`address` of nsqd")
	fs.StringVar(&f.Topic, "topic", "sub_bench", "topic")
	fs.DurationVar(&f.Run, "runfor", 10*time.Second, "how long to run")
	fs.StringVar(&f.deadline, "deadline", "", "`time` to begin at, like \""+deadlineFormat+"\", so that several programs begin together")
}

// Wait checks the flags and waits until it is time to begin.
func (f *Flags) Wait(ctx context.Context) error {
	if !wire.ValidName(f.Topic) {
		return fmt.Errorf("-topic %q is not a name for a topic", f.Topic)
	}
	if f.Run <= 0 {
		return fmt.Errorf("-runfor must be positive, is %v", f.Run)
	}
	if f.deadline == "" {
		return nil
	}
	at, err := time.ParseInLocation(deadlineFormat, f.deadline, time.Local)
	if err != nil {
		return fmt.Errorf("-deadline: %w", err)
	}
	select {
	case <-time.After(time.Until(at)):
		return nil
	case <-ctx.Done():
		return errors.New("stopped before -deadline")
	}
}

// Summary tells how much was done in a time.
func Summary(messages int64, size int, took time.Duration) string {
	n, s := float64(messages), took.Seconds()
	if messages == 0 {
		return fmt.Sprintf("0 messages in %.3f s", s)
	}
	return fmt.Sprintf("%d messages in %.3f s: %.0f msgs/s, %.1f MB/s, %.3f µs/msg", messages, s, n/s, n*float64(size)/1e6/s, s*1e6/n)
}
