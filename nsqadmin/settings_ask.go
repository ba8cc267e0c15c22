package nsqadmin

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
	settingsAtOnce  = 8                // requests at a time to one nsqd
	settingsFresh   = 10 * time.Second // for those that may change, and for errors
	settingsForgets = time.Hour        // a node whose page nobody has looked at
)

// settingsCache knows the settings of nsqds. The zero value is ready.
type settingsCache struct {
	mu    sync.Mutex               // nodes and what they hold
	nodes map[string]*nodeSettings // by HTTP address
}

type nodeSettings struct {
	start   int64 // of the process, seconds since the Unix epoch
	used    time.Time
	answers map[string]settingAnswer // by key
}

type settingAnswer struct {
	value any
	err   error
	at    time.Time
}

// ask returns what an nsqd that was started then says of each of its settings,
// and asks it for those that are not known or not fresh.
func (c *settingsCache) ask(ctx context.Context, client *cluster.Client, address string, start int64, now time.Time) map[string]settingAnswer {
	stale := c.stale(address, start, now)
	answers := make([]settingAnswer, len(stale))
	limit := make(chan struct{}, settingsAtOnce)
	var asking sync.WaitGroup
	for i, key := range stale {
		limit <- struct{}{}
		asking.Go(func() {
			defer func() { <-limit }()
			value, err := client.Setting(ctx, address, key)
			answers[i] = settingAnswer{value, err, now}
		})
	}
	asking.Wait()

	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[address]
	if n == nil || n.start != start {
		n = &nodeSettings{start: start, answers: map[string]settingAnswer{}} // another request found another start
	}
	for i, key := range stale {
		n.answers[key] = answers[i]
	}
	return maps.Clone(n.answers)
}

// stale returns the keys to ask for.
func (c *settingsCache) stale(address string, start int64, now time.Time) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[address]
	if n == nil || n.start != start {
		maps.DeleteFunc(c.nodes, func(_ string, n *nodeSettings) bool { return now.Sub(n.used) > settingsForgets })
		if c.nodes == nil {
			c.nodes = map[string]*nodeSettings{}
		}
		n = &nodeSettings{start: start, answers: map[string]settingAnswer{}}
		c.nodes[address] = n
	}
	n.used = now
	var keys []string
	for _, group := range nsqdSettings {
		for _, s := range group.Settings {
			a, known := n.answers[s.Key]
			if !known || (s.changes || a.err != nil) && now.Sub(a.at) > settingsFresh {
				keys = append(keys, s.Key)
			}
		}
	}
	return keys
}

// A shownGroup is a group of settings of one nsqd, as far as it told them.
type shownGroup struct {
	Name     string
	Settings []shownSetting
}

type shownSetting struct {
	Key, Value string
	Changes    bool // it may change while nsqd runs
}

// A refusal is why an nsqd did not tell some of its settings.
type refusal struct {
	Reason string
	Keys   []string
}

// showSettings puts answers into groups, and those that are none by their reason.
func showSettings(answers map[string]settingAnswer) (groups []shownGroup, refused []refusal) {
	for _, group := range nsqdSettings {
		shown := shownGroup{Name: group.Name}
		for _, s := range group.Settings {
			a, known := answers[s.Key]
			if !known {
				continue
			}
			if a.err == nil {
				shown.Settings = append(shown.Settings, shownSetting{s.Key, s.text(a.value), s.changes})
				continue
			}
			reason := refusalReason(a.err)
			i := slices.IndexFunc(refused, func(r refusal) bool { return r.Reason == reason })
			if i < 0 {
				i, refused = len(refused), append(refused, refusal{Reason: reason})
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
