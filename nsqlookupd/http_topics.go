package nsqlookupd

import (
	"fmt"
	"net/http"

	"github.com/seed893f581e/nsq/internal/httpapi"
	"github.com/seed893f581e/nsq/internal/logging"
	"github.com/seed893f581e/nsq/internal/wire"
)

// What changes. Every change is a line in the log.

// topicParam returns the topic's name, which may be no valid one.
func topicParam(r *http.Request) (q httpapi.Query, topic string, err error) {
	if q, err = httpapi.ParseQuery(r); err != nil {
		return q, "", err
	}
	topic, ok := q.Lookup("topic")
	if !ok {
		return q, "", badRequest("MISSING_ARG_TOPIC")
	}
	return q, topic, nil
}

// newTopicParam returns the topic's name where it must be a valid one.
func newTopicParam(r *http.Request) (q httpapi.Query, topic string, err error) {
	q, topic, err = topicParam(r)
	if err == nil && !wire.ValidName(topic) {
		err = badRequest("INVALID_ARG_TOPIC")
	}
	return q, topic, err
}

// channelParams returns the names of a topic and a channel, which are valid.
func channelParams(r *http.Request) (topic, channel string, err error) {
	q, topic, err := newTopicParam(r)
	if err != nil {
		return "", "", err
	}
	channel, ok := q.Lookup("channel")
	switch {
	case !ok:
		return "", "", badRequest("MISSING_ARG_CHANNEL")
	case !wire.ValidName(channel):
		return "", "", badRequest("INVALID_ARG_CHANNEL")
	}
	return topic, channel, nil
}

// full is the answer where a bound of the registry is reached.
func full(err error) error {
	return httpapi.Error{Status: http.StatusInsufficientStorage, Code: "REGISTRY_FULL", Err: err}
}

func (s *httpServer) createTopic(r *http.Request) (any, error) {
	_, topic, err := newTopicParam(r)
	if err != nil {
		return nil, err
	}
	if err := s.db.createTopic(topic); err != nil {
		return nil, full(err)
	}
	s.logChange("created topic", topic)
	return nil, nil
}

// deleteTopic removes a topic with its channels. That there is none is no error.
func (s *httpServer) deleteTopic(r *http.Request) (any, error) {
	_, topic, err := topicParam(r)
	if err != nil {
		return nil, err
	}
	s.db.deleteTopic(topic)
	s.logChange("deleted topic", topic)
	return nil, nil
}

func (s *httpServer) createChannel(r *http.Request) (any, error) {
	topic, channel, err := channelParams(r)
	if err != nil {
		return nil, err
	}
	if err := s.db.createChannel(topic, channel); err != nil {
		return nil, full(err)
	}
	s.logChange("created channel", topic+":"+channel)
	return nil, nil
}

func (s *httpServer) deleteChannel(r *http.Request) (any, error) {
	topic, channel, err := channelParams(r)
	if err != nil {
		return nil, err
	}
	if !s.db.deleteChannel(topic, channel) {
		return nil, errChannelNotFound
	}
	s.logChange("deleted channel", topic+":"+channel)
	return nil, nil
}

// tombstone hides a node from /lookup of a topic for a while. That there is no
// such producer is no error.
func (s *httpServer) tombstone(r *http.Request) (any, error) {
	q, topic, err := topicParam(r)
	if err != nil {
		return nil, err
	}
	node, ok := q.Lookup("node")
	if !ok {
		return nil, badRequest("MISSING_ARG_NODE")
	}
	s.db.tombstone(topic, node)
	s.logChange("set tombstone for", node+" in topic "+topic)
	return nil, nil
}

func (s *httpServer) logChange(what, of string) {
	s.log.Info(fmt.Sprintf("DB: %s %s", what, logging.Printable(of)))
}
