package nsqd_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
	"github.com/seed893f581e/nsq/internal/nsqtest"
	"github.com/seed893f581e/nsq/internal/stats"
	"github.com/seed893f581e/nsq/internal/wire"
	"github.com/seed893f581e/nsq/nsqd"
)

// What lies in the log before the damage: in each of its files messages that were
// published one by one, the first also has those that are deferred, in flight, requeued
// with a delay, and of one MPUB.
const (
	perLogFile  = 60
	logFiles    = 3
	deferredLog = 10
	inFlightLog = 12
	requeuedLog = 3 // of those in flight
	mpubLog     = 30
)

func logBody(i int) string {
	return fmt.Sprintf("%04d ", i) + strings.Repeat(string(rune('a'+i%26)), 150+i%97)
}

func logBodies(from, to int) (list []string) {
	for i := from; i < to; i++ {
		list = append(list, logBody(i))
	}
	return list
}

// The numbers of what is not published one by one.
const (
	firstDeferred = 1000
	firstOfMPub   = 2000
)

// A killedLog is the data path of a killed broker with the log of topic t.
type killedLog struct {
	t     *testing.T
	dir   string
	files []string // of the log
}

// killLog fills the log of a topic, in a process that is killed, several times.
func killLog(t *testing.T, d nsqd.Durability) (dir string) {
	o := childOptions{DataPath: t.TempDir(), Durability: d}
	for i := range logFiles {
		b := startChild(t, o)
		p, c := b.dial(), b.dial()
		if i == 0 {
			c.sub("t", "c")
		}
		for _, body := range logBodies(i*perLogFile, (i+1)*perLogFile) {
			p.pub("t", body)
		}
		if i == 0 {
			c.rdy(inFlightLog)
			var list []wire.Message
			for range inFlightLog {
				list = append(list, c.message())
			}
			c.rdy(0)
			for _, m := range list[:requeuedLog] {
				c.req(m, 100*time.Millisecond)
			}
			c.sync()
			p.mpub("t", logBodies(firstOfMPub, firstOfMPub+mpubLog)...)
			for _, body := range logBodies(firstDeferred, firstDeferred+deferredLog) {
				p.dpub("t", 100*time.Millisecond, body)
			}
		}
		b.kill()
	}
	return o.DataPath
}

func openKilledLog(t *testing.T, dir string) *killedLog {
	files, err := filepath.Glob(filepath.Join(dir, "store", "topics", "*-t", "log", "*.log"))
	if err != nil || len(files) != logFiles {
		t.Fatalf("the log is %q, %v", files, err)
	}
	return &killedLog{t, dir, files}
}

func (l *killedLog) change(name string, change func(data []byte) []byte) {
	data, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, change(data), 0o600)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// flip flips a bit of a message, wherever the file has it.
func (l *killedLog) flip(file, message int) {
	l.change(l.files[file], func(data []byte) []byte {
		body := []byte(logBody(message))
		for i := bytes.Index(data, body); i >= 0; i = bytes.Index(data, body) {
			data[i+20] ^= 4
		}
		return data
	})
}

// cut cuts a file within a message.
func (l *killedLog) cut(file, message int) {
	l.change(l.files[file], func(data []byte) []byte {
		return data[:bytes.LastIndex(data, []byte(logBody(message)))+20]
	})
}

func (l *killedLog) empty(name string) { l.change(name, func([]byte) []byte { return nil }) }

func (l *killedLog) remove(name string) {
	if err := os.RemoveAll(name); err != nil {
		l.t.Fatal(err)
	}
}

func (l *killedLog) store(name ...string) string {
	return filepath.Join(append([]string{l.dir, "store"}, name...)...)
}

func (l *killedLog) meta() string { return filepath.Join(filepath.Dir(l.files[0]), "..", "meta.json") }

// index calls f with every file of the index.
func (l *killedLog) index(f func(name string)) {
	entries, err := os.ReadDir(l.store("index"))
	if err != nil {
		l.t.Fatal(err)
	}
	for _, e := range entries {
		f(l.store("index", e.Name()))
	}
}

// How what is lost is counted.
const (
	exactly = iota
	twice   // as the log had it twice
	atMost  // where nothing says that it was there
)

// The damages, what each must cost, no more and no less, and how that is counted.
var logDamages = []struct {
	name    string
	do      func(l *killedLog) (lost []string)
	counted int
}{
	{"nothing", func(*killedLog) []string { return nil }, exactly},
	{"a bit of a waiting message", func(l *killedLog) []string { l.flip(0, 40); return logBodies(40, 41) }, exactly},
	{"a bit of a message in flight", func(l *killedLog) []string { l.flip(0, 5); return logBodies(5, 6) }, exactly},
	{"a bit of a deferred message", func(l *killedLog) []string {
		l.flip(0, firstDeferred+3)
		return logBodies(firstDeferred+3, firstDeferred+4)
	}, exactly},
	{"a bit of a requeued message", func(l *killedLog) []string { l.flip(0, 1); return logBodies(1, 2) }, twice},
	{"a bit of an MPUB", func(l *killedLog) []string {
		l.flip(0, firstOfMPub+7)
		return logBodies(firstOfMPub, firstOfMPub+mpubLog)
	}, exactly},
	{"bits in every file", func(l *killedLog) (lost []string) {
		for file, message := range []int{50, 100, 150} {
			l.flip(file, message)
			lost = append(lost, logBody(message))
		}
		return lost
	}, exactly},
	{"a file that is cut", func(l *killedLog) []string { l.cut(1, 90); return logBodies(90, 120) }, exactly},
	{"the last file that is cut", func(l *killedLog) []string { l.cut(2, 170); return logBodies(170, 180) }, atMost},
	{"a file that is empty", func(l *killedLog) []string { l.empty(l.files[1]); return logBodies(60, 120) }, exactly},
	{"a file that is gone", func(l *killedLog) []string { l.remove(l.files[1]); return logBodies(60, 120) }, atMost},
	{"meta.json that is empty", func(l *killedLog) []string { l.empty(l.meta()); return nil }, exactly},
	{"meta.json that is gone", func(l *killedLog) []string { l.remove(l.meta()); return nil }, exactly},
	{"an index that is gone", func(l *killedLog) []string { l.remove(l.store("index")); return nil }, exactly},
	{"an index of empty files", func(l *killedLog) []string { l.index(l.empty); return nil }, exactly},
	{"an index with bits that are flipped", func(l *killedLog) []string {
		l.index(func(name string) {
			l.change(name, func(data []byte) []byte {
				for i := range len(data) / 50 {
					data[i*50] ^= 16
				}
				return data
			})
		})
		return nil
	}, exactly},
	{"nsqd.dat that is empty", func(l *killedLog) []string { l.empty(filepath.Join(l.dir, "nsqd.dat")); return nil }, exactly},
}

// TestDamageOfDurableTopics damages what a killed broker has of a durable topic, in one
// way after the other, starts a broker and consumes: all that is not damaged comes as it
// was published, and what is lost is counted and logged.
func TestDamageOfDurableTopics(t *testing.T) {
	if isChildBroker(t) {
		return
	}
	for _, d := range []nsqd.Durability{nsqd.Disk, nsqd.Fsync} {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			killed := killLog(t, d)
			for _, damage := range logDamages {
				t.Run(damage.name, func(t *testing.T) {
					nsqtest.Parallel(t)
					opts := nsqtest.Options(t)
					opts.DataPath = filepath.Join(t.TempDir(), "data")
					opts.Durability = d
					if err := os.CopyFS(opts.DataPath, os.DirFS(killed)); err != nil {
						t.Fatal(err)
					}
					lost := damage.do(openKilledLog(t, opts.DataPath))
					var log loggingtest.Buffer
					opts.Logger = log.Logger(slog.LevelWarn)
					n := nsqtest.Start(t, opts)
					consumeDamagedLog(t, n, lost)
					wantDamageOfLog(t, n, log.String(), lost, damage.counted)
				})
			}
		})
	}
}

// consumeDamagedLog takes what is left and compares it with what must be.
func consumeDamagedLog(t *testing.T, n *nsqtest.NSQD, lost []string) {
	t.Helper()
	missing := make(map[string]bool)
	for _, body := range slices.Concat(logBodies(0, logFiles*perLogFile), logBodies(firstOfMPub, firstOfMPub+mpubLog),
		logBodies(firstDeferred, firstDeferred+deferredLog)) {
		missing[body] = !slices.Contains(lost, body)
	}
	c := dialRaw(t, n)
	c.consume("t", "c", 100)
	for left := len(missing) - len(lost); left > 0; left-- {
		m := c.message()
		if !missing[string(m.Body)] {
			t.Fatalf("got %.20q, which was not published, is lost, or came before", m.Body)
		}
		missing[string(m.Body)] = false
		c.fin(m)
	}
	c.sync()
	wantCounts(t, n, "t", "c", nsqd.Counts{})
	dialRaw(t, n).pub("t", "after") // and it goes on
	c.fin(c.wantMessage("after", 1))
}

// wantDamageOfLog checks what is told of messages that are lost.
func wantDamageOfLog(t *testing.T, n *nsqtest.NSQD, log string, lost []string, counted int) {
	t.Helper()
	s := newAPI(t, n).stats("")
	if s.Damage == nil {
		s.Damage = new(stats.Damage)
	}
	most := int64(len(lost))
	if counted == twice {
		most *= 2
	}
	if s.Damage.Records > most || counted != atMost && s.Damage.Records < most || s.Damage.Records > 0 != (s.Damage.Ranges > 0) {
		t.Errorf("counted are %+v, lost are %d messages", *s.Damage, len(lost))
	}
	for _, topic := range s.Topics {
		if topic.Damage != nil && *topic.Damage != *s.Damage {
			t.Errorf("counted are %+v of topic %s, %+v of all", *topic.Damage, topic.Name, *s.Damage)
		}
	}
	if told := strings.Contains(log, "a log is damaged"); told != (s.Damage.Ranges > 0) {
		t.Errorf("counted are %+v, and logged is %s", *s.Damage, log)
	}
}
