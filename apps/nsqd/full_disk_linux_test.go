package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seed893f581e/nsq/internal/daemon/daemontest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// A stop on a disk without a byte free is one as always if there is nothing to write that is not
// on disk. What is lost is said once, and makes the exit code 1; nsqd.dat stays as it
// was, and a durable topic loses nothing.
func TestStopOnAFullDisk(t *testing.T) {
	for name, c := range map[string]struct {
		before, after string // requests, before the disk is full and then
		lost          string
	}{
		"nothing to write":   {},
		"messages in memory": {"/pub?topic=memory", "", "channel c of topic memory: 1 messages are lost, they were in memory and cannot be written: "},
		"a topic that could not be saved": {"/topic/create?topic=kept&durability=disk", "/topic/create?topic=more",
			"nsqd.dat stays as it was: after the next start, topics and channels of memory that were created since are not there, "},
		"a durable topic": {"/topic/create?topic=kept&durability=disk", "/topic/pause?topic=kept", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := nsqtest.ShortDisk(t)
			d, url := startHTTP(t, dir)
			post(t, url+"/topic/create?topic=memory")
			post(t, url+"/channel/create?topic=memory&channel=c")
			durable := c.before != "" && post(t, url+c.before) == 200 && strings.Contains(c.before, "durability")
			if durable {
				post(t, url+"/pub?topic=kept")
			}
			saved := readFile(t, filepath.Join(dir, "nsqd.dat"))
			ballast := filepath.Join(dir, "ballast")
			nsqtest.FillDisk(t, ballast)
			if c.after != "" && post(t, url+c.after) != 507 {
				t.Errorf("%s is not refused", c.after)
			}

			d.Signal(syscall.SIGTERM)
			r := d.End()
			complaints := strings.Count(r.Stderr, "not everything stopped cleanly") -
				strings.Count(r.Stderr, "what consumers finished last may come again, nothing is lost") // where it has not just been noted
			if strings.Contains(r.Stderr, " FATAL: ") || !strings.HasSuffix(r.Stderr, " INFO: NSQ: bye\n") || !durable && r.Code != min(complaints, 1) {
				t.Errorf("exit code %d; it said\n%s", r.Code, r.Stderr)
			}
			if c.lost == "" && complaints > 0 || c.lost != "" && (complaints != 1 || strings.Count(r.Stderr, c.lost) != 1 || r.Code != 1) {
				t.Errorf("exit code %d; it does not say %q once, but\n%s", r.Code, c.lost, r.Stderr)
			}
			if left := readFile(t, filepath.Join(dir, "nsqd.dat")); left != saved {
				t.Errorf("nsqd.dat has %q, want what it had: %q", left, saved)
			}

			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			d, url = startHTTP(t, dir)
			if _, stats := request(t, "GET", url+"/stats?format=json&topic=kept"); durable && !strings.Contains(stats, `"channels":[],"depth":1,`) {
				t.Errorf("after it the durable topic has %s", stats)
			}
			d.Signal(syscall.SIGTERM)
			if r := d.End(); r.Code != 0 {
				t.Errorf("with room it stopped with %d:\n%s", r.Code, r.Stderr)
			}
		})
	}
}

// startHTTP runs the program with a data path, and returns where it answers requests.
func startHTTP(t *testing.T, dir string) (d *tooltest.Process, url string) {
	t.Helper()
	d = start(t, "--data-path="+dir, "--min-free-disk=1")
	return d, "http://" + daemontest.WaitFor(t, d, ` HTTP: listening on (.*)$`)[1]
}

// post makes a request, with a message to publish, and returns how it was answered.
func post(t *testing.T, url string) (status int) {
	t.Helper()
	resp, err := http.Post(url, "", strings.NewReader("m"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
