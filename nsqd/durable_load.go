package nsqd

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/seed893f581e/nsq/internal/diskq"
	"github.com/seed893f581e/nsq/internal/diskspace"
	"github.com/seed893f581e/nsq/internal/store"
)

// At the start a topic that is durable may have messages on disk from a time when it
// was not: in the files of disk queues and of deferred messages. They are taken over
// into its log before anything else, and then the files go. A crash in between gives
// them twice. Where there is no room for both, the files stay as they are until the
// next start, unless what they belong to is emptied or deleted.

// adoptBytes is about how much is taken over at a time.
const adoptBytes = 1 << 20

// addStored adds the topics and channels of the store, which is opened if there is
// one or if a topic needs it.
func (l *loading) addStored() error {
	d := &l.n.env.durable
	needed, err := d.exists()
	if err != nil {
		return fmt.Errorf("failed to look for the store of durable topics: %w", err)
	}
	if !needed {
		return nil
	}
	opened, err := d.open()
	if err != nil {
		return err
	}
	for _, stored := range opened.Topics() {
		t := l.topic(stored.Name())
		for _, ch := range stored.Channels() {
			if !t.has[ch.Name()] {
				t.add(channelToLoad{name: ch.Name()})
			}
		}
	}
	return nil
}

// durabilityRecorded returns the durability of a topic by nsqd.dat.
func (l *loading) durabilityRecorded(tm *topicMetadata) (d Durability, chosen bool) {
	if tm.Durability == "" {
		return l.n.opts.durabilityOf(tm.Name), false
	}
	if err := d.Set(tm.Durability); err != nil {
		l.log.Warn("NSQ: the durability of a topic in nsqd.dat is not known, it gets that of --durability", "topic", tm.Name, "error", err)
		return l.n.opts.durabilityOf(tm.Name), false
	}
	return d, true
}

// An adoption takes a classic queue and its deferred messages over into a log.
type adoption struct {
	env   *env
	name  string // of the queue
	newID func() guid
	keep  func(messages []deferredMessage) error // due is Unix time, 0 for at once, or a delay in the file of a topic

	waiting []deferredMessage
	bytes   int
	taken   int
}

// run takes everything over, and removes the files. What there is no room for stays in
// them, which is no error.
func (a *adoption) run() error {
	err := a.takeOver()
	if diskspace.IsFull(err) {
		a.env.log.Error("NSQ: there is no room to take over what a durable topic has on disk from when it was in memory: it stays there until the next start, and is not delivered before",
			"queue", a.name, "error", err)
		return nil
	}
	if a.taken > 0 && err == nil {
		a.env.log.Info("NSQ: messages that were on disk are in the log of their durable topic now", "queue", a.name, "messages", a.taken)
	}
	return err
}

func (a *adoption) takeOver() error {
	if err := a.queue(); err != nil {
		return fmt.Errorf("taking over what queue %s has on disk: %w", a.name, err)
	}
	file := deferredFileName(a.env.opts.DataPath, a.name)
	if err := takeDeferredFile(a.env.log, file, a.newID, a.addDeferred); err != nil {
		return fmt.Errorf("taking over deferred messages of queue %s: %w", a.name, err)
	}
	return nil
}

// recordSize is about what a message takes in a log beside its body.
const recordSize = 68

// room asks for room for all of so many messages at once: some of them in the log and
// all of them in the files would be delivered twice.
func (a *adoption) room(messages, bytes int64) error {
	return a.env.disk.Room(bytes + messages*recordSize)
}

// leftClassic reports, with 1, that there was no room to take over what is in the files
// of a queue.
func (e *env) leftClassic(queue string) int {
	there, err := e.disk.Has(queue)
	if err != nil || there || exists(deferredFileName(e.opts.DataPath, queue)) {
		return 1
	}
	return 0
}

// dropClassic removes what there was no room to take over.
func (e *env) dropClassic(queue string) error {
	there, err := e.disk.Has(queue)
	if err == nil && there {
		err = e.disk.Queue(queue).Delete()
	}
	return errors.Join(err, removeDeferredFile(deferredFileName(e.opts.DataPath, queue)))
}

// queue takes the disk queue over.
func (a *adoption) queue() error {
	there, err := a.env.disk.Has(a.name)
	if err != nil || !there {
		return err
	}
	disk, err := diskq.OpenStoreToRead(a.env.diskOptions(0))
	if err != nil {
		return err
	}
	q := &queue{disk: disk.Queue(a.name), env: a.env, newID: a.newID, name: a.name}
	if err := q.disk.Open(); err != nil {
		return err
	}
	bytes, err := a.filesSize()
	if err == nil {
		err = a.room(q.disk.Depth(), bytes)
	}
	if err != nil {
		return err
	}
	for q.disk.Depth() > 0 {
		spans, err := q.read(nil, maxBatch, adoptBytes)
		if err != nil {
			return err
		}
		for _, s := range single(spans) {
			if err := a.add(deferredMessage{0, s}); err != nil {
				return err
			}
		}
	}
	if err := a.flush(); err != nil {
		return err
	}
	return errors.Join(q.disk.Delete(), a.env.disk.Queue(a.name).Delete())
}

func (a *adoption) add(d deferredMessage) error {
	a.waiting = append(a.waiting, d)
	a.bytes += len(d.s.body())
	if a.bytes < adoptBytes && len(a.waiting) < maxBatch {
		return nil
	}
	return a.flush()
}

// filesSize returns what the files of the queue take.
func (a *adoption) filesSize() (bytes int64, err error) {
	entries, err := os.ReadDir(a.env.opts.DataPath)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), a.name+".diskqueue.") {
			continue
		}
		if info, err := e.Info(); err == nil { // otherwise it is not there any more
			bytes += info.Size()
		}
	}
	return bytes, err
}

func (a *adoption) addDeferred(messages []deferredMessage) error {
	var bytes int64
	for _, d := range messages {
		bytes += int64(len(d.s.body()))
	}
	if err := a.room(int64(len(messages)), bytes); err != nil {
		return err
	}
	for _, d := range messages {
		if err := a.add(d); err != nil {
			return err
		}
	}
	return a.flush()
}

// flush has what was added kept.
func (a *adoption) flush() error {
	if len(a.waiting) == 0 {
		return nil
	}
	if err := a.keep(a.waiting); err != nil {
		return err
	}
	a.taken += len(a.waiting)
	a.waiting, a.bytes = a.waiting[:0], 0
	return nil
}

// adoptClassic takes over what the channel has on disk from when its topic was in
// memory.
func (ch *channel) adoptClassic() error {
	a := adoption{env: ch.env, name: ch.queue.name, newID: ch.topic.newID, keep: func(messages []deferredMessage) error {
		list := make([]store.Adopted, 0, len(messages))
		for _, d := range messages {
			list = append(list, store.Adopted{ID: uint64(d.s.id()), Time: d.s.b.time, Due: d.due, Attempts: d.s.attempts, Body: d.s.body()})
		}
		return ch.queue.log.log.Adopt(list)
	}}
	defer ch.checkDue() // also of what the log had, whether the topic is paused or not
	return a.run()
}

// adoptClassic takes over what the topic has on disk from when it was in memory, and
// no channel has got. The delay of what is deferred begins now.
func (t *topic) adoptClassic() error {
	a := adoption{env: t.env, name: t.name, newID: t.newID, keep: func(messages []deferredMessage) error {
		now := t.env.unixOf(t.env.now())
		list := make([]*store.Batch, 0, len(messages))
		for _, d := range messages {
			due := d.due
			if due > 0 {
				due += now
			}
			s := d.s.alone()
			list = append(list, newKeptBatch(s.id(), s.b.time, due, 1, s.b.payload))
		}
		return t.log.log.Append(list)
	}}
	err := a.run()
	t.log.opened.Add(int64(a.taken))
	return err
}
