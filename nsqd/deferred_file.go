package nsqd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"

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

// deferredSuffix follows the queue's name in that of its file.
const deferredSuffix = ".deferred.dat"

func deferredFileName(dir, queueName string) string {
	return filepath.Join(dir, queueName+deferredSuffix)
}

// deferredMessage is one record of a deferred file: a message with its due time
// in Unix nanoseconds, or its delay.
type deferredMessage struct {
	due int64
	s   span
}

// writeDeferredFile writes the file. Without messages it does nothing: one that
// was loaded is gone already, and one that could not be read must stay.
func writeDeferredFile(name string, messages []deferredMessage) error {
	if len(messages) == 0 {
		return nil
	}
	var data []byte
	for _, d := range messages {
		data = wire.AppendDeferred(data, d.due, d.s.b.time, d.s.attempts, uint64(d.s.id()), d.s.body())
	}
	return durable.WriteFile(name, data)
}

// loadDeferredFile gives the messages of a file to use and removes it; one that
// is not there has none. What is damaged is set aside and logged, and what
// precedes the damage is used.
func loadDeferredFile(log *slog.Logger, name string, newID func() guid, use func(deferredMessage)) error {
	useAll := func(messages []deferredMessage) error {
		for _, d := range messages {
			use(d)
		}
		return nil
	}
	return takeDeferredFile(log, name, newID, useAll)
}

// takeDeferredFile is loadDeferredFile for somebody who may fail to keep the messages:
// then the file stays.
func takeDeferredFile(log *slog.Logger, name string, newID func() guid, keep func([]deferredMessage) error) error {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	messages, damaged := parseDeferredFile(data, newID)
	if err := keep(messages); err != nil {
		return err
	}
	if damaged == nil {
		return removeDeferredFile(name)
	}
	aside, err := setAside(name)
	if err != nil {
		return fmt.Errorf("%s is damaged (%w) and cannot be set aside: %w", name, damaged, err)
	}
	log.Error("NSQ: a file of deferred messages is damaged and was set aside",
		"file", name, "as", aside, "messages", len(messages), "damage", damaged)
	return nil
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// parseDeferredFile returns the messages before the first damage, and what that
// is. The messages share no memory with data.
func parseDeferredFile(data []byte, newID func() guid) (messages []deferredMessage, damaged error) {
	for rest := data; len(rest) > 0; {
		due, rec, next, err := wire.ParseDeferred(rest)
		var s span
		if err == nil {
			s, err = spanOfRecord(bytes.Clone(rec), newID)
		}
		if err != nil {
			return messages, fmt.Errorf("at offset %d of %d: %w", len(data)-len(rest), len(data), err)
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
