package nsqlookupd

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/httpapi"
	"github.com/seed893f581e/nsq/internal/wire"
)

// What asks. All answers are of snapshots: whoever reads one slowly holds up
// nobody, and those that can be large are never in memory as a whole.

func (s *httpServer) topics(*http.Request) (any, error) { return streamed(s.db.topics()), nil }
func (s *httpServer) nodes(*http.Request) (any, error)  { return streamed(s.db.nodes()), nil }
func (s *httpServer) debug(*http.Request) (any, error)  { return streamed(s.db.debug()), nil }

func streamed(a answer) httpapi.Stream { return a.writeTo }

// channels lists the channels of a topic, none for an unknown one.
func (s *httpServer) channels(r *http.Request) (any, error) {
	_, topic, err := topicParam(r)
	if err != nil {
		return nil, err
	}
	return streamed(s.db.channels(topic)), nil
}

// lookup lists the channels and producers of a topic.
func (s *httpServer) lookup(r *http.Request) (any, error) {
	_, topic, err := topicParam(r)
	if err != nil {
		return nil, err
	}
	return found(s.db.lookup(topic))
}

// found is the answer to /lookup, which is tagged also where there is no such
// topic.
func found(a *lookupAnswer) (any, error) {
	if !a.found {
		return httpapi.Tagged{ETag: a.tag}, errTopicNotFound
	}
	return httpapi.Tagged{ETag: a.tag, Value: httpapi.JSON(a.JSON())}, nil
}

var (
	errTopicNotFound   = httpapi.Error{Status: http.StatusNotFound, Code: "TOPIC_NOT_FOUND"}
	errChannelNotFound = httpapi.Error{Status: http.StatusNotFound, Code: "CHANNEL_NOT_FOUND"}
	errTooManyWatches  = httpapi.Error{Status: http.StatusServiceUnavailable, Code: "TOO_MANY_WATCHES"}
)

// How long a request waits for a change.
const (
	defaultWatch = 30 * time.Second
	longestWatch = 60 * time.Second
)

// watch answers as lookup does when the producers of a topic are others than
// those that the client knows: those of the tag in If-None-Match, else those
// there are now; or when the time is over. A stop ends the wait, too.
func (s *httpServer) watch(r *http.Request) (any, error) {
	q, topic, err := topicParam(r)
	if err != nil {
		return nil, err
	}
	timeout, err := watchTimeout(q)
	if err != nil {
		return nil, err
	}
	now := s.db.lookup(topic)
	known := r.Header.Get("If-None-Match")
	if !wire.ValidName(topic) || known != "" && !names(known, now.tag) {
		return found(now)
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	changed, err := s.db.wait(ctx, topic, now.tag)
	if err != nil {
		return nil, errTooManyWatches
	}
	return found(changed)
}

// names reports whether tag is among those of an If-None-Match header.
func names(header, tag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimSpace(one)
		if one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

// watchTimeout returns how long a client wants to wait: a duration or, as a bare
// number, milliseconds.
func watchTimeout(q httpapi.Query) (time.Duration, error) {
	text, ok := q.Lookup("timeout")
	if !ok {
		return defaultWatch, nil
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		if ms <= 0 {
			return 0, errTimeout
		}
		return time.Duration(min(ms, longestWatch.Milliseconds())) * time.Millisecond, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, errTimeout
	}
	return min(d, longestWatch), nil
}

var errTimeout = badRequest("INVALID_ARG_TIMEOUT")
