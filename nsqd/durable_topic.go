package nsqd

import (
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/diskspace"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/store"
	"github.com/seed893f581e/nsq/internal/wire"
)

// A topicLog is the log of a durable topic. What is published is appended to it, by
// the publisher, and is acknowledged when the log has kept it; channels read it, each
// for itself. So there is one copy, whatever the number of channels.
//
// It is safe for concurrent use.
type topicLog struct {
	gate
	log *store.Topic

	making map[string]chan struct{} // channels that are being created, over the disk; topic.mu guards it

	flow  sync.Mutex // flows; held over the disk, by those who change whether messages flow
	flows bool       // the log gives what is appended to channels

	feeding sync.Once // the log feeds ephemeral channels

	refused atomic.Bool // the last append failed
	probe   scanItem

	opened  atomic.Int64 // messages that were in the log, and had gone to no channel, when it was opened
	emptied atomic.Int64
	handed  atomic.Uint64 // the most that handedOver has returned
}

func newTopicLog(log *store.Topic) *topicLog {
	l := &topicLog{log: log, making: make(map[string]chan struct{})}
	l.opened.Store(log.Depth())
	return l
}

// publishKept is publish for a durable topic. It returns when the messages are kept,
// as the topic's durability says.
func (t *topic) publishKept(payload []byte, count int, deferral time.Duration) error {
	if !t.log.enter() {
		return errExiting
	}
	defer t.log.leave()
	p, err := t.startKept(payload, count, deferral)
	if err != nil {
		return err
	}
	return p.wait()
}

// waitsForStorage reports whether a publish waits for stable storage.
func (t *topic) waitsForStorage() bool {
	return t.log != nil && t.log.log.Durability() == store.Fsync
}

// A publishing is a publish to a durable topic that was started.
type publishing struct {
	topic     *topic
	appending store.Appending
	count     int // messages
	bytes     int // of their bodies
}

// startKept starts a publish. The caller has entered the log, and leaves it after it
// waited for what is returned.
func (t *topic) startKept(payload []byte, count int, deferral time.Duration) (publishing, error) {
	p := publishing{topic: t, count: count, bytes: len(payload) - wire.SizeLen*count}
	now := time.Now().UnixNano()
	var due int64
	if deferral > 0 {
		due = now + int64(deferral)
	}
	records := make([]*store.Batch, 0, (count+maxBatch-1)/maxBatch)
	for left := count; left > 0; left -= maxBatch {
		n := min(left, maxBatch)
		part := payload
		if left > n {
			part, payload = cutPayload(payload, n)
		}
		records = append(records, newKeptBatch(t.ids.take(now, n), now, due, n, part))
	}
	var err error
	if p.appending, err = t.log.log.Start(records); err != nil {
		t.noteAppend(err)
	}
	return p, err
}

// wait blocks until the messages are kept, or cannot be.
func (p *publishing) wait() error {
	err := p.appending.Wait()
	p.topic.noteAppend(err)
	if err != nil {
		return err
	}
	p.topic.countPublished(p.count, p.bytes)
	return nil
}

// refusedRetry is how often a log that had no room is looked at again.
const refusedRetry = time.Second

// noteAppend tells the daemon's health how the last append went.
func (t *topic) noteAppend(err error) {
	l := t.log
	if err == nil && !l.refused.Load() {
		return
	}
	l.refused.Store(err != nil)
	t.env.health.set(t.logName(), err)
	if diskspace.IsFull(err) {
		t.env.scan.schedule(&l.probe, t.env.now()+int64(refusedRetry))
	}
}

// discardLog gives back the log of a topic that nobody but its maker has seen, or deletes it,
// later if need be, if it is fresh.
func (t *topic) discardLog(fresh bool) error {
	t.env.scan.forget(&t.log.probe)
	t.noteAppend(nil)
	if !fresh {
		t.env.durable.giveBack(t.log.log)
		return nil
	}
	err := t.log.log.Delete()
	t.env.stale.deleted(t.name, err, t.log.log.Delete)
	return err
}

// logName is the source of the health of the topic's log.
func (t *topic) logName() string { return "log of topic " + t.name }

// probeRoom ends the refusal of messages for want of room, if there is room, for the
// scan: it must be known without a publish.
func (t *topic) probeRoom(now int64) (next int64) {
	if !t.log.refused.Load() {
		return 0
	}
	if t.env.durable.room() != nil {
		return now + int64(refusedRetry)
	}
	t.noteAppend(nil)
	return 0
}

// follow makes a durable topic's log follow what the topic is: from its return on no
// message goes to channels that should wait, or the other way round. It is called
// after each change of that, without topic.mu; it may wait for the disk.
func (t *topic) follow() {
	l := t.log
	if l == nil {
		return
	}
	l.flow.Lock()
	defer l.flow.Unlock()
	t.mu.Lock()
	flows := t.flowsLocked()
	t.mu.Unlock()
	if flows == l.flows || !l.enter() {
		return
	}
	defer l.leave()
	l.flows = flows
	if !flows {
		l.log.Hold()
		return
	}
	l.log.Release()
}

// createKeptChannel makes a channel and its log, which is there after a crash when
// it returns; channels that are created at the same time share what that takes. It returns nil
// where another look is needed.
func (t *topic) createKeptChannel(name string) (*channel, error) {
	if ok, err := t.beginMaking(name); !ok {
		return nil, err
	}
	defer t.endMaking(name)
	l := t.log
	if !l.enter() {
		return nil, nil
	}
	log, err := l.channel(name)
	l.leave()
	if err != nil {
		return nil, err
	}
	kept := newChannelLog(log, t.handedOver())
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.createChannelLocked(name, kept)
}

// beginMaking makes the caller the only one who creates a kept channel of that name. It
// returns false where it can not be created and, when somebody else who does is done, where
// another look is needed.
func (t *topic) beginMaking(name string) (bool, error) {
	t.mu.Lock()
	made := t.log.making[name]
	if made != nil {
		t.mu.Unlock()
		<-made
		return false, nil
	}
	defer t.mu.Unlock()
	if ok, err := t.mayCreateLocked(name); !ok {
		return false, err
	}
	if err := t.env.checkCase(name, maps.Keys(t.log.making)); err != nil {
		return false, err
	}
	t.log.making[name] = make(chan struct{})
	return true, nil
}

func (t *topic) endMaking(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.log.making[name])
	delete(t.log.making, name)
}

// channel returns the log of a channel, which may be there from an earlier run.
func (l *topicLog) channel(name string) (*store.Channel, error) {
	for _, ch := range l.log.Channels() {
		if ch.Name() == name {
			return ch, nil
		}
	}
	return l.log.CreateChannel(name)
}

// feed has ephemeral channels given what the log gives to channels.
func (t *topic) feed() {
	l := t.log
	l.feeding.Do(func() {
		if l.enter() {
			l.log.OnRelease(t.feedEphemeral)
			l.leave()
		}
	})
}

// feedEphemeral puts records of the log into the ephemeral channels. They are there
// to be looked at: what does not fit into memory is dropped. It waits for nothing.
func (t *topic) feedEphemeral(records []*store.Batch) {
	now := time.Now().UnixNano()
	chans := *t.fanout.Load()
	for _, r := range records {
		s := batchOfRecord(r).all()
		for _, ch := range chans {
			switch {
			case ch.queue.log != nil: // which reads
			case r.Due > now:
				ch.messages.Add(uint64(s.count))
				ch.deferUntil(s, ch.env.ofUnix(r.Due))
			default:
				ch.put([]span{s})
			}
		}
	}
}

// depth returns the messages that wait for channels, and those of them on disk.
func (t *topic) depth() (total, disk int64) {
	if t.log == nil {
		return t.queue.depth()
	}
	if !t.log.enter() {
		return 0, 0
	}
	defer t.log.leave()
	depth := t.log.log.Depth()
	return depth, depth
}

// empty drops the messages that no channel has got yet.
func (t *topic) empty() error {
	l := t.log
	if l == nil {
		return t.queue.empty()
	}
	if !l.enter() {
		return errExiting
	}
	defer l.leave()
	depth := l.log.Depth()
	err := l.log.Empty()
	if err != nil && !errors.Is(err, store.ErrNotNoted) {
		return err
	}
	l.emptied.Add(depth)
	return errors.Join(err, t.env.dropClassic(t.name))
}

// handedOver returns how many messages a durable topic has handed over to channels
// since the start. It never goes down.
func (t *topic) handedOver() uint64 {
	l := t.log
	depth, _ := t.depth()
	n := max(0, int64(t.messages.Load())+l.opened.Load()-depth-l.emptied.Load())
	for {
		before := l.handed.Load()
		if before >= uint64(n) {
			return before
		}
		if l.handed.CompareAndSwap(before, uint64(n)) {
			return uint64(n)
		}
	}
}

// bytes returns what the log takes on disk.
func (l *topicLog) bytes() int64 {
	if !l.enter() {
		return 0
	}
	defer l.leave()
	return l.log.Bytes()
}

// damage returns what was found damaged in what the topic has on disk, or nil.
func (t *topic) damage() *stats.Damage {
	if t.log == nil {
		return t.queue.damage()
	}
	if !t.log.enter() {
		return nil
	}
	defer t.log.leave()
	places, bytes, messages := t.log.log.Damage()
	if places == 0 {
		return nil
	}
	return &stats.Damage{Ranges: places, Bytes: bytes, Records: messages}
}

// deleteLog deletes the log of a topic and its channels.
func (t *topic) deleteLog() error {
	t.log.close()
	t.env.scan.forget(&t.log.probe)
	t.noteAppend(nil)
	remove := func() error {
		if err := t.env.dropClassic(t.name); err != nil {
			return err
		}
		return t.log.log.Delete() // which succeeds once
	}
	err := remove()
	t.env.stale.deleted(t.name, err, remove)
	return err
}

// durability returns what an OK means for the topic.
func (t *topic) durability() Durability {
	if t.log == nil || !t.log.enter() {
		return Memory
	}
	defer t.log.leave()
	if t.log.log.Durability() == store.Fsync {
		return Fsync
	}
	return Disk
}

// durabilityToSave is the durability in nsqd.dat: "" for a topic in memory for which
// none was chosen, which thus follows --durability.
func (t *topic) durabilityToSave() string {
	if t.log == nil && !t.chosen.Load() {
		return ""
	}
	return t.durability().String()
}

// inStore returns the durability as the store knows it, which has none for Memory.
func (d Durability) inStore() store.Durability {
	if d == Fsync {
		return store.Fsync
	}
	return store.Disk
}
