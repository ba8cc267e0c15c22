package main

import (
	"cmp"
	"context"
	"log"
	"slices"

	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/nsq"
)

// run passes messages on until ctx ends. It then waits for the answers to what is
// on its way.
func run(ctx context.Context, o *options) error {
	f, err := newForwarder(o)
	if err != nil {
		return err
	}
	consumers, err := newConsumers(o, f)
	if err != nil {
		return err
	}
	warnOfLoops(o)
	f.start()
	defer f.stop()
	err = awaitEnd(ctx, consumers.Connect(o.sources))
	f.startStopping()
	<-consumers.Stop()
	return err
}

// warnOfLoops logs which topics are published to where they come from.
func warnOfLoops(o *options) {
	for _, addr := range o.sources.NSQDs() {
		for _, topic := range *o.topics {
			if slices.Contains(*o.destinations, addr) && cmp.Or(o.topic, topic) == topic {
				log.Printf("Warning: nsqd %s is source and destination of topic %s: its messages come again and again", addr, topic)
			}
		}
	}
}

// newConsumers returns a consumer for each topic.
func newConsumers(o *options, f *forwarder) (*tool.Consumers[*nsq.Consumer], error) {
	var consumers []*nsq.Consumer
	for _, source := range *o.topics {
		topic := o.topic
		if topic == "" {
			topic = source
		}
		c, err := nsq.NewConsumer(source, o.channel, o.consumer)
		if err != nil {
			return nil, err
		}
		c.AddConcurrentHandlers(&handler{&o.selection, topic, f}, len(*o.destinations))
		consumers = append(consumers, c)
	}
	return tool.NewConsumers(consumers...), nil
}

// awaitEnd waits for the end of ctx, or for a consumer that cannot connect.
func awaitEnd(ctx context.Context, connected <-chan error) error {
	for {
		select {
		case err := <-connected:
			if err != nil && ctx.Err() == nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// handler passes on the messages of a topic.
type handler struct {
	selection *selection
	topic     string // at the destinations
	forwarder *forwarder
}

// HandleMessage leaves it to the forwarder to answer a message that is passed on,
// and finishes any other.
func (h *handler) HandleMessage(m *nsq.Message) error {
	body, verdict, err := h.selection.apply(m.Body)
	switch {
	case err != nil:
		return err
	case verdict == reject:
		log.Printf("ERROR: Unable to decode json: %s", quoted(m.Body))
	case verdict == pass:
		m.DisableAutoResponse()
		h.forwarder.forward(m, h.topic, body)
	}
	return nil
}
