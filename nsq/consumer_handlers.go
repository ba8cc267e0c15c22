package nsq

// Handler handles messages. Its method is called from as many goroutines at a
// time as AddConcurrentHandlers was asked for. A panic in it is not recovered: it
// ends the program.
type Handler interface {
	// HandleMessage handles one message. It is finished when the method returns
	// nil and requeued when it returns an error, unless it was answered or
	// automatic answers were switched off before.
	HandleMessage(message *Message) error
}

// HandlerFunc is a function used as a Handler.
type HandlerFunc func(message *Message) error

// HandleMessage calls f.
func (f HandlerFunc) HandleMessage(message *Message) error { return f(message) }

// FailedMessageLogger may be implemented by a Handler or a BatchHandler.
// LogFailedMessage is called in place of its method for a message that was attempted
// more than MaxAttempts times; the message is finished afterwards.
type FailedMessageLogger interface {
	LogFailedMessage(message *Message)
}

// AddHandler adds a handler that is called for one message at a time. It panics
// once the consumer was told to connect.
func (r *Consumer) AddHandler(handler Handler) {
	r.AddConcurrentHandlers(handler, 1)
}

// AddConcurrentHandlers adds a handler that is called for up to concurrency
// messages at a time. It panics once the consumer was told to connect.
func (r *Consumer) AddConcurrentHandlers(handler Handler, concurrency int) {
	r.addWorkers(concurrency, func() { r.handle(handler) })
}

// addWorkers calls work from n goroutines.
func (r *Consumer) addWorkers(n int, work func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.connecting {
		panic("already connected")
	}
	if r.stopped {
		return
	}
	for range n {
		r.handlerCount++
		r.handlers.Go(work)
	}
}

// handle gives messages to handler until the queue is closed.
func (r *Consumer) handle(handler Handler) {
	failed, _ := handler.(FailedMessageLogger)
	for {
		d, ok := r.queue.pop()
		if !ok {
			return
		}
		if d.last {
			r.holdIfBehind(d.c.nsqd)
		}
		m := d.m
		if r.givenUp(m, failed) {
			continue
		}
		err := handler.HandleMessage(m)
		if err != nil {
			r.counters.handlerErrors.Add(1)
			r.log(eventHandlerFailed, verbatim{err}, &m.ID)
		}
		if m.IsAutoResponseDisabled() {
			continue
		}
		if err != nil {
			m.Requeue(-1)
		} else {
			m.Finish()
		}
	}
}

// givenUp reports whether m was attempted too often, and is finished for that.
func (r *Consumer) givenUp(m *Message, failed FailedMessageLogger) bool {
	if r.config.MaxAttempts == 0 || m.Attempts <= r.config.MaxAttempts {
		return false
	}
	r.counters.givenUp.Add(1)
	r.log(eventGivenUp, &m.ID, m.Attempts)
	if failed != nil {
		failed.LogFailedMessage(m)
	}
	m.Finish()
	return true
}
