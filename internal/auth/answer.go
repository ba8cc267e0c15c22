package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"time"
)

// A Permission is what a client may do with a topic and channel.
type Permission uint8

// The permissions, as bits.
const (
	Subscribe Permission = 1 << iota
	Publish
)

var permissionWords = map[string]Permission{"subscribe": Subscribe, "publish": Publish}

// maxTTL keeps times that a ttl is added to within 64 bits.
const maxTTL = 100 * 365 * 24 * time.Hour

// An Answer is what an auth server says of a client. It does not change.
type Answer struct {
	Identity    string
	IdentityURL string
	TTL         time.Duration // for which it may be relied on

	authorizations []authorization
}

// An authorization grants permissions on the topics and channels that match.
type authorization struct {
	topic       *regexp.Regexp
	channels    []*regexp.Regexp
	permissions Permission
}

// Len returns the number of authorizations. Without any, the client may do
// nothing.
func (a *Answer) Len() int { return len(a.authorizations) }

// Allows reports whether a single authorization grants p on topic and channel;
// publishing is on the channel "".
//
// Patterns match anywhere in a name, so that "foo" grants "xfoox", and a client
// may publish only where a channel pattern matches the empty string. Both
// surprise, but they are what existing auth servers answer for: with other
// rules the same answer would grant less or more than its author has tried
// out. A server that means the whole name says "^foo$".
func (a *Answer) Allows(p Permission, topic, channel []byte) bool {
	for i := range a.authorizations {
		if a.authorizations[i].allows(p, topic, channel) {
			return true
		}
	}
	return false
}

func (a *authorization) allows(p Permission, topic, channel []byte) bool {
	if a.permissions&p == 0 || !a.topic.Match(topic) {
		return false
	}
	for _, pattern := range a.channels {
		if pattern.Match(channel) {
			return true
		}
	}
	return false
}

// parseAnswer reads the body of a server's answer. Nothing of an answer counts
// if any part of it is wrong.
func parseAnswer(body []byte) (*Answer, error) {
	var raw struct {
		TTL            int64  `json:"ttl"` // seconds
		Identity       string `json:"identity"`
		IdentityURL    string `json:"identity_url"`
		Authorizations []struct {
			Topic       string   `json:"topic"`
			Channels    []string `json:"channels"`
			Permissions []string `json:"permissions"`
		} `json:"authorizations"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && e.Field != "" {
			return nil, plainErrorf("answer has the wrong type for %s", e.Field)
		}
		return nil, plainError("answer is not a JSON object")
	}
	if raw.TTL <= 0 {
		return nil, plainError("answer has a ttl that is not positive")
	}
	a := &Answer{
		Identity:       raw.Identity,
		IdentityURL:    raw.IdentityURL,
		TTL:            time.Duration(min(raw.TTL, int64(maxTTL/time.Second))) * time.Second,
		authorizations: make([]authorization, len(raw.Authorizations)),
	}
	for i, r := range raw.Authorizations {
		if err := a.authorizations[i].compile(r.Topic, r.Channels, r.Permissions); err != nil {
			return nil, plainErrorf("authorization %d of the answer has %v", i, err)
		}
	}
	return a, nil
}

func (a *authorization) compile(topic string, channels, permissions []string) (err error) {
	if a.topic, err = compile(topic); err != nil {
		return fmt.Errorf("a bad topic pattern: %w", err)
	}
	a.channels = make([]*regexp.Regexp, len(channels))
	for i, pattern := range channels {
		if a.channels[i], err = compile(pattern); err != nil {
			return fmt.Errorf("a bad channel pattern: %w", err)
		}
	}
	for _, word := range permissions {
		p, ok := permissionWords[word]
		if !ok {
			return errors.New("a permission that is neither subscribe nor publish")
		}
		a.permissions |= p
	}
	return nil
}

// compile compiles a pattern; the error does not repeat it.
func compile(pattern string) (*regexp.Regexp, error) {
	re, err := regexp.Compile(pattern)
	if e, ok := errors.AsType[*syntax.Error](err); ok {
		err = errors.New(e.Code.String())
	}
	return re, err
}
