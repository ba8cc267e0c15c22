package main

import (
	"bufio"
	"context"
	"io"
	"log"
	"time"

	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/nsq"
)

// received is a message with its topic. It is touched until it is answered: whoever
// reads stdout may take a while.
type received struct {
	*nsq.Message
	topic   string
	untouch func()
}

func (m received) finish() {
	m.untouch()
	m.Finish()
}

// giveBack requeues the message for others on the channel.
func (m received) giveBack() {
	m.untouch()
	m.RequeueWithoutBackoff(0)
}

// run prints messages to stdout until ctx ends or a topic has reached the
// limit. It returns soon after the end of ctx even if stdout takes nothing or
// nsqd does not answer: nsqd then delivers what is not finished again.
func run(ctx context.Context, o *options, stdout io.Writer) error {
	done := make(chan error, 1)
	go func() { done <- printMessages(ctx, o, stdout) }() // outlives run only with a call that does not return
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-done:
		return err
	case <-time.After(tool.StopTimeout):
		log.Printf("stopped without waiting any longer for stdout or nsqd")
		return nil
	}
}

// printMessages is run without the limit on the time it takes to stop. Handlers only pass
// messages on to its goroutine, which writes.
func printMessages(ctx context.Context, o *options, stdout io.Writer) error {
	messages := make(chan received, 1024)
	consumers, err := newConsumers(o, messages)
	if err != nil {
		return err
	}
	connected := consumers.Connect(o.sources)

	p := newPrinter(stdout, o)
	stop := ctx.Done()
	var stopped <-chan struct{} // nil until we stop
	for {
		select {
		case m := <-messages:
			if p.full {
				m.giveBack()
				continue
			}
			if err := p.print(m, len(messages) > 0); err != nil {
				return err
			}
			if p.full && stopped == nil {
				stopped = consumers.Stop()
			}
		case err := <-connected:
			if err != nil && stopped == nil {
				return err
			}
		case <-stop:
			stop = nil
			if stopped == nil {
				stopped = consumers.Stop()
			}
		case <-stopped:
			return nil
		}
	}
}

func newConsumers(o *options, messages chan<- received) (*tool.Consumers[*nsq.Consumer], error) {
	var consumers []*nsq.Consumer
	for _, topic := range *o.topics {
		c, err := nsq.NewConsumer(topic, o.channel, o.consumer)
		if err != nil {
			return nil, err
		}
		c.AddHandler(nsq.HandlerFunc(func(m *nsq.Message) error {
			m.DisableAutoResponse()
			messages <- received{m, topic, tool.KeepTouched(m.Timeout(), m.Touch)}
			return nil
		}))
		log.Printf("Adding consumer for topic: %s", topic)
		consumers = append(consumers, c)
	}
	return tool.NewConsumers(consumers...), nil
}

// printer writes messages through a buffer and finishes them once they are out
// of it.
type printer struct {
	out        *bufio.Writer
	printTopic bool
	limit      int // of each topic; 0 means without limit

	printed  map[string]int // messages by topic
	full     bool           // one of them has reached the limit
	buffered []received     // not finished yet
}

func newPrinter(w io.Writer, o *options) *printer {
	return &printer{
		out:        bufio.NewWriterSize(w, 16<<10),
		printTopic: o.printTopic,
		limit:      o.limit,
		printed:    map[string]int{},
	}
}

// print prints a message. It may stay in the buffer only if more are waiting.
func (p *printer) print(m received, more bool) error {
	// The first error stays with the writer, and flush returns it.
	if p.printTopic {
		_, _ = p.out.WriteString(m.topic)
		_, _ = p.out.WriteString(" | ")
	}
	_, _ = p.out.Write(m.Body)
	_ = p.out.WriteByte('\n')
	p.buffered = append(p.buffered, m)

	p.printed[m.topic]++
	p.full = p.printed[m.topic] == p.limit
	if more && !p.full {
		return nil
	}
	return p.flush()
}

func (p *printer) flush() error {
	if err := p.out.Flush(); err != nil {
		return tool.StdoutError(err)
	}
	for i, m := range p.buffered {
		m.finish()
		p.buffered[i] = received{}
	}
	p.buffered = p.buffered[:0]
	return nil
}
