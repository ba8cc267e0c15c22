package nsq_test

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed893f581e/nsq/nsqd"
)

// Whoever starts a goroutine waits for it: when all tests are done, none is
// left.
func TestMain(m *testing.M) {
	code := m.Run()
	examples.stop()
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// examples is the broker that the examples talk to, from the first that asks for
// its address on.
var examples exampleBroker

type exampleBroker struct {
	once   sync.Once
	broker *nsqd.NSQD
	path   string
	ended  chan error
}

// nsqdAddress returns the TCP address of the broker of the examples: by default,
// that of an nsqd on the same host is 127.0.0.1:4150.
func nsqdAddress() string {
	examples.once.Do(examples.start)
	return examples.broker.RealTCPAddr().String()
}

func (e *exampleBroker) start() {
	path, err := os.MkdirTemp("", "nsq-examples")
	if err != nil {
		panic(err)
	}
	opts := nsqd.NewOptions()
	opts.TCPAddress, opts.HTTPAddress, opts.HTTPSAddress = "127.0.0.1:0", "127.0.0.1:0", ""
	opts.DataPath = path
	opts.Logger = slog.New(slog.DiscardHandler)
	broker, err := nsqd.New(opts)
	if err != nil {
		panic(err)
	}
	e.broker, e.path, e.ended = broker, path, make(chan error, 1)
	go func() { e.ended <- broker.Main() }()
}

// stop ends the broker if there is one.
func (e *exampleBroker) stop() {
	if e.broker == nil {
		return
	}
	if err := e.broker.Exit(); err != nil {
		panic(err)
	}
	if err := <-e.ended; err != nil {
		panic(err)
	}
	os.RemoveAll(e.path)
}
