package nsq

import (
	"context"
	"fmt"
	"time"
)

// stopTimeout is how long handlers may take to answer what is in flight after
// Stop or DisconnectFromNSQD.
const stopTimeout = 30 * time.Second

// Stop makes every nsqd stop sending, and returns at once. Handlers go on until
// they have answered what is in flight; then the connections are closed, and
// StopChan. After 30 seconds StopChan is closed in any case. Calling Stop again
// does nothing.
func (r *Consumer) Stop() {
	if r.startStop() {
		r.log(eventStopping)
		go r.finishStop()
	}
}

// startStop reports whether it was the first to be called.
func (r *Consumer) startStop() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return false
	}
	r.stopped = true
	for _, c := range r.conns {
		c.startClose()
	}
	r.queue.hurry()
	r.cancel()
	return true
}

// StopContext is Stop, and waits until StopChan is closed. When ctx ends, or after
// 30 seconds, that is at once: connections are closed, what still waits is dropped,
// and what handlers have not answered reaches nobody. The error is an ErrAbandoned
// then, and says why; every caller gets it. A handler that calls StopContext would
// wait for itself.
func (r *Consumer) StopContext(ctx context.Context) error {
	r.Stop()
	select {
	case <-r.StopChan:
	case <-ctx.Done():
		r.abandon(interrupted(ctx, "waiting for handlers"))
		<-r.StopChan
	}
	return r.stopErr
}

var errStopTimeout = fmt.Errorf("waited for handlers for %v", stopTimeout)

// finishStop closes StopChan when everything has ended, or took too long.
func (r *Consumer) finishStop() {
	defer close(r.StopChan)
	timeout := time.AfterFunc(stopTimeout, func() { r.abandon(errStopTimeout) })
	defer timeout.Stop()
	ended := make(chan struct{})
	go func() { // outlives StopChan only with a handler that does not return
		defer close(ended)
		r.discovery.loops.Wait()
		r.loops.Wait() // ends when everything is answered, or with closeConns
		r.queue.close()
		r.handlers.Wait()
		r.logDropped()
	}()
	select {
	case <-ended:
	case <-r.handling.Done():
	}
	r.abandon(ErrConsumerStopped) // nobody is waited for
	cause := context.Cause(r.handling)
	if cause == ErrConsumerStopped { //nolint:errorlint // the one of the line above
		r.log(eventStopped)
		return
	}
	// Even if handlers have ended by now: they did because their contexts have.
	r.queue.abandon() // no handler gets anything after StopChan is closed
	r.closeConns()
	r.stopErr = fmt.Errorf("%w: %w", ErrAbandoned, cause)
	r.log(eventAbandoned)
}

// closeConns closes the connections at once.
func (r *Consumer) closeConns() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		c.close(errCloseTimeout)
	}
}
