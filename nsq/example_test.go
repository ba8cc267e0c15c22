package nsq_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"time"

	"github.com/seed893f581e/nsq/nsq"
)

func ExampleConfig() {
	config := nsq.NewConfig()
	config.MaxInFlight = 1000
	config.MsgTimeout = 2 * time.Minute
	config.Snappy = true
	config.AuthSecret = "the one that nsqd asks for"
	if err := config.Validate(); err != nil {
		log.Fatal(err)
	}
}

// Options have names, for config files and command lines.
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

// TLS that trusts an authority of one's own, and shows a certificate.
func ExampleConfig_Set_tls() {
	config := nsq.NewConfig()
	for option, value := range map[string]any{
		"tls_v1":           true,
		"tls_root_ca_file": "/etc/nsq/ca.pem",
		"tls_cert":         "/etc/nsq/client.pem",
		"tls_key":          "/etc/nsq/client.key",
		"tls_min_version":  "tls1.3",
	} {
		if err := config.Set(option, value); err != nil {
			fmt.Println("no TLS")
			return
		}
	}
	// Output: no TLS
}

// A program takes every option of the library on its command line.
func ExampleConfigFlag() {
	config := nsq.NewConfig()
	flags := flag.NewFlagSet("kitchen", flag.ContinueOnError)
	flags.Var(&nsq.ConfigFlag{Config: config}, "consumer-opt", "option,value of the consumer (may be given several times)")
	err := flags.Parse([]string{"--consumer-opt=max_in_flight,500", "--consumer-opt=snappy"})
	fmt.Println(err, config.MaxInFlight, config.Snappy)
	// Output: <nil> 500 true
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

// kitchen publishes what it has made.
type kitchen struct{ out nsq.Publisher }

func (k kitchen) serve(dish string) error { return k.out.Publish("served", []byte(dish)) }

// counter stands for a producer in a test: it has the method that is called.
type counter struct {
	nsq.Publisher
	published int
}

func (c *counter) Publish(topic string, body []byte) error {
	c.published++
	return nil
}

// What publishes can be tested without an nsqd, too.
func ExamplePublisher() {
	out := &counter{}
	fmt.Println(kitchen{out}.serve("soup"), out.published)
	// Output: <nil> 1
}
