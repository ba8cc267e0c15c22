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

// Consumers are those of a tool, which connect and stop together.
type Consumers[C Consumer] struct {
	all        []C
	connecting sync.WaitGroup
}

// NewConsumers returns consumers that are yet to be connected.
func NewConsumers[C Consumer](all ...C) *Consumers[C] { return &Consumers[C]{all: all} }

// Connect connects all to the sources, each as Sources.Connect does, and none
// delays another. What it ends with arrives in the channel, once for each.
func (cs *Consumers[C]) Connect(s *Sources) <-chan error {
	connected := make(chan error, len(cs.all))
	for _, c := range cs.all {
		cs.connecting.Go(func() { connected <- s.Connect(c) }) // ends with the consumer
	}
	return connected
}

// Stop makes all stop. The channel it returns is closed when they have, and none is
// connecting any more: until then, messages must be taken and answered. It takes 30
// seconds at most.
func (cs *Consumers[C]) Stop() <-chan struct{} {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	var all sync.WaitGroup
	for _, c := range cs.all {
		all.Go(func() { _ = c.StopContext(ctx) }) // what was not answered in time comes again
	}
	stopped := make(chan struct{})
	go func() {
		all.Wait()
		cancel()
		cs.connecting.Wait()
		close(stopped)
	}()
	return stopped
}
