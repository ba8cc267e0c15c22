package seglog

// Cursor reads the Messages of a log in order. It is not safe for concurrent use;
// it may be used while others append, remove segments and read.
type Cursor struct{}

// Seek returns a cursor that begins with the record that holds seq, which may
// begin before seq, or the first one after it. It reads nothing yet.
func (l *Log) Seek(seq uint64) *Cursor { panic("not yet") }

// Next returns the next records, one per frame, up to about maxBytes of payload but
// at least one; nil at the end of what is kept, where it may be called again later.
// Moved records are passed over, damage too, and is reported. The payloads are the
// caller's, but share memory: who keeps a small part for long should copy it.
func (c *Cursor) Next(maxBytes int) ([]Record, error) { panic("not yet") }

// Close lets go of the cursor's file and buffer. Next may be called again, and opens them again.
func (c *Cursor) Close() { panic("not yet") }

// Read returns the record of one frame. ErrGone: its segment is removed;
// ErrDamaged: it is not what was written, or no frame begins there.
func (l *Log) Read(at Pos) (Record, error) { panic("not yet") }

// Scan calls f with the records of all frames of a segment, of every kind, in order, up to what
// is kept at the time of the call. It stops with the error that f returns.
// Payloads are the callee's. Damage is passed over, and reported.
func (l *Log) Scan(id uint32, f func(Record) error) error { panic("not yet") }
