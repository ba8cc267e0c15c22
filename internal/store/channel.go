package store

// A Message is a run of messages of one batch.
type Message struct {
	Batch    *Batch
	Index    int // of the first message in the batch
	Offset   int // of the first message (of its size) in the batch's payload
	Count    int
	Attempts uint16 // deliveries so far, of every message of the run
}

// Seq returns the number of the first message.
func (m *Message) Seq() uint64 { return m.Batch.First + uint64(m.Index) }

// A Run is a run of numbers of messages.
type Run struct {
	First uint64
	Count int
}

// Adopted is a message that a channel takes over from elsewhere.
type Adopted struct {
	ID       uint64
	Time     int64 // acceptance, nanoseconds since the Unix epoch
	Due      int64 // nanoseconds since the Unix epoch; 0: at once
	Attempts uint16
	Body     []byte
}

// A Channel gives out every message of its topic, once, and knows which are
// finished. What it gave out is the caller's until Finish, Defer or Empty, or
// until the store is opened again: then what is not finished comes again.
type Channel struct{}

// Name returns the channel's name.
func (c *Channel) Name() string { panic("store: Name") }

// OnReady has f called when there may be something to take, by Next or Due.
// f is called without locks of the store, must be quick, and may come without
// reason. It must be set before the topic is released, and not twice.
func (c *Channel) OnReady(f func()) { panic("store: OnReady") }

// Attempts sets the source of the attempts of messages that were given out and
// are not finished. It is asked, without locks of the store, when positions
// are written: after a crash these messages come again with their attempts.
// It must be set before the topic is released, and not twice.
func (c *Channel) Attempts(source func(yield func(seq uint64, count int, attempts uint16))) {
	panic("store: Attempts")
}

// Next appends the next messages to dst: at most n, and no more than have
// maxBytes with their sizes, but one in any case. It appends nothing when there
// is none; it does not wait for messages, but may read from disk.
func (c *Channel) Next(dst []Message, n, maxBytes int) ([]Message, error) { panic("store: Next") }

// Depth returns how many messages Next has still to give.
func (c *Channel) Depth() int64 { panic("store: Depth") }

// Finish is told of messages that will not be needed again. Numbers that are
// finished already do nothing. It does not block.
func (c *Channel) Finish(runs []Run) { panic("store: Finish") }

// Defer gives one message back, which Due is to give out at a later time,
// nanoseconds since the Unix epoch, with m's attempts. It blocks until that is kept
// as the topic's durability says. With an error the message is still the caller's.
func (c *Channel) Defer(m Message, due int64) error { panic("store: Defer") }

// Due appends deferred messages that are due to dst, at most n, in the order
// in which they are due; each has Count 1. next is when to ask again: the time
// of the earliest that is left, which may be due too; 0 if there is none.
func (c *Channel) Due(dst []Message, now int64, n int) (due []Message, next int64, err error) {
	panic("store: Due")
}

// Deferred returns how many messages Due has still to give, and how many of
// them at the given time.
func (c *Channel) Deferred(until int64) (all, due int64) { panic("store: Deferred") }

// Adopt takes messages over, which Due gives out. They are kept as the topic's
// durability says when it returns, all of them or, with an error, none. About
// 1 MiB a call is right.
func (c *Channel) Adopt(messages []Adopted) error { panic("store: Adopt") }

// Empty finishes everything that was released to the channel: waiting, given
// out and deferred. With nil, it stays so after a power cut.
func (c *Channel) Empty() error { panic("store: Empty") }

// Delete removes the channel. It stays removed after a power cut once it
// returned. Nothing may be called on c during and after it.
func (c *Channel) Delete() error { panic("store: Delete") }
