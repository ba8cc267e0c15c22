// Package interop runs the same program with two client libraries, go-nsq and
// ours, against our daemons: every result must be the same. Its benchmarks
// measure what a message costs the process of the client:
//
//	go test -run='^$' -bench=. -benchtime=5x
//
// The program is in gonsq; ours is the same text with another import, as go
// generate makes it. It is a module of its own so that
// nothing else here depends on go-nsq.
package interop

//go:generate sh -c "for f in library offline conn; do sed -e 's,^package gonsq,package ours,' -e 's,github.com/nsqio/go-nsq,github.com/seed893f581e/nsq/nsq,' gonsq/${DOLLAR}f.go >ours/${DOLLAR}f.go; done"

import (
	"io"
	"net/http"
	"time"
)

// A Library is a client library without its types.
type Library interface {
	NewProducer(addr string, s Setup) (Producer, error)
	// NewConsumer returns a consumer that has h as its handler, concurrency times.
	NewConsumer(topic, channel string, s Setup, h Handler, concurrency int) (Consumer, error)
	// Describe names the error of the library that err is, or else returns its
	// text.
	Describe(err error) string

	// Converse talks to an nsqd over a Conn, about channel t/ch with one message in
	// it, and returns what the delegate was told.
	Converse(addr string) ([]Fact, error)

	Offline
}

// A Setup is how to make a producer or a consumer. The last two are for consumers.
type Setup struct {
	Options map[string]any
	Log     func(line string)       // what is at least an Info; nil means silence
	Filter  func([]string) []string // what nsqlookupd found, nil for none
	Client  *http.Client            // for nsqlookupd, nil for that of the library
}

// Offline is what a library does without a broker. Where nothing else is said,
// results are texts to be compared.
type Offline interface {
	NewConfig() Config
	Constants() []Fact
	Names(name string) (topic, channel bool)
	Commands() []Fact
	NilBodies() []Fact // commands of which the body is nil
	Read(r io.Reader) string
	ReadUnpacked(r io.Reader) string
	Unpack(response []byte) string
	Decode(message []byte) string
	Answers() []Fact // what the delegate of a message is told
	Misuse() []Fact
}

// A Fact is something that a library does.
type Fact struct{ Name, Value string }

// A Config has the methods of both libraries.
type Config interface {
	Set(option string, value any) error
	Validate() error
	Struct() any // a pointer to the struct of the library

	SetFlag(opt string) error // through a ConfigFlag
	FlagText() string

	// SetStrategy sets a strategy, made by the program if name is that of its
	// type.
	SetStrategy(name string) error
	Backoff(level int) time.Duration
}

// A Producer has the methods of both libraries. Those that end in Async wait
// for the outcomes of all they published.
type Producer interface {
	Ping() error
	Publish(topic string, body []byte) error
	MultiPublish(topic string, bodies [][]byte) error
	DeferredPublish(topic string, delay time.Duration, body []byte) error
	Stop()
	String() string

	PublishAsync(topic string, bodies ...string) []Outcome
	MultiPublishAsync(topic string, bodies ...string) []Outcome
	DeferredPublishAsync(topic string, delay time.Duration, bodies ...string) []Outcome

	// PublishConcurrently publishes n messages with PublishAsync, an equal share
	// from each of so many goroutines, which let up to 100 be without an answer.
	PublishConcurrently(topic string, body []byte, goroutines, n int) error
	// PublishInTurn publishes n messages with Publish, an equal share from each of
	// so many goroutines.
	PublishInTurn(topic string, body []byte, goroutines, n int) error
}

// An Outcome is what a transaction says.
type Outcome struct {
	Error string
	Args  []any
}

// A Handler handles messages, and is told of those that are given up.
type Handler struct {
	Handle func(Message) error
	Failed func(Delivery)
}

// A Message is one that awaits an answer.
type Message interface {
	Delivery() Delivery
	DisableAutoResponse()
	Finish()
	HasResponded() bool
	Requeue(delay time.Duration)
	RequeueWithoutBackoff(delay time.Duration)
	Touch()
}

// A Delivery is what a message brings.
type Delivery struct {
	ID, Body  string
	Attempts  uint16
	Timestamp int64
	From      string // address of the nsqd
}

// A Consumer has the methods of both libraries.
type Consumer interface {
	ChangeMaxInFlight(n int)
	ConnectToNSQD(addr string) error
	ConnectToNSQDs(addrs []string) error
	ConnectToNSQLookupd(addr string) error
	ConnectToNSQLookupds(addrs []string) error
	DisconnectFromNSQD(addr string) error
	DisconnectFromNSQLookupd(addr string) error
	IsStarved() bool
	Stop()

	Stats() Stats
	Stopped() <-chan int
}

// Stats is what a consumer counts.
type Stats struct {
	Received, Finished, Requeued uint64
	Connections                  int
}
