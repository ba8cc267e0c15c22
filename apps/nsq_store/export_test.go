package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/diskq"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/store"
	"github.com/seed893f581e/nsq/internal/tool"
	"github.com/seed893f581e/nsq/internal/tool/tooltest"
	"github.com/seed893f581e/nsq/internal/wire"
)

// described is a message as these tests compare it.
func described(record []byte) string {
	m, err := wire.ParseMessage(record)
	if err != nil {
		return err.Error()
	}
	id, _ := wire.ParseID(m.ID[:])
	return fmt.Sprintf("%s id %d attempts %d time %d", m.Body, id, m.Attempts, m.Timestamp-published)
}

// queued returns what is in a disk queue of a data path.
func queued(t *testing.T, dir, queue string) (all []string) {
	t.Helper()
	s := must(diskq.OpenStore(diskq.Options{
		Dir: dir, MaxBytesPerFile: 1 << 20, HeaderLen: wire.MessageHeaderLen, Plausible: func([]byte) bool { return true },
		SyncTimeout: time.Second, OpenFiles: 4, Logger: slog.New(slog.DiscardHandler),
	}))(t)
	defer s.Close()
	q := s.Queue(queue)
	ok(t, q.Open(), q.Take(math.MaxInt, math.MaxInt, func(record []byte) { all = append(all, described(record)) }), q.Close())
	return all
}

// deferredIn returns what is in a file of deferred messages, by when it is due.
func deferredIn(t *testing.T, dir, queue string) map[string]int64 {
	t.Helper()
	rest := must(os.ReadFile(filepath.Join(dir, queue+deferredSuffix)))(t)
	all := make(map[string]int64)
	for len(rest) > 0 {
		due, record, next, err := wire.ParseDeferred(rest)
		ok(t, err)
		all[described(record)], rest = due, next
	}
	return all
}

func TestExportKeepsAttemptsAndTimes(t *testing.T) {
	to := filepath.Join(t.TempDir(), "new", "path")
	out, err := act(t, "export", options{dataPath: dataPath(t), to: to})
	if want := to + ": 2 topics, 2 channels, 4 messages waiting, 4 messages deferred; 1 topic that is not durable, as it was\n"; err != nil || out != want {
		t.Fatalf("%v, %s, want %s", err, out, want)
	}
	got := queued(t, to, channelQueueName("orders", "billing"))
	slices.Sort(got)
	if want := []string{"four id 10 attempts 0 time 0", "one id 1 attempts 3 time 0", "three id 3 attempts 0 time 0"}; !slices.Equal(got, want) {
		t.Errorf("billing has %q, want %q", got, want)
	}
	if got, want := deferredIn(t, to, channelQueueName("orders", "billing")), map[string]int64{
		"later id 30 attempts 0 time 0": later, "two id 2 attempts 2 time 0": later + 1,
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("billing has deferred %v, want %v", got, want)
	}
	if got, want := deferredIn(t, to, channelQueueName("orders", "archive")), map[string]int64{"later id 30 attempts 0 time 0": later}; !reflect.DeepEqual(got, want) {
		t.Errorf("archive has deferred %v, want %v", got, want)
	}
	if got, want := queued(t, to, "drafts"), []string{"draft id 40 attempts 0 time 0"}; !slices.Equal(got, want) {
		t.Errorf("drafts has %q, want %q", got, want)
	}
	for m, delay := range deferredIn(t, to, "drafts") {
		if left := later - time.Now().UnixNano(); m != "draft for later id 50 attempts 0 time 0" || delay < left || delay > left+int64(time.Minute) {
			t.Errorf("drafts has %s deferred by %v, want %v", m, time.Duration(delay), time.Duration(left))
		}
	}
}

func TestExportNamesTopicsAsSoftwareWithoutDurableOnesDoes(t *testing.T) {
	to := t.TempDir()
	if _, err := act(t, "export", options{dataPath: dataPath(t), to: to}); err != nil {
		t.Fatal(err)
	}
	var got metadata
	data := must(os.ReadFile(filepath.Join(to, metadataName)))(t)
	ok(t, json.Unmarshal(data, &got))
	want := []topicMetadata{
		{"orders", false, []channelMetadata{{"billing", true}, {"archive", false}}},
		{"in-memory", true, []channelMetadata{}},
		{"drafts", false, nil},
	}
	if !reflect.DeepEqual(got.Topics, want) || strings.Contains(string(data), "durability") {
		t.Errorf("%s, want %+v", data, want)
	}
}

// An nsqd goes on with what was exported, next to what it had of topics of memory.
func TestNSQDGoesOnWithAnExport(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	start := func(path string) *nsqtest.NSQD {
		opts := nsqtest.Options(t)
		opts.DataPath = path
		return nsqtest.Start(t, opts)
	}
	d := start(dir) // leaves a disk queue
	tooltest.Publish(t, d, "classic", "old", "older")
	d.Stop()
	s := openStore(t, dir)
	topic := must(s.Create("durable", store.Disk))(t)
	must(topic.CreateChannel("c"))(t)
	topic.Release()
	soon := batch(2, "soon")
	soon.Due = time.Now().Add(100 * time.Millisecond).UnixNano()
	ok(t, topic.Append([]*store.Batch{batch(1, "now"), soon}), s.Close())

	if _, err := act(t, "export", options{dataPath: dir, to: to}); err != nil {
		t.Fatal(err)
	}
	d = start(to)
	defer d.Stop()
	got := tooltest.Receive(t, d, "durable", "c", 2)
	slices.Sort(got)
	if want := []string{"now", "soon"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	got = tooltest.Receive(t, d, "classic", "c", 2)
	slices.Sort(got)
	if want := []string{"old", "older"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What the export had to do without is told, and makes the exit code 1.
func TestExportTellsOfDamagedMetadataOfATopic(t *testing.T) {
	dir, to := dataPath(t), t.TempDir()
	names := must(filepath.Glob(filepath.Join(dir, storeDir, "topics", "*-orders", "meta.json")))(t)
	ok(t, os.WriteFile(names[0], []byte("{"), 0o600))
	out, err := act(t, "export", options{dataPath: dir, to: to})
	if want := "topic orders: " + names[0] + " is damaged: "; !errors.Is(err, tool.ErrSilent) || !strings.Contains(out, want) {
		t.Errorf("%v, %s, want %s", err, out, want)
	}
	if got := queued(t, to, channelQueueName("orders", "billing")); len(got) != 3 {
		t.Errorf("the channel has %q", got)
	}
}

// It is not to find there what it has just written, and a data path has no other in it.
func TestExportIntoItsSourceIsRefused(t *testing.T) {
	dir := dataPath(t)
	link := filepath.Join(t.TempDir(), "link")
	ok(t, os.Symlink(dir, link))
	for _, to := range []string{dir, filepath.Join(dir, "new"), filepath.Join(dir, storeDir, "new", "path"), filepath.Join(link, "new"), filepath.Join(dir, "..", filepath.Base(dir), "new")} {
		if out, err := act(t, "export", options{dataPath: dir, to: to}); err == nil || err.Error() != "--to="+to+": it is in the data path that is exported" {
			t.Errorf("%s: %v, %s", to, err, out)
		}
	}
	t.Chdir(dir)
	if err := export(t.Context(), &options{to: "new"}, io.Discard); err == nil || err.Error() != "--to=new: it is in the data path that is exported" {
		t.Errorf("from the working directory: %v", err)
	}
	beside := dir + "-new"
	t.Cleanup(func() { os.RemoveAll(beside) })
	if _, err := act(t, "export", options{dataPath: dir, to: beside}); err != nil {
		t.Errorf("beside it: %v", err)
	}
}

// What a topic has of its own is exported through a channel for that, whatever its channels are called.
func TestExportOfATopicWithChannelsThatAreCalledSo(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	s := openStore(t, dir)
	topic := must(s.Create("t", store.Disk))(t)
	for _, name := range []string{"export-4", "export", "x", "y"} {
		must(topic.CreateChannel(name))(t)
	}
	ok(t, topic.Append([]*store.Batch{batch(1, "held")}), s.Close())
	if out, err := act(t, "export", options{dataPath: dir, to: to}); err != nil || !strings.HasPrefix(out, to+": 1 topic, 4 channels, 1 message waiting, ") {
		t.Errorf("%v, %s", err, out)
	}
	if got, want := queued(t, to, "t"), []string{"held id 1 attempts 0 time 0"}; !slices.Equal(got, want) {
		t.Errorf("the topic has %q, want %q", got, want)
	}
}

func TestExportMixesWithNothing(t *testing.T) {
	to := t.TempDir()
	ok(t, os.WriteFile(filepath.Join(to, metadataName), nil, 0o600))
	if _, err := act(t, "export", options{dataPath: dataPath(t), to: to}); err == nil || !strings.HasPrefix(err.Error(), "--to="+to+": it is not empty: ") {
		t.Errorf("%v", err)
	}
}

// Many messages, more than are taken at a time, and in several files of the log.
func TestExportOfManyMessages(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	s := must(store.Open(store.Options{Dir: filepath.Join(dir, storeDir), Logger: slog.New(slog.DiscardHandler), SegmentBytes: 64 << 10}))(t)
	topic := must(s.Create("t", store.Disk))(t)
	must(topic.CreateChannel("c"))(t)
	topic.Release()
	const batches, each = 50, 100
	for i := range batches {
		var bodies []string
		for k := range each {
			bodies = append(bodies, fmt.Sprintf("%06d", i*each+k))
		}
		b := batch(uint64(i*each), bodies...)
		if i%5 == 0 {
			b.Due = later + int64(i)
		}
		ok(t, topic.Append([]*store.Batch{b}))
	}
	ok(t, s.Close())
	if _, err := act(t, "export", options{dataPath: dir, to: to}); err != nil {
		t.Fatal(err)
	}
	waiting, deferred := queued(t, to, channelQueueName("t", "c")), deferredIn(t, to, channelQueueName("t", "c"))
	if len(waiting) != batches*each*4/5 || len(deferred) != batches*each/5 || !slices.IsSorted(waiting) {
		t.Errorf("%d wait, sorted %v, %d are deferred", len(waiting), slices.IsSorted(waiting), len(deferred))
	}
	for m, due := range deferred {
		if n := 0; due < later {
			t.Errorf("%s is due at %d", m, due)
		} else if _, err := fmt.Sscanf(m, "%06d", &n); err != nil || due != later+int64(n/each) {
			t.Errorf("%s is due %d later", m, due-later)
		}
	}
}

// Behind more damaged deferred messages than are taken at a time are others, which are exported.
func TestExportGoesOnBehindDamage(t *testing.T) {
	dir, to := t.TempDir(), t.TempDir()
	s := openStore(t, dir)
	c := must(must(s.Create("orders", store.Disk))(t).CreateChannel("billing"))(t)
	adopt := func(body string, due int64) {
		ok(t, c.Adopt([]store.Adopted{{ID: 1, Time: published, Due: due, Body: []byte(body)}}))
	}
	const damaged = messagesAtOnce + 10
	for range damaged {
		adopt("damaged", 1)
	}
	adopt("whole", 1)
	adopt("later", later)
	ok(t, s.Close())
	name, content := logFile(t, dir, "whole")
	end := bytes.LastIndex(content, []byte("damaged")) + len("damaged")
	clear(content[:end])
	ok(t, os.WriteFile(name, content, 0o600))

	out, err := act(t, "export", options{dataPath: dir, to: to})
	if !errors.Is(err, tool.ErrSilent) || !strings.Contains(out, "1 message waiting, 1 message deferred") || !strings.Contains(out, "damaged") {
		t.Errorf("%v, %s", err, out)
	}
	if got := len(queued(t, to, channelQueueName("orders", "billing"))) + len(deferredIn(t, to, channelQueueName("orders", "billing"))); got != 2 {
		t.Errorf("there are %d messages, want 2", got)
	}
}
