//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/seed893f581e/nsq/internal/daemon/daemontest"
)

// With --mem-queue-size=0 what was acknowledged is on disk, and a kill at any
// moment loses none of it, nor half of a batch, and the count is exact.
func TestKillLosesNothingOnDisk(t *testing.T) {
	const perBatch = 25
	dir := t.TempDir()
	total := 0 // messages
	for round := range 5 {
		d := start(t, "--data-path="+dir, "--mem-queue-size=0", "--max-bytes-per-file=20000", "--sync-every=300")
		address := daemontest.WaitFor(t, d, ` HTTP: listening on (.*)$`)[1]
		if got := depth(t, address); got != total {
			t.Fatalf("round %d: %d messages are there, want %d", round, got, total)
		}
		var batch []string
		for i := range perBatch {
			batch = append(batch, fmt.Sprintf("%d %s", i, strings.Repeat("x", 10*i)))
		}
		acked, begun := 0, 0
		var publisher sync.WaitGroup
		killAfter := make(chan struct{})
		enough := sync.OnceFunc(func() { close(killAfter) })
		publisher.Go(func() {
			defer enough() // also if it fails early
			for {
				begun++
				resp, err := http.Post("http://"+address+"/mpub?topic=t", "", strings.NewReader(strings.Join(batch, "\n")))
				if err != nil {
					return
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					return
				}
				if acked++; acked == 20+7*round {
					enough()
				}
			}
		})
		<-killAfter
		d.Signal(syscall.SIGKILL)
		d.End()
		publisher.Wait()

		d = start(t, "--data-path="+dir, "--mem-queue-size=0", "--max-bytes-per-file=20000")
		address = daemontest.WaitFor(t, d, ` HTTP: listening on (.*)$`)[1]
		got := depth(t, address) - total
		if got < acked*perBatch || got > begun*perBatch || got%perBatch != 0 && begun == acked {
			t.Errorf("round %d: %d batches of %d were acknowledged, %d begun, %d messages are there", round, acked, perBatch, begun, got)
		}
		total += got
		d.Signal(syscall.SIGTERM)
		d.End()
	}
}

// depth returns how many messages topic t holds.
func depth(t *testing.T, address string) int {
	t.Helper()
	status, body := request(t, "GET", "http://"+address+"/stats?format=json&topic=t")
	var stats struct {
		Topics []struct{ Depth int }
	}
	if err := json.Unmarshal([]byte(body), &stats); err != nil || status != http.StatusOK {
		t.Fatalf("/stats: %d %s, %v", status, body, err)
	}
	if len(stats.Topics) == 0 {
		return 0
	}
	return stats.Topics[0].Depth
}
