package nsq

import (
	"errors"
	"fmt"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// failConnection makes the connection to a member take no more commands, as after a
// write that failed. Until its reader has come to the end, it is there.
func (p *MultiProducer) failConnection(addr string) {
	findMember(*p.members.Load(), addr).producer.conn.Load().fail(errors.New("test"))
}

// What cannot be sent to an nsqd that was connected a moment ago goes to another one:
// the first may accept connections and say nothing.
func TestMultiProducerWaitsForNobodyToComeBack(t *testing.T) {
	for name, publish := range map[string]func(p *MultiProducer, body []byte) error{
		"Publish": func(p *MultiProducer, body []byte) error { return p.Publish("t", body) },
		"PublishAsync": func(p *MultiProducer, body []byte) error {
			done := make(chan *ProducerTransaction, 1)
			if err := p.PublishAsync("t", body, done); err != nil {
				return err
			}
			return (<-done).Error
		},
	} {
		t.Run(name, func(t *testing.T) {
			silent := nsqtest.NewFake(t)
			stores, addrs := startStores(t, 1)
			p := newTestMulti(t, append(addrs, silent.Addr), nil)
			if err := p.Ping(); err != nil {
				t.Fatal(err)
			}
			silent.Accept()
			p.connectedTo(t, silent.Addr, addrs[0])
			p.failConnection(silent.Addr)

			var bodies []string
			nsqtest.Within(t, "messages to be taken by the other nsqd", func() {
				for i := range 10 { // in turns
					body := fmt.Sprint(i)
					if err := publish(p, []byte(body)); err != nil {
						t.Errorf("message %d: %v", i, err)
					}
					bodies = append(bodies, body)
				}
			})
			kept(t, bodies, stores...)
		})
	}
}

// With no other nsqd, what was not sent is sent once there is a connection again.
func TestMultiProducerSendsOnTheNextConnection(t *testing.T) {
	f := nsqtest.NewFake(t)
	p := newTestMulti(t, []string{f.Addr}, nil)
	pinged := make(chan error, 1)
	go func() { pinged <- p.Ping() }()
	f.Accept()
	if err := nsqtest.Receive(t, "Ping", pinged); err != nil {
		t.Fatal(err)
	}
	p.failConnection(f.Addr)

	published := make(chan error, 1)
	go func() { published <- p.Publish("t", []byte("body")) }()
	bodies := f.Accept().Publishing()
	if body := nsqtest.Receive(t, "the message", bodies); body != "body" {
		t.Errorf("published %q", body)
	}
	if err := nsqtest.Receive(t, "Publish", published); err != nil {
		t.Error(err)
	}
}
