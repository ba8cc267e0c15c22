package nsqd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/seed893f581e/nsq/internal/dueheap"
	"github.com/seed893f581e/nsq/internal/durable"
	"github.com/seed893f581e/nsq/internal/wire"
)

// Deferred messages survive a clean restart with their due times in one file
// per channel, written on exit, read and removed on start. The disk queue has
// no place for a time, and its files are shared with classic software, which
// does not look at this one. A topic has such a file for deferred messages
// that no channel has received yet; it holds delays instead of times.

// queueSeparator stands between topic and channel in file names.
var queueSeparator = map[bool]string{false: ":", true: ";"}[runtime.GOOS == "windows"]

// channelQueueName returns the name of a channel's files.
func channelQueueName(topic, channel string) string { return topic + queueSeparator + channel }

func deferredFileName(dir, queueName string) string {
	return filepath.Join(dir, queueName+".deferred.dat")
}

// writeDeferredFile writes the messages with their times, to each of which
// offset is added. Without messages there is no file.
func writeDeferredFile(name string, messages *dueheap.Heap[span], offset int64) error {
	if messages.Len() == 0 {
		return nil
	}
	var data []byte
	for due, s := range messages.All {
		data = wire.AppendDeferred(data, due+offset, s.b.time, s.attempts, uint64(s.id()), s.body())
	}
	return durable.WriteFile(name, data)
}

// deferredMessage is one record of a deferred file.
type deferredMessage struct {
	due int64
	s   span
}

// readDeferredFile returns the messages of a file; a file that is not there
// has none. One that ends in damage is set aside, and what precedes the damage
// is returned with an error.
func readDeferredFile(name string, newID func() guid) ([]deferredMessage, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var messages []deferredMessage
	for rest := data; len(rest) > 0; {
		due, rec, next, err := wire.ParseDeferred(rest)
		var s span
		if err == nil {
			s, err = spanOfRecord(rec, newID)
		}
		if err != nil {
			err = fmt.Errorf("%s is damaged at offset %d after %d messages and was set aside as %s: %w",
				name, len(data)-len(rest), len(messages), filepath.Base(name)+".bad", err)
			return messages, errors.Join(err, os.Rename(name, name+".bad"))
		}
		messages = append(messages, deferredMessage{due, s})
		rest = next
	}
	return messages, nil
}

func removeDeferredFile(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
