package nsq_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/seed893f581e/nsq/nsq"
)

func ExampleProducer() {
	producer, err := nsq.NewProducer(nsqdAddress(), nsq.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Stop()

	if err := producer.Publish("orders", []byte("one coffee")); err != nil {
		log.Fatal(err)
	}
	fmt.Println("nsqd has the order")
	// Output: nsqd has the order
}

// Any number of calls may be under way; each gets its answer through a channel.
func ExampleProducer_PublishAsync() {
	producer, err := nsq.NewProducer(nsqdAddress(), nsq.NewConfig())
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
		t := <-done
		fmt.Println(t.Args[0], t.Error)
	}
	// Output:
	// one coffee <nil>
	// two teas <nil>
}

// Of several messages nsqd takes all or none.
func ExampleProducer_MultiPublish() {
	producer, err := nsq.NewProducer(nsqdAddress(), nsq.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Stop()

	orders := [][]byte{[]byte("one coffee"), []byte("two teas")}
	fmt.Println(producer.MultiPublish("orders", orders))
	// Output: <nil>
}

// A message may be for later.
func ExampleProducer_DeferredPublish() {
	producer, err := nsq.NewProducer(nsqdAddress(), nsq.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Stop()

	fmt.Println(producer.DeferredPublish("reminders", 10*time.Minute, []byte("collect the order")))
	// Output: <nil>
}

// A call is given up when its context ends. What went wrong otherwise can be told
// with errors.Is and errors.As.
func ExampleProducer_PublishContext() {
	producer, err := nsq.NewProducer(nsqdAddress(), nsq.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Stop()

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err = producer.PublishContext(ctx, "no$topic", []byte("one coffee"))
	switch {
	case err == nil:
		fmt.Println("published")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nsq.ErrNotConnected):
		fmt.Println("nsqd may have it or not, publish it again")
	case errors.Is(err, nsq.CodePubFailed):
		fmt.Println("nsqd cannot keep more messages, its disk may be full")
	case errors.Is(err, nsq.CodeBadTopic):
		fmt.Println("a mistake in the program:", err)
	default:
		fmt.Println("no connection:", err)
	}
	// Output: a mistake in the program: E_BAD_TOPIC PUB topic name "no$topic" is not valid
}

// Producers that are idle or gone cost nothing; one that stops sends what it has.
func ExampleProducer_StopContext() {
	producer, err := nsq.NewProducer(nsqdAddress(), nsq.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	for range 100 {
		if err := producer.PublishAsync("orders", []byte("one coffee"), nil); err != nil {
			log.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	fmt.Println(producer.StopContext(ctx)) // nil: nsqd has answered all
	// Output: <nil>
}
