package nsqd

import (
	"fmt"
	"strings"

	"github.com/seed893f581e/nsq/internal/wire"
)

// Durability says what the OK that answers a publish means. It is a flag.Value.
type Durability int

const (
	Memory Durability = iota // nsqd has the message; what is not on disk yet dies with the process
	Disk                     // the operating system has it: it survives a killed process
	Fsync                    // it is on stable storage: it survives a power cut
)

var durabilityWords = [...]string{Memory: "memory", Disk: "disk", Fsync: "fsync"}

// String is the word that Set takes.
func (d Durability) String() string { return durabilityWords[d] }

// Set reads memory, disk or fsync, in any case. The empty word means the default.
func (d *Durability) Set(word string) error {
	if word == "" {
		*d = Memory
		return nil
	}
	for known, name := range durabilityWords {
		if strings.EqualFold(word, name) {
			*d = Durability(known)
			return nil
		}
	}
	return fmt.Errorf("unknown durability %q (memory, disk, fsync)", word)
}

// meaning is what the log says of OK at the start.
func (d Durability) meaning() string {
	switch d {
	case Disk:
		return "OK means that the operating system has the message: it survives a killed nsqd, though not a power cut"
	case Fsync:
		return "OK means that the message is on stable storage: it survives a power cut"
	default:
		return "OK means that nsqd has the message: a crash or kill loses what is in memory, in flight or deferred"
	}
}

// durabilityOf returns the durability of a topic for which none was chosen.
func (o *Options) durabilityOf(topic string) Durability {
	if wire.IsEphemeral(topic) {
		return Memory
	}
	return o.Durability
}
