package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/load"
	"github.com/seed893f581e/nsq/internal/process"
)

// needs are what nsqd needs at rest. What this system does not tell is -1.
type needs struct {
	resident, heap    int64 // bytes
	goroutines, files int
}

// How much more memory nsqd may need in the end than after the warm-up.
const (
	moreMemoryShare = 0.10
	moreMemory      = 4 << 20
)

// settleTime is how long nsqd may take to come to rest when everybody has left.
const settleTime = 15 * time.Second

// rest returns what nsqd needs when it has come to rest: when that is the same twice
// or, if there is something to compare it with, no more than that.
func (in *instance) rest(ctx context.Context, before *needs) (*needs, error) {
	var last *needs
	for end := time.Now().Add(settleTime); ; {
		n, err := in.needs(ctx)
		if err != nil {
			return nil, err
		}
		isAtRest := last != nil && last.goroutines == n.goroutines && last.files == n.files
		if before != nil {
			isAtRest = len(n.exceed(before)) == 0
		}
		if isAtRest || time.Now().After(end) {
			return n, nil
		}
		last = n
		if err := load.Sleep(ctx, 500*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// exceed tells what is more than it was before.
func (n *needs) exceed(before *needs) (all []string) {
	memory := func(what string, now, before int64) {
		if limit := before + int64(float64(before)*moreMemoryShare) + moreMemory; now > limit {
			all = append(all, fmt.Sprintf("%s: %.1f MiB, which were %.1f MiB, and may be %.1f MiB", what, mib(now), mib(before), mib(limit)))
		}
	}
	memory("resident memory", n.resident, before.resident)
	memory("heap", n.heap, before.heap)
	if n.goroutines != before.goroutines {
		all = append(all, fmt.Sprintf("%d goroutines, which were %d", n.goroutines, before.goroutines))
	}
	if n.files != before.files {
		all = append(all, fmt.Sprintf("%d open descriptors, which were %d", n.files, before.files))
	}
	return all
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func (in *instance) needs(ctx context.Context) (n *needs, err error) {
	http.DefaultClient.CloseIdleConnections() // this is the only one
	n = &needs{resident: -1, files: -1}
	var profile []byte
	if err := in.server.Request(ctx, "GET", "/debug/pprof/goroutine?debug=1", "", &profile); err != nil {
		return nil, err
	}
	head, _, _ := strings.Cut(string(profile), "\n")
	_, total, _ := strings.Cut(head, "total ")
	if n.goroutines, err = strconv.Atoi(total); err != nil {
		return nil, fmt.Errorf("a goroutine profile begins with %q", head)
	}
	for range 2 { // what a finalizer holds is free after the second
		if err := in.post(ctx, "/debug/freememory"); err != nil {
			return nil, err
		}
	}
	all, err := in.stats(ctx)
	if err != nil {
		return nil, err
	}
	n.heap = int64(all.Memory.HeapInUseBytes)
	pid := in.server.Cmd.Process.Pid
	if n.files, err = process.OpenFiles(pid); err == nil {
		n.resident, err = process.ResidentMemory(pid)
	}
	if errors.Is(err, errors.ErrUnsupported) {
		n.files, n.resident, err = -1, -1, nil
	}
	return n, err
}
