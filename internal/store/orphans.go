package store

import (
	"errors"
	"maps"
	"slices"

	"github.com/seed893f581e/nsq/internal/seglog"
)

// rebuildUnknown begins a topic of which neither meta.json nor the index says which channels
// it had. A channel that is made before anything is released gets all that the log has.
// What was moved on behalf of a channel, and is not in the log as it was published, is
// appended again, deferred as it was, so that they get that too. meta.json comes last: a crash
// before has all of this done again.
func (t *Topic) rebuildUnknown() error {
	t.trimming.Lock() // what is to be appended again
	defer t.trimming.Unlock()
	orphans, err := t.orphans()
	if err != nil {
		return err
	}
	first, _ := t.log.Begin()
	if err := t.begin(first); err != nil {
		return err
	}
	if err := t.appendOrphans(orphans); err != nil {
		return err
	}
	t.s.logger.Error("which channels a topic had is not known any more: those that are made before its messages flow get all that its logs have, also what was finished, and what was deferred may come early",
		"topic", t.name, "messages of channels alone", len(orphans))
	t.damaged(metaDamage(t.s.fs, t.dir))
	return t.restoreMeta(new(foundTopic))
}

// orphans returns the newest record of each message that was moved, but for those that the
// log has as they were published.
func (t *Topic) orphans() (map[uint64]entry, error) {
	all := make(map[uint64]entry)
	if err := t.eachMoved(func(r *seglog.Record, kept bool) { keepNewest(all, entryOf(r, kept)) }); err != nil {
		return nil, err
	}
	cursor := t.log.Seek(0)
	defer cursor.Close()
	for len(all) > 0 {
		records, err := cursor.Next(readBytes)
		if err != nil {
			return nil, err
		}
		if len(records) == 0 {
			break
		}
		for _, r := range records {
			for i := range uint64(r.Count) {
				delete(all, r.First+i)
			}
		}
	}
	return all, nil
}

// appendOrphans publishes messages again, in the order of their numbers. It does not ask for
// room: without them the store does not open.
func (t *Topic) appendOrphans(orphans map[uint64]entry) error {
	var r frameReader
	var batches []*Batch
	bytes := 0
	for _, seq := range slices.Sorted(maps.Keys(orphans)) {
		record, err := r.read(t, orphans[seq].at)
		if errors.Is(err, seglog.ErrDamaged) { // which is told
			continue
		}
		if err != nil {
			return err
		}
		b := batchOf(record)
		batches = append(batches, b)
		if bytes += len(b.Payload); bytes < moveBytes {
			continue
		}
		if err := t.append(batches); err != nil {
			return err
		}
		batches, bytes = nil, 0
	}
	return t.append(batches)
}
