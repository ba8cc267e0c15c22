package nsqlookupd_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"testing"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// registerCluster registers so many nodes with so many topics each.
func registerCluster(tb testing.TB, d *nsqtest.Lookupd, nodes, topics int) {
	tb.Helper()
	var b []byte
	for i := range topics {
		b = wire.AppendRegister(b, fmt.Sprintf("topic-%04d", i), "channel")
	}
	var running sync.WaitGroup
	next := make(chan *rawClient)
	for range 8 {
		running.Go(func() {
			for c := range next {
				sent := make(chan error, 1)
				go func() { sent <- c.trySend(b) }()
				for range topics {
					if data, err := c.tryNext(); err != nil || data != wire.OK {
						tb.Errorf("got %q, %v", data, err)
						break
					}
				}
				if err := <-sent; err != nil {
					tb.Error(err)
				}
			}
		})
	}
	for i := range nodes {
		next <- dialProducer(tb, d, fmt.Sprint("n", i))
	}
	close(next)
	running.Wait()
}

// Answers of many megabytes are sent in pieces.
func TestLargeAnswersTakeLittleMemory(t *testing.T) {
	const most = 4 << 20
	nodes, topics := 100, 300
	if nsqtest.RaceEnabled {
		nodes = 30
	}
	opts := nsqtest.LookupdOptions(t)
	opts.Logger = slog.New(slog.DiscardHandler)
	d := nsqtest.StartLookupd(t, opts)
	registerCluster(t, d, nodes, topics)
	for path, least := range map[string]int64{
		"/debug": int64(nodes) * int64(topics) * 500,
		"/nodes": int64(nodes) * int64(topics) * 15,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		resp, err := http.Get(d.HTTPURL() + path)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		allocated := after.TotalAlloc - before.TotalAlloc
		t.Logf("%s: %d KiB with %d KiB of memory", path, n>>10, allocated>>10)
		if n < least {
			t.Errorf("%s has %d bytes, less than %d", path, n, least)
		}
		if allocated > most {
			t.Errorf("%s took %d bytes", path, allocated)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
