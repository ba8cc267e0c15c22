package main

import (
	"context"
	"errors"
	"log"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/hostpool"
	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/nsq"
)

// maxWaiting bounds the goroutines that wait with a message until its turn comes.
const maxWaiting = 5000

// run sends messages until ctx ends; then those that have arrived are still sent.
func run(ctx context.Context, o *options) error {
	f, err := newForwarder(o)
	if err != nil {
		return err
	}
	c, err := nsq.NewConsumer(o.topic, o.channel, o.consumer)
	if err != nil {
		return err
	}
	// A handler for each message in flight: one that waits for its turn is not
	// left alone either.
	c.AddConcurrentHandlers(f, max(o.concurrency, min(o.maxInFlight, maxWaiting)))

	consumers := tool.NewConsumers(c)
	select {
	case err = <-consumers.Connect(o.sources):
		if err == nil {
			<-ctx.Done()
		}
	case <-ctx.Done():
	}
	<-consumers.Stop()
	return err
}

// forwarder is a handler that sends messages to targets.
type forwarder struct {
	targets []*target
	client  *http.Client
	pool    *hostpool.Pool
	status  *tool.Status
	sample  float64
	sending chan struct{} // has room for as many messages as are sent at a time
}

func newForwarder(o *options) (*forwarder, error) {
	pool, err := hostpool.New(o.mode, len(o.targets))
	if err != nil {
		return nil, err
	}
	var addresses []string
	for _, t := range o.targets {
		addresses = append(addresses, t.address)
	}
	client := o.timeouts.Client(o.concurrency)
	client.CheckRedirect = (&redirects{log: log.Default()}).check
	return &forwarder{
		targets: o.targets,
		client:  client,
		pool:    pool,
		status:  tool.NewStatus(o.statusEvery, addresses, log.Default()),
		sample:  o.sample,
		sending: make(chan struct{}, o.concurrency),
	}, nil
}

// HandleMessage sends a message, or lets it go if it is not in the sample. While
// that takes, and while as many others are sent as may be at a time, nsqd is told
// to wait.
func (f *forwarder) HandleMessage(m *nsq.Message) error {
	if f.sample < 1 && rand.Float64() >= f.sample {
		return nil
	}
	defer tool.KeepTouched(m.Timeout(), m.Touch)()
	ctx := m.Context()
	select {
	case f.sending <- struct{}{}:
		defer func() { <-f.sending }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		m.RequeueWithoutBackoff(0) // no target is to blame
		return nil
	}
	err := f.forward(ctx, m.Body)
	if err != nil && ctx.Err() != nil {
		m.RequeueWithoutBackoff(0)
		return nil
	}
	return err
}

// forward sends a message to the target, or the targets, whose turn it is.
func (f *forwarder) forward(ctx context.Context, message []byte) error {
	chosen := f.pool.Choose(time.Now())
	if len(chosen) == 1 {
		return f.sendTo(ctx, chosen[0], message)
	}
	errs := make([]error, len(chosen))
	var all sync.WaitGroup
	for i, target := range chosen {
		all.Go(func() { errs[i] = f.sendTo(ctx, target, message) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), "\n", "; ")) // one line in the log
	}
	return nil
}

func (f *forwarder) sendTo(ctx context.Context, i int, message []byte) error {
	start := time.Now()
	err := f.targets[i].send(ctx, f.client, message)
	now := time.Now()
	if err != nil && ctx.Err() != nil {
		return err // which says nothing about the target
	}
	f.pool.Report(i, now, now.Sub(start), err != nil)
	if err == nil {
		f.status.Took(i, now.Sub(start))
	}
	return err
}
