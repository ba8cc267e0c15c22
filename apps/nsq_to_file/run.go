package main

import (
	"context"
	"errors"
	"sync"

	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/nsq"
)

// manager has an archive for every topic.
type manager struct {
	o        *options
	disk     disk
	archives map[string]*archive // by topic

	running sync.WaitGroup
	stop    context.CancelFunc // ends all archives
	failed  bool               // one of them; read once running is done
	mu      sync.Mutex         // failed
}

// run writes messages to files until ctx ends, or something fails for good.
func run(ctx context.Context, o *options) error {
	d := osDisk{}
	if err := checkDirs(d, o); err != nil {
		return err
	}
	signals, ignore := context.WithCancel(context.WithoutCancel(ctx)) // SIGHUP must not kill us while we stop
	defer ignore()
	hangups := tool.Hangups(signals)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m := &manager{o: o, disk: d, archives: map[string]*archive{}, stop: cancel}

	found := make(chan []string)
	if len(*o.topics) > 0 {
		if m.startAll(ctx, *o.topics); len(m.archives) == 0 {
			return errors.New("no --topic can be written to files")
		}
	} else {
		m.running.Go(func() { discover(ctx, o, found) })
	}
	for ctx.Err() == nil {
		select {
		case topics := <-found:
			m.startAll(ctx, topics)
		case <-hangups:
			for _, a := range m.archives {
				a.hangUp()
			}
		case <-ctx.Done():
		}
	}
	m.running.Wait()
	if m.failed {
		return tool.ErrSilent // the log has it
	}
	return nil
}

// startAll starts archives for topics that are wanted and have none. One that cannot
// be had is no reason to do without the others.
func (m *manager) startAll(ctx context.Context, topics []string) {
	for _, topic := range topics {
		if m.archives[topic] != nil {
			continue
		}
		if !m.o.wants(topic) {
			m.o.log.warnf("skipping topic %s, which does not match pattern %s", topic, m.o.topicPattern)
			continue
		}
		a, err := m.start(ctx, topic)
		if err != nil {
			m.o.log.errorf("couldn't create logger for new topic %s: %v", topic, err)
			continue
		}
		m.archives[topic] = a
	}
}

func (m *manager) start(ctx context.Context, topic string) (*archive, error) {
	a, err := newArchive(m.disk, m.o, topic)
	if err != nil {
		return nil, err
	}
	c, err := nsq.NewConsumer(topic, m.o.channel, m.o.consumer)
	if err != nil {
		return nil, err
	}
	c.AddBatchHandler(a, 1, nsq.BatchOptions{MaxMessages: m.o.maxInFlight})
	a.consumer = c
	m.running.Go(func() {
		if a.run(ctx) != nil {
			m.fail()
		}
	})
	m.running.Go(func() {
		if err := connect(ctx, c, m.o, a.label); err != nil {
			m.o.log.fatalf("%s %v", a.label, err)
			m.fail()
		}
	})
	return a, nil
}

// fail ends everything.
func (m *manager) fail() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = true
	m.stop()
}
