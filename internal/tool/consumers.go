package tool

import (
	"context"
	"sync"
	"time"
)

// drainTimeout is how long consumers wait for what is in flight when they stop.
const drainTimeout = 30 * time.Second

// Consumer is what a tool needs of a consumer of the client library to start
// and to stop it.
type Consumer interface {
	ConnectToNSQDs(addresses []string) error
	ConnectToNSQLookupds(addresses []string) error
	StopContext(ctx context.Context) error
}

// ConnectAll connects consumers to the sources, each as Sources.Connect does, and
// none delays another. What it ends with arrives in the channel, once for each.
func ConnectAll[C Consumer](consumers []C, s *Sources) <-chan error {
	connected := make(chan error, len(consumers))
	for _, c := range consumers {
		go func() { connected <- s.Connect(c) }() // ends with the consumer
	}
	return connected
}

// StopAll makes consumers stop. The channel it returns is closed when they have:
// until then, messages must be taken and answered. It takes 30 seconds at most.
func StopAll[C Consumer](consumers []C) <-chan struct{} {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	var all sync.WaitGroup
	for _, c := range consumers {
		all.Go(func() { _ = c.StopContext(ctx) }) // what was not answered in time comes again
	}
	stopped := make(chan struct{})
	go func() {
		all.Wait()
		cancel()
		close(stopped)
	}()
	return stopped
}
