package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
)

// startWithLookupd runs a broker that registers with an nsqlookupd of its own.
func startWithLookupd(t *testing.T) (*nsqtest.NSQD, *nsqtest.Lookupd) {
	t.Helper()
	l := nsqtest.StartLookupd(t, nil)
	opts := nsqtest.Options(t)
	opts.LookupdTCPAddresses = []string{l.TCPAddr()}
	return nsqtest.Start(t, opts), l
}

// Topics that are there are found at once, others later, on all nsqlookupds that
// answer; those that do not match are left alone.
func TestDiscovery(t *testing.T) {
	for _, refresh := range []string{"1h", "50ms"} {
		t.Run("refresh "+refresh, func(t *testing.T) {
			one, lookupd1 := startWithLookupd(t)
			two, lookupd2 := startWithLookupd(t)
			tooltest.Publish(t, one, "log.a", "from one")
			tooltest.Publish(t, two, "log.a", "from two")
			tooltest.Publish(t, two, "other", "x")
			nsqtest.Eventually(t, "the topics are registered", func() bool {
				return knows(t, lookupd1, "log.a") && knows(t, lookupd2, "log.a") && knows(t, lookupd2, "other")
			})
			dir := t.TempDir()
			p := tooltest.Start(t, "nsq_to_file", "-topic-pattern=^log", "-topic-refresh="+refresh, "-filename-format=<TOPIC>/log", "-output-dir="+dir,
				"-lookupd-http-address="+nsqtest.ClosedPort(t), "-lookupd-http-address="+lookupd1.HTTPAddr(), "-lookupd-http-address="+lookupd2.HTTPURL())
			nsqtest.Eventually(t, "both messages", func() bool { return len(contents(t, dir)) == len("from one\nfrom two\n") })
			if said := p.Errors.String(); !strings.Contains(said, "WARNING: skipping topic other,") || !strings.Contains(said, "ERROR: cannot get topics from nsqlookupd 127.0.0.1:") {
				t.Errorf("stderr:\n%s", said)
			}
			if refresh == "1h" {
				return
			}
			tooltest.Publish(t, one, "log.b", "new")
			nsqtest.Eventually(t, "a message of a new topic", func() bool { return strings.HasSuffix(contents(t, dir), "new\n") })
			if names := namesIn(t, dir); !slices.Equal(names, []string{"log.a/log", "log.b/log"}) {
				t.Errorf("the files are %q", names)
			}
		})
	}
}

func knows(t *testing.T, l *nsqtest.Lookupd, topic string) bool {
	var answer struct{ Topics []string }
	get(t, l.HTTPURL()+"/topics", &answer)
	return slices.Contains(answer.Topics, topic)
}

func get(t *testing.T, url string, into any) {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

// channelStats is what nsqd counts for channel c of topic t.
type channelStats struct {
	Depth    int64 `json:"depth"`
	InFlight int64 `json:"in_flight_count"`
	Deferred int64 `json:"deferred_count"`
	Messages int64 `json:"message_count"`
	Finished int64 `json:"finish_count"`
	Requeued int64 `json:"requeue_count"`
	TimedOut int64 `json:"timeout_count"`
}

func stats(t *testing.T, d *nsqtest.NSQD) channelStats {
	t.Helper()
	var answer struct {
		Topics []struct{ Channels []channelStats }
	}
	get(t, d.HTTPURL()+"/stats?format=json&topic=t&channel=c", &answer)
	if len(answer.Topics) == 0 || len(answer.Topics[0].Channels) == 0 {
		return channelStats{}
	}
	return answer.Topics[0].Channels[0]
}

// finished reports whether so many messages came and none of them is left.
func (s channelStats) finished(n int64) bool {
	return s.Messages == n && s.Finished == n && s.Depth+s.InFlight+s.Deferred == 0
}

// Several topics go to files of their own or to one; of those that are named, the
// pattern chooses, and a wrong name does not matter.
func TestTopics(t *testing.T) {
	for format, want := range map[string]string{"<TOPIC>.log": "1a 2a 1b 2b ", "all": "1a 1b 2a 2b "} {
		d, dir := nsqtest.Start(t, nil), t.TempDir()
		for _, topic := range []string{"a", "b", "x"} {
			tooltest.Publish(t, d, topic, "1"+topic, "2"+topic)
		}
		p := tooltest.Start(t, "nsq_to_file", "-topic=a", "-topic=b", "-topic=x", "-topic=a$", "-topic-pattern=^[ab]", "-filename-format="+format, "-output-dir="+dir, "-nsqd-tcp-address="+d.TCPAddr())
		sorted := func() string {
			fields := strings.Fields(contents(t, dir))
			if format == "all" {
				slices.Sort(fields)
			}
			return strings.Join(fields, " ") + " "
		}
		nsqtest.Eventually(t, "all messages", func() bool { return sorted() == want })
		if said := p.Errors.String(); !strings.Contains(said, "[nsq_to_file] ") || !strings.Contains(said, "ERROR: couldn't create logger for new topic a$: ") {
			t.Errorf("stderr:\n%s", said)
		}
	}
}

// A sync interval longer than the time nsqd waits makes no message come twice.
func TestMessagesDoNotTimeOut(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MsgTimeout = time.Second
	d, dir := nsqtest.Start(t, opts), t.TempDir()
	toFile(t, d, dir, "-sync-interval=1h")
	tooltest.Publish(t, d, "t", "one")
	nsqtest.Eventually(t, "the first is finished", func() bool { return stats(t, d).finished(1) })
	tooltest.Publish(t, d, "t", "two", "three")
	nsqtest.Eventually(t, "all are finished", func() bool { return stats(t, d).finished(3) })
	if s := stats(t, d); s.TimedOut != 0 || contents(t, dir) != "one\ntwo\nthree\n" {
		t.Errorf("%d timed out, the file has %q", s.TimedOut, contents(t, dir))
	}
}

// Whenever it is read, a gzip file has everything that was finished.
func TestGzipCanBeReadAtAnyMoment(t *testing.T) {
	d, dir := nsqtest.Start(t, nil), t.TempDir()
	toFile(t, d, dir, "-gzip", "-gzip-level=9", "-filename-format=f<REV>", "-sync-interval=10ms", "-max-in-flight=10")
	name, want := filepath.Join(dir, "f-000000.gz"), ""
	for i := range 20 {
		body := strings.Repeat(fmt.Sprint(i, " "), 100)
		tooltest.Publish(t, d, "t", body)
		want += body + "\n"
		nsqtest.Eventually(t, "the message is finished", func() bool { return stats(t, d).finished(int64(i + 1)) })
		b, err := os.ReadFile(name)
		if err != nil || string(gunzip(t, b)) != want {
			t.Fatalf("after %d messages: %v, the file has %d bytes, which are not all of them", i+1, err, len(b))
		}
	}
	program, err := exec.LookPath("gunzip")
	if err != nil {
		t.Skip("there is no gunzip to try the file with: ", err)
	}
	if out, err := exec.Command(program, "-c", name).Output(); err != nil || string(out) != want {
		t.Errorf("gunzip: %v, it printed %d bytes, want %d", err, len(out), len(want))
	}
}

// nsqd is restarted in the middle of the work, and is not there at first.
func TestBrokerRestarts(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.TCPAddress = nsqtest.ClosedPort(t)
	dir := t.TempDir()
	p := tooltest.Start(t, "nsq_to_file", "-topic=t", "-channel=c", "-output-dir="+dir, "-filename-format=f<REV>", "-rotate-size=30000", "-max-in-flight=20", "-sync-interval=100ms", "-nsqd-tcp-address="+opts.TCPAddress)
	nsqtest.Eventually(t, "an attempt to connect", func() bool {
		return strings.Contains(p.Errors.String(), "ERROR: [t/c] cannot connect to nsqd "+opts.TCPAddress+", trying again in ")
	})
	d := nsqtest.Start(t, opts)
	all := numbers(6000)
	for i := range 3 {
		size := len(contents(t, dir))
		tooltest.Publish(t, d, "t", all[i*2000:(i+1)*2000]...)
		nsqtest.Eventually(t, "records in the files", func() bool { return len(contents(t, dir)) > size })
		if i < 2 {
			d = d.Restart()
		}
	}
	nsqtest.Eventually(t, "all messages are finished", func() bool {
		s := stats(t, d)
		return s.Messages > 0 && s.Depth+s.InFlight+s.Deferred == 0
	})
	counts := map[string]int{}
	for line := range strings.Lines(contents(t, dir)) {
		counts[strings.TrimSuffix(line, "\n")]++
	}
	twice := 0
	for _, body := range all {
		if counts[body] == 0 {
			t.Fatalf("%q is lost", body)
		}
		twice += counts[body] - 1
		delete(counts, body)
	}
	if len(counts) > 0 || twice > 2*20 { // no more than were in flight
		t.Errorf("%d records came again, %d were never sent", twice, len(counts))
	}
}
