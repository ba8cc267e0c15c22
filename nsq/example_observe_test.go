package nsq_test

import (
	"bufio"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/seed893f581e/nsq/nsq"
)

// A program logs with log/slog: records have constant messages, and attributes
// such as topic, channel, nsqd, message_id and error.
func ExampleConsumer_SetSlogger() {
	consumer, err := nsq.NewConsumer("orders", "kitchen", nsq.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	defer consumer.Stop()
	consumer.SetSlogger(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
}

// A program shows its producers and consumers to Prometheus.
func ExampleMetricsHandler() {
	producer, err := nsq.NewProducer("127.0.0.1:4150", nsq.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	consumer, err := nsq.NewConsumer("orders", "kitchen", nsq.NewConfig())
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/metrics", nsq.MetricsHandler(producer, consumer))

	// What Prometheus does:
	server := httptest.NewServer(http.DefaultServeMux)
	defer server.Close()
	response, err := http.Get(server.URL + "/metrics")
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if strings.Contains(lines.Text(), "nsq_consumer_max_in_flight") || strings.Contains(lines.Text(), "nsq_producer_connected") {
			fmt.Println(lines.Text())
		}
	}
	// Output:
	// # HELP nsq_consumer_max_in_flight How many messages may be in flight.
	// # TYPE nsq_consumer_max_in_flight gauge
	// nsq_consumer_max_in_flight{channel="kitchen",topic="orders"} 1
	// # HELP nsq_producer_connected Producers that have a connection to nsqd.
	// # TYPE nsq_producer_connected gauge
	// nsq_producer_connected{nsqd="127.0.0.1:4150"} 0
}
