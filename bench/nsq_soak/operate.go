package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/load"
	"github.com/seed893f581e/nsq/internal/process"
	"github.com/seed893f581e/nsq/internal/wire"
)

// operate starts those who do to nsqd what an operator does.
func (s *soak) operate(g *load.Group) {
	for _, f := range []func(context.Context, *instance, *rand.Rand) error{s.pause, s.churnChannel, s.churnTopic, s.empty, s.scrape} {
		rnd := s.random()
		g.Run(func(ctx context.Context) error {
			for load.Sleep(ctx, between(rnd, 100*time.Millisecond, time.Second)) == nil {
				in, leave := s.enter(ctx)
				if in == nil {
					return nil
				}
				err := f(context.WithoutCancel(ctx), in, rnd)
				leave()
				if err != nil && !in.isStopping() {
					return err
				}
			}
			return nil
		})
	}
}

func query(topic, channel string) string {
	q := "?topic=" + url.QueryEscape(topic)
	if channel != "" {
		q += "&channel=" + url.QueryEscape(channel)
	}
	return q
}

// pause pauses a topic or a channel for a moment. After a restart in that moment it
// stays paused, until tidy or the next one who pauses it.
func (s *soak) pause(ctx context.Context, in *instance, rnd *rand.Rand) error {
	l := s.ledgers[rnd.IntN(len(s.ledgers))]
	what, q := "topic", query(l.topic, "")
	if i := rnd.IntN(len(l.channels) + 1); i < len(l.channels) {
		what, q = "channel", query(l.topic, l.channels[i].name)
	}
	if err := in.post(ctx, "/"+what+"/pause"+q); err != nil {
		return err
	}
	if err := load.Sleep(ctx, between(rnd, 10*time.Millisecond, time.Second)); err != nil {
		return err
	}
	return in.post(ctx, "/"+what+"/unpause"+q)
}

// churnChannel has a channel come, get messages, and go.
func (s *soak) churnChannel(ctx context.Context, in *instance, rnd *rand.Rand) error {
	topic := s.ledgers[rnd.IntN(len(s.ledgers))].topic
	channel := fmt.Sprintf("churn%d%s", rnd.IntN(10), []string{"", "#ephemeral"}[rnd.IntN(2)])
	if rnd.IntN(2) == 0 {
		if err := in.post(ctx, "/channel/create"+query(topic, channel)); err != nil {
			return err
		}
	}
	if err := s.sip(ctx, in, topic, channel, 1+rnd.IntN(500)); err != nil {
		return err
	}
	err := in.post(ctx, "/channel/delete"+query(topic, channel))
	if process.IsStatus(err, 404) && wire.IsEphemeral(channel) { // it went with its consumer
		return nil
	}
	return err
}

// churnTopic has a topic come, with a channel and messages, and go.
func (s *soak) churnTopic(ctx context.Context, in *instance, rnd *rand.Rand) error {
	topic := fmt.Sprintf("churn%d%s", rnd.IntN(10), []string{"", "#ephemeral"}[rnd.IntN(2)])
	lines := strings.Repeat("a message that nobody counts\n", 1+rnd.IntN(3000))
	if err := in.server.Request(ctx, "POST", "/mpub"+query(topic, ""), lines, nil); err != nil {
		return err
	}
	if rnd.IntN(2) == 0 {
		if err := s.sip(ctx, in, topic, "churn", 1+rnd.IntN(100)); err != nil {
			return err
		}
	}
	return in.post(ctx, "/topic/delete"+query(topic, ""))
}

// empty empties the channel that nobody counts, with a consumer or without.
func (s *soak) empty(ctx context.Context, in *instance, rnd *rand.Rand) error {
	topic := s.ledgers[rnd.IntN(len(s.ledgers))].topic
	if rnd.IntN(2) == 0 {
		if err := s.sip(ctx, in, topic, uncounted, 1+rnd.IntN(1000)); err != nil {
			return err
		}
	}
	return in.post(ctx, "/channel/empty"+query(topic, uncounted))
}

// scrape asks for what people look at.
func (s *soak) scrape(ctx context.Context, in *instance, _ *rand.Rand) error {
	var b []byte
	for _, path := range []string{"/stats", "/stats?format=json", "/ping", "/info", "/metrics"} {
		if err := in.server.Request(ctx, "GET", path, "", &b); err != nil && !process.IsStatus(err, 404) {
			return err
		}
	}
	return nil
}

// sip consumes a few messages, if there are any, finishes half of them, and goes away.
func (s *soak) sip(ctx context.Context, in *instance, topic, channel string, messages int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	nc, err := dial(ctx, in.server.TCP, map[string]any{})
	if err != nil {
		return err
	}
	defer nc.Close()
	out := wire.AppendSub(nil, topic, channel)
	if _, err := nc.Write(wire.AppendRdy(out, 100)); err != nil {
		return err
	}
	if err := expectOK(nc); err != nil {
		return fmt.Errorf("subscribing to %s/%s: %w", topic, channel, err)
	}
	if err := nc.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		return err
	}
	br := bufio.NewReader(nc)
	for i := range messages {
		t, data, err := wire.ReadFrame(br, nil, maxFrame)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return err
		}
		if m, err := wire.ParseMessage(data); err == nil && t == wire.FrameMessage && i%2 == 0 {
			if _, err := nc.Write(wire.AppendFin(nil, m.ID)); err != nil {
				return err
			}
		} else if t == wire.FrameError && wire.ParseError(data).Fatal() {
			return wire.ParseError(data)
		}
	}
	return nil
}

// tidy removes what a restart kept others from removing, and has everything flow.
func (s *soak) tidy(ctx context.Context, in *instance) error {
	all, err := in.stats(ctx)
	if err != nil {
		return err
	}
	for _, t := range all.Topics {
		if !strings.HasPrefix(t.Name, "soak") {
			if err := in.post(ctx, "/topic/delete"+query(t.Name, "")); err != nil {
				return err
			}
			continue
		}
		if err := in.post(ctx, "/topic/unpause"+query(t.Name, "")); err != nil {
			return err
		}
		for _, ch := range t.Channels {
			what := "unpause"
			if strings.HasPrefix(ch.Name, "churn") {
				what = "delete"
			}
			if err := in.post(ctx, "/channel/"+what+query(t.Name, ch.Name)); err != nil {
				return err
			}
		}
	}
	return nil
}
