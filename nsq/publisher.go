package nsq

import (
	"context"
	"time"
)

// Publisher is what a Producer and a MultiProducer have in common. A program that
// publishes through this interface can use either, and a fake in its tests.
type Publisher interface {
	Publish(topic string, body []byte) error
	MultiPublish(topic string, body [][]byte) error
	DeferredPublish(topic string, delay time.Duration, body []byte) error

	PublishContext(ctx context.Context, topic string, body []byte) error
	MultiPublishContext(ctx context.Context, topic string, body [][]byte) error
	DeferredPublishContext(ctx context.Context, topic string, delay time.Duration, body []byte) error

	PublishAsync(topic string, body []byte, doneChan chan *ProducerTransaction, args ...any) error
	MultiPublishAsync(topic string, body [][]byte, doneChan chan *ProducerTransaction, args ...any) error
	DeferredPublishAsync(topic string, delay time.Duration, body []byte, doneChan chan *ProducerTransaction, args ...any) error

	PublishAsyncContext(ctx context.Context, topic string, body []byte, doneChan chan *ProducerTransaction, args ...any) error
	MultiPublishAsyncContext(ctx context.Context, topic string, body [][]byte, doneChan chan *ProducerTransaction, args ...any) error
	DeferredPublishAsyncContext(ctx context.Context, topic string, delay time.Duration, body []byte, doneChan chan *ProducerTransaction, args ...any) error

	Ping() error
	PingContext(ctx context.Context) error
	Stop()
	StopContext(ctx context.Context) error
}

var (
	_ Publisher = (*Producer)(nil)
	_ Publisher = (*MultiProducer)(nil)
)
