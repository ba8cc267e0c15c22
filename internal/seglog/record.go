package seglog

// Kind says what a record is.
type Kind uint8

const (
	// Messages takes Count sequence numbers, which Append gives it.
	Messages Kind = 1
	// Moved is one message that keeps its number: the caller gives First, which
	// may be any, and no number is taken.
	Moved Kind = 2
)

// Pos is the place of a frame: the id of its segment << 32 | its offset there.
// Of two places in one log, the one that was written later is greater.
type Pos uint64

// Segment is the id of the segment that a place is in.
func (p Pos) Segment() uint32 { return uint32(p >> 32) }

func (p Pos) offset() int64 { return int64(uint32(p)) }

func posOf(id uint32, offset int64) Pos { return Pos(id)<<32 | Pos(uint32(offset)) }

// Record is what an Append keeps, and what readers see of one frame.
type Record struct {
	Kind     Kind
	First    uint64 // the sequence number of its first message; of Messages, Append sets it
	Count    int    // messages; 1 of Moved
	ID       uint64 // of its first message; those behind have the ids behind
	Time     int64  // ns since 1970
	Due      int64  // ns since 1970, 0: at once
	Attempts uint16
	Channel  uint32
	Payload  []byte // Count × (int32 size, big endian, and body)
	Pos      Pos    // of its first frame; Append sets it
	Attached any    // the caller's; it is not stored

	Memory *Memory // that Payload is a part of, of a record that a Cursor read
}
