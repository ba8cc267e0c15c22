package nsq_test

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/seed893f581e/nsq/nsq"
)

func ExampleProducer() {
	producer, err := nsq.NewProducer("127.0.0.1:4150", nsq.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Stop()

	if err := producer.Publish("orders", []byte("one coffee")); err != nil {
		log.Fatal(err)
	}
}

func ExampleProducer_PublishAsync() {
	producer, err := nsq.NewProducer("127.0.0.1:4150", nsq.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Stop()

	orders := []string{"one coffee", "two teas"}
	done := make(chan *nsq.ProducerTransaction, len(orders))
	for _, order := range orders {
		if err := producer.PublishAsync("orders", []byte(order), done, order); err != nil {
			log.Fatal(err)
		}
	}
	for range orders {
		if t := <-done; t.Error != nil {
			log.Printf("%s: %v", t.Args[0], t.Error)
		}
	}
}

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
	<-consumer.StopChan
}

// A handler that needs longer than nsqd waits says so from time to time.
func ExampleMessage_Touch() {
	work := func([]byte, func()) error { return nil }
	handler := nsq.HandlerFunc(func(m *nsq.Message) error {
		return work(m.Body, m.Touch)
	})
	_ = handler
}

// answers records how a message was answered, in a test of a handler.
type answers struct{}

func (answers) OnFinish(*nsq.Message)                             { fmt.Println("finished") }
func (answers) OnRequeue(_ *nsq.Message, d time.Duration, _ bool) { fmt.Println("requeued for", d) }
func (answers) OnTouch(*nsq.Message)                              { fmt.Println("touched") }

// A handler can be tested without an nsqd.
func ExampleNewMessage() {
	handler := nsq.HandlerFunc(func(m *nsq.Message) error {
		if !json.Valid(m.Body) {
			m.RequeueWithoutBackoff(time.Minute)
		}
		return nil
	})
	m := nsq.NewMessage(nsq.MessageID([]byte("0123456789abcdef")), []byte("{"))
	m.Delegate = answers{}
	if err := handler.HandleMessage(m); err != nil {
		fmt.Println(err)
	}
	fmt.Println(m.HasResponded())
	// Output:
	// requeued for 1m0s
	// true
}

func ExampleConfig_Set() {
	config := nsq.NewConfig()
	fmt.Println(config.Set("max-in-flight", "200"), config.MaxInFlight)
	fmt.Println(config.Set("read_timeout", 30000), config.ReadTimeout)
	fmt.Println(config.Set("sample_rate", 100))
	// Output:
	// <nil> 200
	// <nil> 30s
	// invalid sample_rate ! 100 > 99
}

func ExampleConsumer_ConnectToNSQLookupds() {
	config := nsq.NewConfig()
	config.MaxInFlight = 100
	consumer, err := nsq.NewConsumer("orders", "kitchen", config)
	if err != nil {
		log.Fatal(err)
	}
	consumer.AddHandler(nsq.HandlerFunc(func(m *nsq.Message) error {
		fmt.Println(string(m.Body))
		return nil
	}))
	// Messages come from every nsqd that has the topic, now or later.
	if err := consumer.ConnectToNSQLookupds([]string{"127.0.0.1:4161", "127.0.0.1:5161"}); err != nil {
		log.Fatal(err)
	}
	<-consumer.StopChan
}
