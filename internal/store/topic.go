package store

// A Batch is what one publish brought. It never changes after Append.
type Batch struct {
	First    uint64 // number of the first message, set by Append; message i has First+i
	ID       uint64 // of the first message, the publisher's; message i has ID+i
	Time     int64  // acceptance, nanoseconds since the Unix epoch
	Due      int64  // deferred until then, nanoseconds since the Unix epoch; 0: not deferred
	Count    int
	Payload  []byte // Count × (int32 big endian size, body)
	Attached any    // the publisher's; nil when the batch was read from disk
}

// A Topic is a log of messages and the channels that read it.
type Topic struct{}

// Name returns the topic's name.
func (t *Topic) Name() string { panic("store: Name") }

// Durability returns what an Append to t promises.
func (t *Topic) Durability() Durability { panic("store: Durability") }

// SetDurability changes what an Append to t promises. It returns when
// everything that was appended before is kept so as well.
func (t *Topic) SetDurability(d Durability) error { panic("store: SetDurability") }

// Channels returns the channels in the order of their creation.
func (t *Topic) Channels() []*Channel { panic("store: Channels") }

// CreateChannel makes a channel, which begins with what is not released yet.
// It is there after a power cut once CreateChannel returned. The name must be
// a valid one and not taken.
func (t *Topic) CreateChannel(name string) (*Channel, error) { panic("store: CreateChannel") }

// Append keeps batches as the topic's durability says, all of them or, with
// an error, none, sets their First, and gives them to the channels, or holds
// them while the topic is held. It blocks until they are kept. The batches and
// their payloads belong to the store from then on.
func (t *Topic) Append(batches []*Batch) error { panic("store: Append") }

// Hold keeps what is appended from the channels, until Release. A topic is
// held at first. Calls are not counted.
func (t *Topic) Hold() { panic("store: Hold") }

// Release gives the channels what was held, and what comes.
func (t *Topic) Release() { panic("store: Release") }

// OnRelease has f called with every batch from now on when it is released, in
// their order: for readers that are no channels of the store. A batch that was
// held and is read from disk may come in several parts. Batches with Due come
// too, at release. f must be quick and must not call the topic; it may not be
// set twice.
func (t *Topic) OnRelease(f func([]*Batch)) { panic("store: OnRelease") }

// Depth returns how many messages are held, not yet given to the channels.
func (t *Topic) Depth() int64 { panic("store: Depth") }

// Empty drops the messages that are held. They stay dropped after a power cut
// once it returned.
func (t *Topic) Empty() error { panic("store: Empty") }

// Bytes returns what the topic takes on disk.
func (t *Topic) Bytes() int64 { panic("store: Bytes") }

// Damage returns how many damaged places were met since the store was opened,
// and how many messages they cost.
func (t *Topic) Damage() (places, messages int64) { panic("store: Damage") }

// Delete removes the topic with its channels and messages. They stay removed
// after a power cut once it returned. Nothing may be called on t, or its
// channels, during and after it.
func (t *Topic) Delete() error { panic("store: Delete") }
