package nsq_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/seed893f581e/nsq/nsq"
)

// publish publishes messages for an example to consume.
func publish(topic string, bodies ...string) {
	producer, err := nsq.NewProducer(nsqdAddress(), nsq.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Stop()
	for _, body := range bodies {
		if err := producer.Publish(topic, []byte(body)); err != nil {
			log.Fatal(err)
		}
	}
}

// A program that handles messages until it is interrupted, ten at a time.
func ExampleConsumer() {
	config := nsq.NewConfig()
	config.MaxInFlight = 100
	consumer, err := nsq.NewConsumer("orders", "kitchen", config)
	if err != nil {
		log.Fatal(err)
	}
	consumer.AddConcurrentHandlers(nsq.HandlerFunc(func(m *nsq.Message) error {
		fmt.Println(string(m.Body))
		return nil // finished; an error would requeue it
	}), 10)
	if err := consumer.ConnectToNSQD("127.0.0.1:4150"); err != nil {
		log.Fatal(err)
	}

	interrupt := make(chan os.Signal, 1)
	signal.Notify(interrupt, os.Interrupt)
	<-interrupt
	consumer.Stop()
	<-consumer.StopChan // everything in flight has been handled
}

// Messages come from every nsqd that has the topic, now or later.
func ExampleConsumer_ConnectToNSQLookupds() {
	config := nsq.NewConfig()
	config.MaxInFlight = 100
	consumer, err := nsq.NewConsumer("orders", "kitchen", config)
	if err != nil {
		log.Fatal(err)
	}
	consumer.AddHandler(nsq.HandlerFunc(func(m *nsq.Message) error {
		fmt.Println(m.NSQDAddress, string(m.Body))
		return nil
	}))
	if err := consumer.ConnectToNSQLookupds([]string{"127.0.0.1:4161", "127.0.0.1:5161"}); err != nil {
		log.Fatal(err)
	}
	<-consumer.StopChan
}

// Messages are written to a database a hundred at a time, and at the latest after
// a second.
func ExampleConsumer_AddBatchHandler() {
	publish("rows", "a", "b", "c")

	config := nsq.NewConfig()
	config.MaxInFlight = 200
	consumer, err := nsq.NewConsumer("rows", "database", config)
	if err != nil {
		log.Fatal(err)
	}
	all := make(chan struct{})
	stored := 0
	consumer.AddBatchHandler(nsq.BatchHandlerFunc(func(messages []*nsq.Message) error {
		stored += len(messages) // in one transaction
		if stored == 3 {
			close(all)
		}
		return nil // all are finished; an error would requeue all
	}), 1, nsq.BatchOptions{MaxMessages: 100, MaxWait: time.Second})
	if err := consumer.ConnectToNSQD(nsqdAddress()); err != nil {
		log.Fatal(err)
	}
	<-all
	consumer.Stop()
	<-consumer.StopChan
	fmt.Println("stored", stored)
	// Output: stored 3
}

// A program that stops has a limited time for what is in flight.
func ExampleConsumer_StopContext() {
	publish("greetings", "hello")

	consumer, err := nsq.NewConsumer("greetings", "printer", nsq.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	begun := make(chan struct{})
	consumer.AddHandler(nsq.HandlerFunc(func(m *nsq.Message) error {
		close(begun)
		fmt.Printf("%s\n", m.Body)
		return nil
	}))
	if err := consumer.ConnectToNSQD(nsqdAddress()); err != nil {
		log.Fatal(err)
	}
	<-begun
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println("stopped:", consumer.StopContext(ctx))
	// Output:
	// hello
	// stopped: <nil>
}

// The consumer pauses, and goes on.
func ExampleConsumer_ChangeMaxInFlight() {
	consumer, err := nsq.NewConsumer("orders", "kitchen", nsq.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	defer consumer.Stop()
	consumer.ChangeMaxInFlight(0) // nothing more is delivered
	consumer.ChangeMaxInFlight(200)
}

// A handler that needs longer than nsqd waits says so from time to time.
func ExampleMessage_Touch() {
	bake := func(order []byte, stillAtIt func()) error {
		stillAtIt() // at least once in every MsgTimeout
		return nil
	}
	consumer, err := nsq.NewConsumer("orders", "bakery", nsq.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	defer consumer.Stop()
	consumer.AddHandler(nsq.HandlerFunc(func(m *nsq.Message) error {
		return bake(m.Body, m.Touch)
	}))
}

// A handler may leave the answer to another goroutine.
func ExampleMessage_DisableAutoResponse() {
	publish("letters", "dear reader")

	consumer, err := nsq.NewConsumer("letters", "post", nsq.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	desk := make(chan *nsq.Message)
	consumer.AddHandler(nsq.HandlerFunc(func(m *nsq.Message) error {
		m.DisableAutoResponse()
		desk <- m
		return nil
	}))
	if err := consumer.ConnectToNSQD(nsqdAddress()); err != nil {
		log.Fatal(err)
	}
	m := <-desk
	m.Finish()
	consumer.Stop()
	<-consumer.StopChan
	fmt.Printf("%s, finished: %v\n", m.Body, m.HasResponded())
	// Output: dear reader, finished: true
}

// What a handler begins for a message is given up when its answer would reach
// nobody any more: nsqd delivers the message to another consumer then.
func ExampleMessage_Context() {
	look := func(ctx context.Context, order []byte) error { return ctx.Err() }
	consumer, err := nsq.NewConsumer("orders", "kitchen", nsq.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	defer consumer.Stop()
	consumer.AddHandler(nsq.HandlerFunc(func(m *nsq.Message) error {
		return look(m.Context(), m.Body)
	}))
}

// deadLetters handles orders, and moves those that cannot be handled to a topic of
// their own.
type deadLetters struct {
	producer nsq.Publisher
	done     chan struct{}
}

func (deadLetters) HandleMessage(m *nsq.Message) error {
	return errors.New("out of coffee")
}

// LogFailedMessage is called once the message has had MaxAttempts.
func (d deadLetters) LogFailedMessage(m *nsq.Message) {
	if err := d.producer.Publish("orders.failed", m.Body); err != nil {
		m.Requeue(-1) // else it would be finished
		return
	}
	close(d.done)
}

// A message that fails again and again is not lost.
func ExampleFailedMessageLogger() {
	publish("coffees", "a cup for the tester")
	producer, err := nsq.NewProducer(nsqdAddress(), nsq.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Stop()

	config := nsq.NewConfig()
	config.MaxAttempts = 3
	config.DefaultRequeueDelay = 10 * time.Millisecond
	config.MaxBackoffDuration = 0 // a failure says nothing about the next message
	consumer, err := nsq.NewConsumer("coffees", "kitchen", config)
	if err != nil {
		log.Fatal(err)
	}
	handler := deadLetters{producer, make(chan struct{})}
	consumer.AddHandler(handler)
	if err := consumer.ConnectToNSQD(nsqdAddress()); err != nil {
		log.Fatal(err)
	}
	<-handler.done
	consumer.Stop()
	<-consumer.StopChan
	fmt.Println("moved to orders.failed")
	// Output: moved to orders.failed
}
