package nsqd_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

// savedTopics returns the topics of the nsqd.dat of this moment with their
// channels, paused ones with a star.
func savedTopics(dir string) (map[string]string, error) {
	data, err := os.ReadFile(filepath.Join(dir, "nsqd.dat"))
	if err != nil {
		return nil, err
	}
	type entry struct {
		Name     string
		Paused   bool
		Channels []entry
	}
	var file struct{ Topics []entry }
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	star := map[bool]string{true: "*"}
	topics := make(map[string]string)
	for _, t := range file.Topics {
		names := []string{t.Name + star[t.Paused]}
		for _, ch := range t.Channels {
			names = append(names, ch.Name+star[ch.Paused])
		}
		topics[t.Name] = strings.Join(names, " ")
	}
	return topics, nil
}

// What is in nsqd.dat when an answer comes is what a killed broker comes back
// with. Eight clients change topics of their own and look after each answer.
func TestAnsweredChangesSurviveAKill(t *testing.T) {
	n := nsqtest.Start(t, nil)
	a := newAPI(t, n)
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			name := fmt.Sprint("topic", i)
			for range 10 {
				if err := changeAndLook(a, n, name); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
			}
		})
	}
	clients.Wait()
}

func changeAndLook(a *api, n *nsqtest.NSQD, topic string) error {
	for _, step := range []struct{ path, want string }{
		{"/topic/create?topic=" + topic, topic},
		{"/topic/pause?topic=" + topic, topic + "*"},
		{"/channel/create?channel=a&topic=" + topic, topic + "* a"},
		{"/channel/pause?channel=a&topic=" + topic, topic + "* a*"},
		{"/topic/unpause?topic=" + topic, topic + " a*"},
		{"SUB", topic + " a* sub"},
		{"/channel/unpause?channel=a&topic=" + topic, topic + " a sub"},
		{"/channel/delete?channel=a&topic=" + topic, topic + " sub"},
		{"/topic/delete?topic=" + topic, ""},
		{"SUB", topic + " sub"}, // which creates the topic, too
		{"/topic/delete?topic=" + topic, ""},
	} {
		if err := change(a, n, step.path, topic); err != nil {
			return err
		}
		topics, err := savedTopics(n.Opts.DataPath)
		if err != nil {
			return err
		}
		if got := topics[topic]; got != step.want {
			return fmt.Errorf("after the answer to %s nsqd.dat has %q, want %q", step.path, got, step.want)
		}
	}
	return nil
}

// change makes one request, which must succeed.
func change(a *api, n *nsqtest.NSQD, path, topic string) error {
	if path != "SUB" {
		resp, body, err := a.try("POST", path, nil)
		if err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s answered %d %s", path, resp.StatusCode, body)
		}
		return err
	}
	conn, err := dial(n.TCPAddr())
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(wire.AppendSub([]byte(wire.MagicV2), topic, "sub")); err != nil {
		return err
	}
	_, answer, err := wire.ReadFrame(conn, nil, 0)
	if err == nil && string(answer) != wire.OK {
		err = fmt.Errorf("SUB answered %s", answer)
	}
	return err
}

// Who waits for a change waits for one write of the file, and nobody writes it
// again.
func TestOneChangeIsOneWrite(t *testing.T) {
	opts := nsqtest.Options(t)
	var log loggingtest.Buffer
	opts.Logger = log.Logger(slog.LevelInfo)
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	a.post("/topic/create?topic=t")
	writes := func() int { return strings.Count(log.String(), "persisting topic/channel metadata") }
	before := writes()
	for range 50 {
		a.post("/topic/pause?topic=t")
		a.post("/topic/unpause?topic=t")
	}
	if got := writes() - before; got != 100 {
		t.Errorf("100 changes were written %d times", got)
	}
}

// While nsqd.dat cannot be written, requests that only change it say so. Topics and
// channels in memory are made all the same, and saved later; none is paused. A consumer is
// served.
func TestUnwritableMetadata(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.DataPath = filepath.Join(opts.DataPath, "data")
	makeDir(t, opts.DataPath)
	var log loggingtest.Buffer
	opts.Logger = log.Logger(slog.LevelInfo)
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	a.post("/topic/create?topic=t")
	a.post("/channel/create?topic=t&channel=c")
	away := opts.DataPath + ".away"
	if err := os.Rename(opts.DataPath, away); err != nil {
		t.Fatal(err)
	}
	for path, answer := range map[string]string{
		"/topic/create?topic=new": "NOT_SAVED", "/channel/create?topic=t&channel=new": "NOT_SAVED",
		"/topic/pause?topic=t": "DISK_ERROR", "/channel/pause?topic=t&channel=c": "DISK_ERROR",
	} {
		a.want(503, `{"message":"`+answer+`"}`, "POST", path, "")
	}
	c := dialRaw(t, n)
	c.consume("other", "c", 1)
	p := dialRaw(t, n)
	p.pub("other", "m")
	c.fin(c.wantMessage("m", 1))
	for _, want := range []string{"failed to persist metadata, will try again", "the change is in force but not saved"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	if err := os.Rename(away, opts.DataPath); err != nil {
		t.Fatal(err)
	}
	nsqtest.Eventually(t, "all of it is written", func() bool {
		topics, err := savedTopics(opts.DataPath)
		return err == nil && fmt.Sprint(topics) == "map[new:new other:other c t:t c new]"
	})
}

// fillDataPath leaves a data path in which each queue holds messages in its
// files: 5 in topic alone, 4 in channel t:c, 2 deferred in channel later:c. The
// topic zlast and its channel are paused and have no files.
func fillDataPath(t *testing.T) *nsqd.Options {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 2
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	p := dialRaw(t, n)
	p.mpub("alone", bodies("m", 5)...)
	dialRaw(t, n).sub("t", "c")
	p.mpub("t", bodies("m", 4)...)
	dialRaw(t, n).sub("later", "c")
	p.dpub("later", time.Hour, "deferred")
	p.dpub("later", time.Hour, "deferred")
	a.post("/topic/create?topic=zlast")
	a.post("/channel/create?topic=zlast&channel=c")
	a.post("/topic/pause?topic=zlast")
	a.post("/channel/pause?topic=zlast&channel=c")
	nsqtest.Eventually(t, "the channels have their messages", func() bool {
		c, _ := n.ChannelCounts("t", "c")
		later, _ := n.ChannelCounts("later", "c")
		return c.Depth == 4 && later.Deferred == 2
	})
	n.Stop()
	return opts
}

func TestDamagedMetadataCostsNoMessage(t *testing.T) {
	const all = "[alone later c t c zlast* c*]"
	const withoutFileless = "[alone later c t c]"
	for name, c := range map[string]struct {
		damage func(data []byte) []byte // nil for a file that is gone
		topics string                   // afterwards
		log    string
	}{
		"missing":               {func([]byte) []byte { return nil }, withoutFileless, "rebuilt from their files"},
		"empty":                 {func([]byte) []byte { return []byte{} }, withoutFileless, "it is empty"},
		"zeroed":                {func(data []byte) []byte { return make([]byte, len(data)) }, withoutFileless, "invalid character"},
		"not JSON":              {func([]byte) []byte { return []byte("nsqd") }, withoutFileless, "invalid character"},
		"another JSON":          {func([]byte) []byte { return []byte("[1,2]") }, withoutFileless, "cannot unmarshal array"},
		"cut in the first name": {func(data []byte) []byte { return data[:20] }, withoutFileless, "unexpected end of JSON input"},
		"cut behind the topics": {func(data []byte) []byte { return data[:bytes.Index(data, []byte(`],"version"`))] }, all, "unexpected end of JSON input"},
		"garbled at the end":    {func(data []byte) []byte { return append(data[:len(data)-4], 0xff, 0, 0xff, 0) }, all, "invalid character"},
		"a garbled name":        {func(data []byte) []byte { return bytes.Replace(data, []byte("alone"), []byte("a\xffone"), 1) }, all, "bytes that are no text"},
		"a lost comma": {func(data []byte) []byte {
			return bytes.Replace(data, []byte(`},{"name":"t"`), []byte(`}.{"name":"t"`), 1)
		}, withoutFileless, "invalid character"},
	} {
		t.Run(name, func(t *testing.T) {
			opts := fillDataPath(t)
			var log loggingtest.Buffer
			opts.Logger = log.Logger(slog.LevelInfo)
			file := filepath.Join(opts.DataPath, "nsqd.dat")
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			damaged := c.damage(data)
			if damaged == nil {
				err = os.Remove(file)
			} else {
				err = os.WriteFile(file, damaged, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}

			n := nsqtest.Start(t, opts)
			alone, _ := n.TopicCounts("alone")
			channel, _ := n.ChannelCounts("t", "c")
			later, _ := n.ChannelCounts("later", "c")
			lost := 5 - alone.Depth + 4 - channel.Depth + 2 - int64(later.Deferred)
			t.Logf("%s: %d of 11 messages lost", name, lost)
			if lost != 0 {
				t.Errorf("topic alone has %+v, channel t:c %+v, channel later:c %+v", alone, channel, later)
			}
			topics, err := savedTopics(opts.DataPath)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, t := range topics {
				names = append(names, t)
			}
			slices.Sort(names)
			if got := fmt.Sprint(names); got != c.topics {
				t.Errorf("after the start there are %s, want %s", got, c.topics)
			}
			if !strings.Contains(log.String(), c.log) {
				t.Errorf("the log does not say %q:\n%s", c.log, log.String())
			}
			aside, err := os.ReadFile(file + ".bad")
			if damaged != nil && !bytes.Equal(aside, damaged) {
				t.Errorf("set aside was %q, %v, want %q", aside, err, damaged)
			}
		})
	}
}

// A start that fails has not used up what can still be read of a damaged file.
func TestFailedStartLeavesDamagedMetadata(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
	file := filepath.Join(opts.DataPath, "nsqd.dat")
	writeFile(t, file, `{"topics":[{"name":"t","paused":true,"channels":[{"name":"c","paused":true}]},`)
	inTheWay := filepath.Join(opts.DataPath, "t:c.diskqueue.meta.dat")
	makeDir(t, inTheWay)
	for range 2 {
		if _, err := nsqd.New(opts); err == nil {
			t.Fatal("it started although a queue could not be read")
		}
	}
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	nsqtest.Start(t, opts)
	if topics, err := savedTopics(opts.DataPath); err != nil || topics["t"] != "t* c*" {
		t.Errorf("in the end there are %q, %v", topics, err)
	}
}

func TestMetadataSetAsideIsNotOverwritten(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
	file := filepath.Join(opts.DataPath, "nsqd.dat")
	for i, name := range []string{file + ".bad", file + ".1.bad", file + ".2.bad"} {
		writeFile(t, file, fmt.Sprint("damage ", i))
		nsqtest.Start(t, opts).Stop()
		if data, err := os.ReadFile(name); err != nil || string(data) != fmt.Sprint("damage ", i) {
			t.Errorf("%s holds %q, %v", name, data, err)
		}
	}
}

// A whole nsqd.dat does not name a topic or channel whose creation was not yet
// written at a crash, nor one whose deletion was not completed.
func TestQueuesThatMetadataDoesNotName(t *testing.T) {
	opts := fillDataPath(t)
	in := func(name string) string { return filepath.Join(opts.DataPath, name) }
	writeFile(t, in("nsqd.dat"), `{"topics":[{"name":"t","paused":true,"channels":null}],"version":"1.3.0"}`)
	rest := []string{"t:deleted.diskqueue.meta.dat", "deleted.diskqueue.meta.dat", "deleted:c.diskqueue.meta.dat"}
	for _, name := range rest {
		writeFile(t, in(name), "0\n3,0\n3,0\n")
	}
	foreign := []string{"no good.diskqueue.meta.dat", "a:b:c.diskqueue.meta.dat", "e#ephemeral.diskqueue.000000.dat", "t:.deferred.dat"}
	for _, name := range foreign {
		writeFile(t, in(name), "x")
	}
	var log loggingtest.Buffer
	opts.Logger = log.Logger(slog.LevelInfo)
	n := nsqtest.Start(t, opts)
	topics, err := savedTopics(opts.DataPath)
	if got, want := fmt.Sprint(topics), "map[alone:alone later:later c t:t* c]"; err != nil || got != want {
		t.Errorf("loaded %s, %v, want %s", got, err, want)
	}
	if counts, _ := n.ChannelCounts("t", "c"); counts.Depth != 4 {
		t.Errorf("t:c has %+v", counts)
	}
	for _, name := range rest {
		if _, err := os.Stat(in(name)); !os.IsNotExist(err) {
			t.Errorf("%s, the rest of a deletion, is still there: %v", name, err)
		}
	}
	for _, name := range foreign {
		if _, err := os.Stat(in(name)); err != nil {
			t.Errorf("%s, which is not ours, is gone: %v", name, err)
		}
	}
	for _, queue := range []string{"alone", "t:c", "later:c"} {
		if !strings.Contains(log.String(), `level=WARN msg="NSQ: a queue that nsqd.dat does not name has messages on disk and was loaded" queue=`+queue) {
			t.Errorf("the log does not say that %s was loaded:\n%s", queue, log.String())
		}
	}
}

// What a failed deletion leaves must not become part of a new channel.
func TestFailedDeletionKeepsTheNameFromUse(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	for name, c := range map[string]struct{ file, remove, create string }{
		"channel": {"t:c.deferred.dat", "/channel/delete?topic=t&channel=c", "/channel/create?topic=t&channel=c"},
		"topic":   {"t.deferred.dat", "/topic/delete?topic=t", "/topic/create?topic=t"},
	} {
		a.post("/topic/create?topic=t")
		a.post("/channel/create?topic=t&channel=c")
		stuck := filepath.Join(opts.DataPath, c.file)
		makeDir(t, stuck)
		writeFile(t, filepath.Join(stuck, "x"), "") // so that it cannot be removed
		a.want(503, `{"message":"NOT_SAVED"}`, "POST", c.remove, "")
		a.want(503, `{"message":"DISK_ERROR"}`, "POST", c.create, "")
		consumer := dialRaw(t, n)
		consumer.send(wire.AppendSub(nil, "t", "c"))
		if f := consumer.next(); !strings.Contains(f.data, "was deleted and cannot be created again before its files are removed") || !strings.Contains(f.data, stuck) {
			t.Errorf("%s: SUB answered %q", name, f.data)
		}
		if err := os.RemoveAll(stuck); err != nil {
			t.Fatal(err)
		}
		a.post(c.create)
	}
}

// A channel whose disk fails gets its messages later, the others at once.
func TestFailingChannelHoldsUpNoOther(t *testing.T) {
	opts := nsqtest.Options(t)
	opts.MemQueueSize = 0
	opts.Logger = slog.New(slog.DiscardHandler) // it complains, as it should
	n := nsqtest.Start(t, opts)
	a := newAPI(t, n)
	a.post("/topic/create?topic=t")
	channels := []string{"a", "bad", "c"}
	for _, channel := range channels {
		a.post("/channel/create?topic=t&channel=" + channel)
	}
	inTheWay := filepath.Join(opts.DataPath, "t:bad.diskqueue.000000.dat")
	makeDir(t, inTheWay)
	const messages = nsqd.MaxLent + 1 // the last one the failing channel cannot keep
	want := bodies("m", messages)
	dialRaw(t, n).mpub("t", want...)
	for _, channel := range []string{"a", "c"} {
		nsqtest.Eventually(t, channel+" has all messages", func() bool {
			counts, _ := n.ChannelCounts("t", channel)
			return counts.Depth == messages
		})
	}
	nsqtest.Eventually(t, "the failing channel has what it may keep", func() bool { // its turn may be the last
		counts, _ := n.ChannelCounts("t", "bad")
		return counts == (nsqd.Counts{Depth: nsqd.MaxLent})
	})
	if err := os.Remove(inTheWay); err != nil {
		t.Fatal(err)
	}
	for _, channel := range channels {
		c := dialRaw(t, n)
		c.consume("t", channel, messages)
		for _, body := range want {
			c.fin(c.wantMessage(body, 1))
		}
		c.sync()
		if counts, _ := n.ChannelCounts("t", channel); counts != (nsqd.Counts{}) {
			t.Errorf("%s still has %+v", channel, counts)
		}
	}
}
