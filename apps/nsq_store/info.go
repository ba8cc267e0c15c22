package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/seed893f581e/nsq/internal/store"
)

// topicInfo is what info tells of a topic.
type topicInfo struct {
	Topic      string        `json:"topic_name"`
	Durability string        `json:"durability"`
	Depth      int64         `json:"depth"` // not yet given to the channels
	Bytes      int64         `json:"bytes"` // on disk
	Channels   []channelInfo `json:"channels"`
}

type channelInfo struct {
	Channel  string `json:"channel_name"`
	Depth    int64  `json:"depth"` // with what was in flight, and what is due
	Deferred int64  `json:"deferred_count"`
}

func info(_ context.Context, o *options, out io.Writer) (err error) {
	s, err := openSource(o.dataPath)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	topics := []topicInfo{}
	now := time.Now().UnixNano()
	for _, t := range s.Topics() {
		topics = append(topics, describe(t, now))
	}
	if o.json {
		return json.NewEncoder(out).Encode(topics)
	}
	return writeInfo(out, topics)
}

// describe counts as an nsqd that is started now does: what is due then waits.
func describe(t *store.Topic, now int64) topicInfo {
	of := topicInfo{Topic: t.Name(), Durability: t.Durability().String(), Depth: t.Depth(), Bytes: t.Bytes(), Channels: []channelInfo{}}
	for _, ch := range t.Channels() {
		deferred, due := ch.Deferred(now)
		of.Channels = append(of.Channels, channelInfo{ch.Name(), ch.Depth() + due, deferred - due})
	}
	return of
}

// writeInfo writes a table with a row for each topic, and one for each channel.
func writeInfo(out io.Writer, topics []topicInfo) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TOPIC\tCHANNEL\tDURABILITY\tDEPTH\tDEFERRED\tBYTES")
	for _, t := range topics {
		fmt.Fprintf(w, "%s\t\t%s\t%d\t\t%d\n", t.Topic, t.Durability, t.Depth, t.Bytes)
		for _, ch := range t.Channels {
			fmt.Fprintf(w, "%s\t%s\t\t%d\t%d\t\n", t.Topic, ch.Channel, ch.Depth, ch.Deferred)
		}
	}
	return w.Flush()
}
