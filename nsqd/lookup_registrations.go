package nsqd

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// verb is what a command does.
type verb string

const (
	register   verb = "REGISTER"
	unregister verb = "UNREGISTER"
	ping       verb = "PING"
)

// A lookupCommand is one line to an nsqlookupd.
type lookupCommand struct {
	verb verb
	registration
}

func (c lookupCommand) appendTo(dst []byte) []byte {
	switch c.verb {
	case register:
		return wire.AppendRegister(dst, c.topic, c.channel)
	case unregister:
		return wire.AppendUnregister(dst, c.topic, c.channel)
	default:
		return wire.AppendPing(dst)
	}
}

// String returns the line.
func (c lookupCommand) String() string {
	line := c.appendTo(nil)
	return string(line[:len(line)-1])
}

// registrations yields what registers everything there is, topic by topic.
func registrations(ts *topics, refused *refusals) iter.Seq[lookupCommand] {
	return func(yield func(lookupCommand) bool) {
		for _, t := range ts.all() {
			for command := range topicRegistrations(t, refused) {
				if !yield(command) {
					return
				}
			}
		}
	}
}

// topicRegistrations yields a line for each channel, which registers the topic,
// too, or one for the topic alone. What was refused is left out, and what is
// being deleted.
func topicRegistrations(t *topic, refused *refusals) iter.Seq[lookupCommand] {
	return func(yield func(lookupCommand) bool) {
		if t == nil || t.isExiting() {
			return
		}
		alone := true
		for _, ch := range t.allChannels() {
			command := lookupCommand{register, registration{t.name, ch.name}}
			if ch.isExiting() || refused.has(command, time.Now()) {
				continue
			}
			if alone = false; !yield(command) {
				return
			}
		}
		if command := (lookupCommand{register, registration{topic: t.name}}); alone && !refused.has(command, time.Now()) {
			yield(command)
		}
	}
}

// unregistrations yields what takes everything back that there is, channels before
// their topic.
func unregistrations(ts *topics) iter.Seq[lookupCommand] {
	return func(yield func(lookupCommand) bool) {
		for _, t := range ts.all() {
			for _, ch := range t.allChannels() {
				if !yield(lookupCommand{unregister, registration{t.name, ch.name}}) {
					return
				}
			}
			if !yield(lookupCommand{unregister, registration{topic: t.name}}) {
				return
			}
		}
	}
}

// withdrawals yields those of the commands that register nothing.
func withdrawals(commands iter.Seq[lookupCommand]) iter.Seq[lookupCommand] {
	return func(yield func(lookupCommand) bool) {
		for command := range commands {
			if command.verb != register && !yield(command) {
				return
			}
		}
	}
}

// changes are the names that appeared or went since an nsqlookupd was told, so
// there are never more than names. The value says whether the thing has been
// gone, even if another of that name is there by now.
type changes map[registration]bool

// commands yields what tells of the changes, as things are when it comes to
// each: of every topic first what is gone, channels before the topic, then what
// is there. What was gone and is there again is unregistered first, which ends
// a tombstone.
func (changed changes) commands(ts *topics, refused *refusals) iter.Seq[lookupCommand] {
	names := slices.SortedFunc(maps.Keys(changed), func(a, b registration) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.channel, b.channel))
	})
	return func(yield func(lookupCommand) bool) {
		for len(names) > 0 {
			next := slices.IndexFunc(names, func(r registration) bool { return r.topic != names[0].topic })
			if next < 0 {
				next = len(names)
			}
			if !changed.ofTopic(names[:next], ts, refused, yield) {
				return
			}
			names = names[next:]
		}
	}
}

// ofTopic yields the commands for the names of one topic; its own is the first
// if it is among them.
func (changed changes) ofTopic(names []registration, ts *topics, refused *refusals, yield func(lookupCommand) bool) bool {
	whole := names[0].channel == "" // the topic itself appeared or went
	channelsFirst := names
	if whole {
		channelsFirst = append(slices.Clone(names[1:]), names[0])
	}
	for _, r := range channelsFirst {
		if !changed[r] {
			continue
		}
		refused.forget(lookupCommand{register, r})
		if !yield(lookupCommand{unregister, r}) {
			return false
		}
	}
	for command := range topicRegistrations(ts.existing(names[0].topic), refused) {
		if _, ok := changed[command.registration]; (whole || ok) && !yield(command) {
			return false
		}
	}
	return true
}

// refusalTime is how long a command that was refused is not tried again: some
// nsqlookupds close the connection with every error.
const refusalTime = 10 * time.Minute

// refusals are the commands that an nsqlookupd has refused. Its zero value is
// empty. It is safe for concurrent use.
type refusals struct {
	mu   sync.Mutex // when
	when map[lookupCommand]time.Time
}

// add takes a refusal and reports whether it is news.
func (r *refusals) add(c lookupCommand, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.when, func(_ lookupCommand, at time.Time) bool { return now.Sub(at) >= refusalTime })
	if _, known := r.when[c]; known {
		return false
	}
	if r.when == nil {
		r.when = make(map[lookupCommand]time.Time)
	}
	r.when[c] = now
	return true
}

func (r *refusals) has(c lookupCommand, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.when[c]
	return ok && now.Sub(at) < refusalTime
}

func (r *refusals) forget(c lookupCommand) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.when, c)
}
