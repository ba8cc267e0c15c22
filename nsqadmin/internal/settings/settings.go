// Package settings knows what nsqds say of their options, and how to show it.
package settings

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
)

// An nsqd tells its settings one by one, and logs every request. So what it
// said is kept: most of it for as long as the process runs.
const (
	atOnce  = 8                // requests at a time to one nsqd
	fresh   = 10 * time.Second // for those that may change, and for errors
	forgets = time.Hour        // a node whose page nobody has looked at
)

// Cache knows the settings of nsqds. The zero value is ready.
type Cache struct {
	mu    sync.Mutex       // nodes and what they hold
	nodes map[string]*node // by HTTP address
}

type node struct {
	start   int64 // of the process, seconds since the Unix epoch
	used    time.Time
	answers map[string]Answer // by key
}

// An Answer is what an nsqd said of one of its settings.
type Answer struct {
	value any
	err   error
	at    time.Time
}

// Ask returns what an nsqd that was started then says of each of its settings,
// and asks it for those that are not known or not fresh.
func (c *Cache) Ask(ctx context.Context, client *cluster.Client, address string, start int64, now time.Time) map[string]Answer {
	stale := c.stale(address, start, now)
	answers := make([]Answer, len(stale))
	limit := make(chan struct{}, atOnce)
	var asking sync.WaitGroup
	for i, key := range stale {
		limit <- struct{}{}
		asking.Go(func() {
			defer func() { <-limit }()
			value, err := client.Setting(ctx, address, key)
			answers[i] = Answer{value, err, now}
		})
	}
	asking.Wait()

	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[address]
	if n == nil || n.start != start {
		n = &node{start: start, answers: map[string]Answer{}} // another request found another start
	}
	for i, key := range stale {
		n.answers[key] = answers[i]
	}
	return maps.Clone(n.answers)
}

// stale returns the keys to ask for.
func (c *Cache) stale(address string, start int64, now time.Time) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[address]
	if n == nil || n.start != start {
		maps.DeleteFunc(c.nodes, func(_ string, n *node) bool { return now.Sub(n.used) > forgets })
		if c.nodes == nil {
			c.nodes = map[string]*node{}
		}
		n = &node{start: start, answers: map[string]Answer{}}
		c.nodes[address] = n
	}
	n.used = now
	var keys []string
	for _, group := range nsqdOptions {
		for _, s := range group.Options {
			a, known := n.answers[s.Key]
			if !known || (s.changes || a.err != nil) && now.Sub(a.at) > fresh {
				keys = append(keys, s.Key)
			}
		}
	}
	return keys
}

// A Group is a group of settings of one nsqd, as far as it told them.
type Group struct {
	Name     string
	Settings []Setting
}

// A Setting is shown as the nsqd has it in force.
type Setting struct {
	Key, Value string
	Changes    bool // it may change while nsqd runs
}

// A Refusal is why an nsqd did not tell some of its settings.
type Refusal struct {
	Reason string
	Keys   []string
}

// Show puts answers into groups, and those that are none by their reason.
func Show(answers map[string]Answer) (groups []Group, refused []Refusal) {
	for _, group := range nsqdOptions {
		shown := Group{Name: group.Name}
		for _, s := range group.Options {
			a, known := answers[s.Key]
			if !known {
				continue
			}
			if a.err == nil {
				shown.Settings = append(shown.Settings, Setting{s.Key, s.text(a.value), s.changes})
				continue
			}
			reason := refusalReason(a.err)
			i := slices.IndexFunc(refused, func(r Refusal) bool { return r.Reason == reason })
			if i < 0 {
				i, refused = len(refused), append(refused, Refusal{Reason: reason})
			}
			refused[i].Keys = append(refused[i].Keys, s.Key)
		}
		if len(shown.Settings) > 0 {
			groups = append(groups, shown)
		}
	}
	return groups, refused
}

// refusalReason is what an error means to somebody who asked for a setting.
func refusalReason(err error) string {
	status, ok := errors.AsType[*cluster.StatusError](err)
	switch {
	case ok && status.Message == "INVALID_OPTION":
		return "this version of nsqd does not have them"
	case ok && (status.Status == http.StatusForbidden || status.Status == http.StatusUnauthorized):
		return "nsqd does not let this host ask for them: it " + err.Error()
	case ok && status.Status == http.StatusNotFound:
		return "this version of nsqd does not tell its settings"
	}
	return cluster.Reason(err)
}
