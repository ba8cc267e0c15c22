package nsq_test

import (
	"fmt"
	"log"

	"github.com/seed893f581e/nsq/nsq"
)

// Messages are shared out between several nsqds. What one of them cannot take goes to
// another; here, nobody listens at the second address.
func ExampleMultiProducer() {
	producer, err := nsq.NewMultiProducer([]string{nsqdAddress(), "127.0.0.1:1"}, nsq.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Stop()
	producer.SetLogger(nil, nsq.LogLevelError)

	// Or, to publish to every nsqd there is:
	// err = producer.ConnectToNSQLookupds([]string{"127.0.0.1:4161", "127.0.0.2:4161"})

	for _, order := range []string{"one coffee", "two teas"} {
		if err := producer.Publish("orders", []byte(order)); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("the orders are with an nsqd")
	// Output: the orders are with an nsqd
}
