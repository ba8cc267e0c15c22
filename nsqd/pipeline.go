package nsqd

import "time"

// A pipeline is what a connection has published to a topic where that waits for stable
// storage, and was not yet told of. What the client has sent behind it is read meanwhile, as
// far as it has arrived, and shares the wait. IOLoop owns it, and waits before it waits
// for anything else.
type pipeline struct {
	topic   *topic // whose log is entered while anything is under way
	started []startedPublish
	bytes   int
	arrived arrived
	misses  uint // looks in a row at what has arrived that found nothing
}

// A startedPublish is a publish under way, with what its answer needs.
type startedPublish struct {
	publishing
	published
}

// published is a command that publishes, or several PUBs that make one batch.
type published struct {
	command string
	began   int64 // by the daemon's clock
	count   int   // messages
	answers int   // commands
}

// maxPipelined and pipelineBytes bound what a connection has under way.
const (
	maxPipelined  = 64
	pipelineBytes = 1 << 20
)

// A client that waits for each answer sends nothing behind a publish: after some looks in vain
// only every so many-th is taken.
const (
	fewMisses = 4
	rareLook  = 16
)

func (l *pipeline) isEmpty() bool { return l == nil || len(l.started) == 0 }

// hasRoom reports whether something is under way, and more may join it.
func (l *pipeline) hasRoom() bool {
	return !l.isEmpty() && len(l.started) < maxPipelined && l.bytes < pipelineBytes
}

// leave is for when nothing is under way.
func (l *pipeline) leave() {
	clear(l.started)
	l.started, l.bytes = l.started[:0], 0
	l.topic.log.leave()
	l.topic = nil
}

// takes reports whether something is under way, to the topic of that name.
func (l *pipeline) takes(name []byte) bool { return !l.isEmpty() && l.topic.name == string(name) }

// publish publishes what a client has sent, and answers it or, if it starts the publish only,
// leaves the answer to await.
func (p *protocolV2) publish(c *client, command string, name, payload []byte, count, answers int, deferral time.Duration) error {
	what := published{command, p.env.now(), count, answers}
	if c.pipeline.takes(name) {
		return p.join(c, payload, what, deferral)
	}
	if err := p.await(c); err != nil {
		return err
	}
	started := false
	err := p.topics.publishTo(name, func(t *topic, fresh bool) error {
		if started = !fresh && t.waitsForStorage(); started {
			return c.start(t, payload, what, deferral)
		}
		return t.publish(payload, count, deferral)
	})
	if err != nil {
		return p.errPublish(command, err)
	}
	if !started {
		c.answerPublish(&what, name)
	}
	return nil
}

// join starts a publish to the topic of what is under way. The topic is not looked up
// again: who deletes it waits for what is under way.
func (p *protocolV2) join(c *client, payload []byte, what published, deferral time.Duration) error {
	err := p.topics.refusal()
	if err == nil {
		err = c.start(c.pipeline.topic, payload, what, deferral)
	}
	if err != nil {
		return p.errPublish(what.command, err)
	}
	return nil
}

// answerPublish counts a publish and appends the answers.
func (c *client) answerPublish(what *published, topic []byte) {
	c.countStored(what.began, what.answers)
	c.countPublished(topic, what.count)
	for range what.answers {
		c.out = append(c.out, okFrame...)
	}
}

// start starts a publish to a topic, that of what is under way if anything is.
func (c *client) start(t *topic, payload []byte, what published, deferral time.Duration) error {
	if c.pipeline == nil {
		c.pipeline = new(pipeline)
	}
	l := c.pipeline
	if l.topic == nil {
		if !t.log.enter() {
			return errExiting
		}
		l.topic = t
	}
	defer func() { // also of a panic
		if l.isEmpty() {
			l.leave()
		}
	}()
	started, err := t.startKept(payload, what.count, deferral)
	if err == nil {
		l.started = append(l.started, startedPublish{started, what})
		l.bytes += len(payload)
	}
	return err
}

// await waits for what is under way, and answers it. What is behind an error is waited
// for, but not answered, as the connection ends.
func (p *protocolV2) await(c *client) (failed error) {
	l := c.pipeline
	if l.isEmpty() {
		return nil
	}
	defer l.leave()
	for i := range l.started {
		s := &l.started[i]
		err := s.wait()
		switch {
		case failed != nil:
		case err != nil:
			failed = p.errPublish(s.command, err)
		default:
			c.answerPublish(&s.published, []byte(l.topic.name))
		}
	}
	return failed
}

// complete publishes what is pending, and waits for what is under way.
func (p *protocolV2) complete(c *client) error {
	err := p.commit(c)
	if before := p.await(c); before != nil {
		return before
	}
	return err
}

// readArrived reads what has arrived without waiting, for as long as more may join what
// is under way; 0 if nothing has, or it cannot be known.
func (c *client) readArrived(b []byte) int {
	l := c.pipeline
	if !l.hasRoom() || c.in != c.conn {
		return 0
	}
	if l.misses++; l.misses > fewMisses && l.misses%rareLook != 0 {
		return 0
	}
	n := l.arrived.read(c.conn, b)
	if n > 0 {
		l.misses = 0
	}
	return n
}
