package load

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestGroup(t *testing.T) {
	failure := errors.New("failure")
	untilTheEnd := func(ctx context.Context) error { return Sleep(ctx, time.Hour) }
	for name, c := range map[string]struct {
		run  []func(context.Context) error
		end  func(*Group) error
		want error
	}{
		"one fails, waited for":  {[]func(context.Context) error{untilTheEnd, func(context.Context) error { return failure }}, (*Group).Wait, failure},
		"all succeed":            {[]func(context.Context) error{func(context.Context) error { return nil }}, (*Group).Wait, nil},
		"stopped":                {[]func(context.Context) error{untilTheEnd}, (*Group).Stop, nil},
		"one fails, and stopped": {[]func(context.Context) error{func(context.Context) error { return failure }}, func(g *Group) error { <-g.Context().Done(); return g.Stop() }, failure},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewGroup(t.Context())
			for _, f := range c.run {
				g.Run(f)
			}
			if err := c.end(g); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}
