package main

import (
	"testing"
	"time"
)

func TestRotation(t *testing.T) {
	opened := time.Date(2026, 11, 21, 19, 0, 0, 0, time.UTC)
	both := rotation{size: 100, interval: time.Minute}
	for rule, c := range map[string]struct {
		rotation rotation
		name     string
		size     int64
		after    time.Duration
		want     bool
	}{
		"nothing is set":               {rotation{}, "a", 1 << 40, 1000 * time.Hour, false},
		"the name changes":             {rotation{}, "b", 0, 0, true},
		"the name changes, all is set": {both, "b", 0, 0, true},
		"the size is reached":          {rotation{size: 100}, "a", 100, time.Hour, false},
		"the size is exceeded":         {rotation{size: 100}, "a", 101, 0, true},
		"the interval is over":         {rotation{interval: time.Minute}, "a", 1 << 40, time.Minute, false},
		"the interval is long over":    {rotation{interval: time.Minute}, "a", 0, time.Minute + 1, true},
		"neither of both":              {both, "a", 100, time.Minute, false},
		"size, of both":                {both, "a", 101, 0, true},
		"interval, of both":            {both, "a", 0, time.Minute + 1, true},
		"the clock went back":          {both, "a", 0, -time.Hour, false},
	} {
		w := written{name: "a", opened: opened, size: c.size}
		if got := c.rotation.due(w, c.name, opened.Add(c.after)); got != c.want {
			t.Errorf("%s: due is %v", rule, got)
		}
	}
}
