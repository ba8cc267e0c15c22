package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/seed893f581e/nsq/internal/load"
	"github.com/seed893f581e/nsq/internal/process"
	"github.com/seed893f581e/nsq/internal/stats"
)

// An instance is nsqd from a start to a stop.
type instance struct {
	server      *process.Server
	incarnation int
	stopping    atomic.Bool
	carried     map[string]int64 // by topic/channel: messages that were in the topic alone when it started
}

// isStopping reports whether what fails now fails because nsqd is stopped.
func (in *instance) isStopping() bool { return in.stopping.Load() }

// stats asks nsqd for everything.
func (in *instance) stats(ctx context.Context) (all stats.Stats, err error) {
	err = in.server.Request(ctx, "GET", "/stats?format=json&include_clients=false", "", &all)
	return all, err
}

// find returns what nsqd tells of a topic and, unless that is empty, a channel.
func find(all *stats.Stats, topic, channel string) (t stats.Topic, ch stats.Channel, err error) {
	for _, t := range all.Topics {
		if t.Name != topic {
			continue
		}
		if channel == "" {
			return t, ch, nil
		}
		for _, ch := range t.Channels {
			if ch.Name == channel {
				return t, ch, nil
			}
		}
	}
	return t, ch, fmt.Errorf("nsqd does not know %s/%s", topic, channel)
}

// enter returns the nsqd that runs, and a function to be called when everything that
// the caller does with it has ended; when there is none it waits. It returns nil when
// ctx ends.
func (s *soak) enter(ctx context.Context) (in *instance, leave func()) {
	for {
		s.mu.Lock()
		in, changed := s.current, s.changed
		if in != nil {
			s.inside++
		}
		s.mu.Unlock()
		if in != nil {
			return in, s.leave
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, nil
		}
	}
}

func (s *soak) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inside--
	s.wakeLocked()
}

// wakeLocked wakes who waits for another nsqd, or for everybody to have left.
func (s *soak) wakeLocked() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// everybodyLeft waits until nobody uses the nsqd that was stopped.
func (s *soak) everybodyLeft(ctx context.Context) error {
	for {
		s.mu.Lock()
		inside, changed := s.inside, s.changed
		s.mu.Unlock()
		if inside == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// start starts nsqd on the data that there is, and lets everybody in.
func (s *soak) start(ctx context.Context, incarnation int) error {
	server, err := process.StartNSQD(s.ctx, []string{s.nsqd}, s.dataPath, s.log,
		fmt.Sprintf("--mem-queue-size=%d", s.memQueueSize), "--max-rdy-count=2500")
	if err != nil {
		return err
	}
	in := &instance{server: server, incarnation: incarnation, carried: make(map[string]int64)}
	s.last = in
	context.AfterFunc(s.ctx, func() { in.stopping.Store(true) })
	// Every barrier would be a line in the log.
	if err := in.server.Request(ctx, "PUT", "/config/log_level", "warn", nil); err != nil {
		return err
	}
	if incarnation == 0 {
		err = s.createChannels(ctx)
	} else {
		err = s.readCarried(ctx)
	}
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = in
	s.wakeLocked()
	return nil
}

func (s *soak) createChannels(ctx context.Context) error {
	for _, l := range s.ledgers {
		if err := s.last.post(ctx, "/topic/create?topic="+l.topic); err != nil {
			return err
		}
		for _, a := range l.channels {
			if err := s.last.post(ctx, "/channel/create?topic="+l.topic+"&channel="+a.name); err != nil {
				return err
			}
		}
		if err := s.last.post(ctx, "/channel/create?topic="+l.topic+"&channel="+uncounted); err != nil {
			return err
		}
	}
	return nil
}

func (in *instance) post(ctx context.Context, path string) error {
	return in.server.Request(ctx, "POST", path, "", nil)
}

// readCarried notes what topics hold after a restart for their channels, which count
// it when they get it. Nobody publishes yet.
func (s *soak) readCarried(ctx context.Context) error {
	in := s.last
	for before := map[string]int64(nil); ; {
		all, err := in.stats(ctx)
		if err != nil {
			return err
		}
		sums := make(map[string]int64)
		atRest := true
		for _, l := range s.ledgers {
			for _, a := range l.channels {
				t, ch, err := find(&all, l.topic, a.name)
				if err != nil {
					return fmt.Errorf("after a restart: %w", err)
				}
				sums[l.topic+"/"+a.name] = t.Depth + int64(ch.Messages)
				atRest = atRest && (t.Depth == 0 || t.Paused)
			}
		}
		if atRest && maps.Equal(before, sums) {
			in.carried = sums
			return nil
		}
		before = sums
		if err := load.Sleep(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// restart stops nsqd, with everybody's connections, and starts it again.
func (s *soak) restart(ctx context.Context) error {
	s.mu.Lock()
	in := s.current
	s.current = nil
	in.stopping.Store(true)
	s.mu.Unlock()
	if err := in.server.Stop(ctx); err != nil {
		return err
	}
	http.DefaultClient.CloseIdleConnections()
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("connections are open %v after nsqd has stopped", patience))
	defer cancel()
	if err := s.everybodyLeft(ctx); err != nil {
		return err
	}
	return s.start(ctx, in.incarnation+1)
}
