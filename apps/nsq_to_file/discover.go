package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/cluster"
)

// maxDiscoverPause is the longest pause before nsqlookupds are asked again of which
// none has answered.
const maxDiscoverPause = 5 * time.Second

// discover sends the topics that the nsqlookupds know to found, at once and then
// after every refresh, until ctx ends.
func discover(ctx context.Context, o *options, found chan<- []string) {
	client := o.http.Cluster()
	defer client.Close()
	for {
		pause := o.topicRefresh
		topics, answered := listTopics(ctx, client, o)
		if !answered {
			pause = min(pause, maxDiscoverPause)
		}
		select {
		case found <- topics:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// listTopics asks all nsqlookupds. What one of them does not say another may.
func listTopics(ctx context.Context, client *cluster.Client, o *options) (topics []string, answered bool) {
	for _, lookupd := range o.sources.Lookupds() {
		var known []string
		address, err := httpAddress(lookupd)
		if err == nil {
			known, err = client.Topics(ctx, address)
		}
		if err != nil {
			if ctx.Err() == nil {
				o.log.errorf("cannot get topics from nsqlookupd %s: %v", lookupd, err)
			}
			continue
		}
		answered = true
		topics = append(topics, known...)
	}
	slices.Sort(topics)
	return slices.Compact(topics), answered
}

// httpAddress returns the host and port of an nsqlookupd, which may be given as a URL.
func httpAddress(lookupd string) (string, error) {
	if !strings.Contains(lookupd, "://") {
		return lookupd, nil
	}
	u, err := url.Parse(lookupd)
	if err != nil {
		return "", err
	}
	if u.Scheme != "http" {
		return "", fmt.Errorf("topics can be asked for over http only, not %s", u.Scheme)
	}
	return u.Host, nil
}
