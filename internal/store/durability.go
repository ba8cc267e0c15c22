package store

import "fmt"

// Durability says what it means that an Append returned.
type Durability uint8

const (
	// Disk: handed to the operating system; survives the end of the process.
	Disk Durability = iota + 1
	// Fsync: on stable storage; survives a power cut.
	Fsync
)

// String returns disk or fsync.
func (d Durability) String() string {
	switch d {
	case Disk:
		return "disk"
	case Fsync:
		return "fsync"
	}
	return fmt.Sprintf("durability %d", uint8(d))
}

// ParseDurability is the inverse of String.
func ParseDurability(s string) (Durability, error) {
	switch s {
	case "disk":
		return Disk, nil
	case "fsync":
		return Fsync, nil
	}
	return 0, fmt.Errorf("durability %q: must be disk or fsync", s)
}
