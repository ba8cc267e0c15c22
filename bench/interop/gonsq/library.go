// A program that is the same for both libraries but for the import below.

package gonsq

import (
	"cmp"
	"errors"
	"sync"
	"time"

	nsq "github.com/nsqio/go-nsq"

	"github.com/seed893f581e/nsq/bench/interop"
)

// Library is the library that this file imports.
type Library struct{}

// Describe implements interop.Library.
func (Library) Describe(err error) string {
	var protocol nsq.ErrProtocol
	var identify nsq.ErrIdentify
	switch {
	case err == nil:
		return "nil"
	case errors.As(err, &identify):
		return "ErrIdentify: " + identify.Reason
	case errors.As(err, &protocol):
		return "ErrProtocol: " + protocol.Reason
	case errors.Is(err, nsq.ErrNotConnected):
		return "ErrNotConnected"
	case errors.Is(err, nsq.ErrStopped):
		return "ErrStopped"
	case errors.Is(err, nsq.ErrAlreadyConnected):
		return "ErrAlreadyConnected"
	}
	return err.Error()
}

// configFor returns a config with the options of s.
func configFor(s interop.Setup) (*nsq.Config, error) {
	cfg := nsq.NewConfig()
	for name, value := range s.Options {
		if err := cfg.Set(name, value); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

// A logFunc has the method of a logger.
type logFunc func(line string)

// Output passes on the line, if somebody wants it.
func (f logFunc) Output(_ int, line string) error {
	if f != nil {
		f(line)
	}
	return nil
}

// NewProducer implements interop.Library.
func (Library) NewProducer(addr string, s interop.Setup) (interop.Producer, error) {
	cfg, err := configFor(s)
	if err != nil {
		return nil, err
	}
	p, err := nsq.NewProducer(addr, cfg)
	if err != nil {
		return nil, err
	}
	p.SetLogger(logFunc(s.Log), nsq.LogLevelInfo)
	return producer{p}, nil
}

type producer struct{ *nsq.Producer }

func (p producer) PublishAsync(topic string, bodies ...string) []interop.Outcome {
	return outcomes(len(bodies), func(i int, done chan *nsq.ProducerTransaction) error {
		return p.Producer.PublishAsync(topic, []byte(bodies[i]), done, i, bodies[i])
	})
}

func (p producer) MultiPublishAsync(topic string, bodies ...string) []interop.Outcome {
	return outcomes(1, func(_ int, done chan *nsq.ProducerTransaction) error {
		multi := make([][]byte, len(bodies))
		for i, body := range bodies {
			multi[i] = []byte(body)
		}
		return p.Producer.MultiPublishAsync(topic, multi, done, len(bodies))
	})
}

func (p producer) DeferredPublishAsync(topic string, delay time.Duration, bodies ...string) []interop.Outcome {
	return outcomes(len(bodies), func(i int, done chan *nsq.ProducerTransaction) error {
		return p.Producer.DeferredPublishAsync(topic, delay, []byte(bodies[i]), done)
	})
}

// outcomes calls publish n times and returns the outcomes as they came.
func outcomes(n int, publish func(i int, done chan *nsq.ProducerTransaction) error) []interop.Outcome {
	done := make(chan *nsq.ProducerTransaction, n)
	var all []interop.Outcome
	under := 0
	for i := range n {
		if err := publish(i, done); err != nil {
			all = append(all, interop.Outcome{Error: "at once: " + Library{}.Describe(err)})
			continue
		}
		under++
	}
	for range under {
		tx := <-done
		all = append(all, interop.Outcome{Error: Library{}.Describe(tx.Error), Args: tx.Args})
	}
	return all
}

func (p producer) PublishConcurrently(topic string, body []byte, goroutines, n int) error {
	return concurrently(goroutines, func() error { return p.publishMany(topic, body, n/goroutines) })
}

func (p producer) PublishInTurn(topic string, body []byte, goroutines, n int) error {
	return concurrently(goroutines, func() error {
		for range n / goroutines {
			if err := p.Publish(topic, body); err != nil {
				return err
			}
		}
		return nil
	})
}

// concurrently calls f from so many goroutines and returns when all have ended.
func concurrently(goroutines int, f func() error) error {
	errs := make([]error, goroutines)
	var publishing sync.WaitGroup
	for g := range goroutines {
		publishing.Go(func() { errs[g] = f() })
	}
	publishing.Wait()
	return errors.Join(errs...)
}

func (p producer) publishMany(topic string, body []byte, n int) (err error) {
	done := make(chan *nsq.ProducerTransaction, 100)
	under := 0
	for range n {
		if under == cap(done) {
			err = cmp.Or(err, (<-done).Error)
			under--
		}
		if err := p.Producer.PublishAsync(topic, body, done); err != nil {
			return err
		}
		under++
	}
	for range under {
		err = cmp.Or(err, (<-done).Error)
	}
	return err
}

// NewConsumer implements interop.Library.
func (Library) NewConsumer(topic, channel string, s interop.Setup, h interop.Handler, concurrency int) (interop.Consumer, error) {
	cfg, err := configFor(s)
	if err != nil {
		return nil, err
	}
	r, err := nsq.NewConsumer(topic, channel, cfg)
	if err != nil {
		return nil, err
	}
	r.SetLogger(logFunc(s.Log), nsq.LogLevelInfo)
	if s.Filter != nil {
		r.SetBehaviorDelegate(filter(s.Filter))
	}
	if s.Client != nil {
		r.SetLookupdHttpClient(s.Client)
	}
	r.AddConcurrentHandlers(handler(h), concurrency)
	return consumer{r}, nil
}

type handler interop.Handler

// HandleMessage implements nsq.Handler.
func (h handler) HandleMessage(m *nsq.Message) error { return h.Handle(message{m}) }

// LogFailedMessage implements nsq.FailedMessageLogger.
func (h handler) LogFailedMessage(m *nsq.Message) {
	if h.Failed != nil {
		h.Failed(message{m}.Delivery())
	}
}

type message struct{ *nsq.Message }

func (m message) Delivery() interop.Delivery {
	return interop.Delivery{
		ID:        string(m.ID[:]),
		Body:      string(m.Body),
		Attempts:  m.Attempts,
		Timestamp: m.Timestamp,
		From:      m.NSQDAddress,
	}
}

type consumer struct{ *nsq.Consumer }

func (r consumer) Stats() interop.Stats {
	s := r.Consumer.Stats()
	return interop.Stats{
		Received:    s.MessagesReceived,
		Finished:    s.MessagesFinished,
		Requeued:    s.MessagesRequeued,
		Connections: s.Connections,
	}
}

func (r consumer) Stopped() <-chan int { return r.StopChan }
