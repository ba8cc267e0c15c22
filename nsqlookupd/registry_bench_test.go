package nsqlookupd

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fleet is how many nsqd register how many topics each, and whether all have the
// same topics.
type fleet struct {
	producers, topics int
	same              bool
	channels          int // of each topic
}

func (f fleet) String() string {
	kind := "different"
	if f.same {
		kind = "same"
	}
	return fmt.Sprintf("producers=%d/topics=%d/channels=%d/%s", f.producers, f.topics, f.channels, kind)
}

func (f fleet) registrations() int { return f.producers * f.topics * (1 + f.channels) }

// topic is the name of a producer's topic.
func (f fleet) topic(p, t int) string {
	if f.same {
		return fmt.Sprintf("topic-of-a-usual-length-%d", t)
	}
	return fmt.Sprintf("topic-of-a-usual-length-%d-%d", p, t)
}

// connect identifies all producers.
func (f fleet) connect(db *database) []*producer {
	producers := make([]*producer, f.producers)
	for i := range producers {
		producers[i] = db.identify(testInfo(i, fmt.Sprintf("host-%d.example.com", i)))
	}
	return producers
}

// register registers all topics of all producers, interleaved as if all had
// connected at once, and returns how long each registration took.
func (f fleet) register(tb testing.TB, db *database, producers []*producer) pauses {
	names := make([]string, 0, f.producers)
	took := make(pauses, 0, f.registrations())
	for t := range f.topics {
		names = names[:0]
		for p := range producers {
			names = append(names, f.topic(p, t))
		}
		for p, producer := range producers {
			for c := range max(1, f.channels) {
				channel := ""
				if f.channels > 0 {
					channel = channelNames[c]
				}
				start := time.Now()
				err := db.register(producer, names[p], channel)
				took = append(took, time.Since(start))
				if err != nil {
					tb.Fatal(err)
				}
			}
		}
	}
	return took
}

var channelNames = []string{"archive", "metrics", "search"}

// registerBeside registers the fleet in a database and, at the same time, in one
// that nobody else uses: what takes long there is the machine's doing.
func (f fleet) registerBeside(tb testing.TB, db *database) (took, alone pauses) {
	other := newDatabase(testTimeout, testLifetime)
	var wg sync.WaitGroup
	wg.Go(func() { alone = f.register(tb, other, f.connect(other)) })
	took = f.register(tb, db, f.connect(db))
	wg.Wait()
	return took, alone
}

// pauses are how long single registrations took.
type pauses []time.Duration

func (p pauses) max() time.Duration { return slices.Max(p) }

// report sorts and reports.
func (p pauses) report(b *testing.B) {
	slices.Sort(p)
	b.ReportMetric(float64(p[len(p)/2].Nanoseconds()), "ns/median")
	b.ReportMetric(float64(p[len(p)*999/1000].Microseconds()), "µs/p99.9")
	b.ReportMetric(float64(p[len(p)-1].Microseconds()), "µs/max")
}

// pollers ask for all answers again and again until stop, and count them.
type pollers struct {
	wg    sync.WaitGroup
	stop  context.CancelFunc
	polls atomic.Int64
}

func startPollers(db *database, topic string) *pollers {
	ctx, stop := context.WithCancel(context.Background())
	p := &pollers{stop: stop}
	for _, poll := range []func() answer{db.nodes, db.debug, db.topics, func() answer { return db.channels(topic) }} {
		p.wg.Go(func() {
			for ctx.Err() == nil {
				poll().writeTo(untilDone{ctx})
				p.polls.Add(1)
			}
		})
	}
	p.wg.Go(func() {
		for ctx.Err() == nil {
			db.lookup(topic).JSON()
			p.polls.Add(1)
		}
	})
	return p
}

func (p *pollers) end() {
	p.stop()
	p.wg.Wait()
}

// untilDone is a client that reads all and goes away.
type untilDone struct{ ctx context.Context }

func (w untilDone) Write(b []byte) (int, error) { return len(b), w.ctx.Err() }

var fleets = []fleet{
	{producers: 1000, topics: 1000, same: true},
	{producers: 1000, topics: 1000, same: false},
	{producers: 1000, topics: 1000, same: true, channels: 2},
}

// BenchmarkFleetRegisters registers a fleet while all answers are asked for all
// the time, and reports how long single registrations took, also in a database
// that nobody else uses.
func BenchmarkFleetRegisters(b *testing.B) {
	for _, f := range fleets {
		b.Run(f.String(), func(b *testing.B) {
			for b.Loop() {
				db := newDatabase(testTimeout, testLifetime)
				pollers := startPollers(db, f.topic(0, 0))
				took, alone := f.registerBeside(b, db)
				pollers.end()
				took.report(b)
				b.ReportMetric(float64(alone.max().Microseconds()), "µs/max-alone")
				b.ReportMetric(float64(pollers.polls.Load()), "polls")
			}
		})
	}
}

// BenchmarkFleetMemory reports what a registered fleet takes.
func BenchmarkFleetMemory(b *testing.B) {
	for _, f := range fleets {
		b.Run(f.String(), func(b *testing.B) {
			for b.Loop() {
				before := heapInUse()
				db := newDatabase(testTimeout, testLifetime)
				producers := f.connect(db)
				f.register(b, db, producers)
				b.ReportMetric(float64(heapInUse()-before)/float64(f.registrations()), "B/registration")
				runtime.KeepAlive(db)
			}
		})
	}
}

func heapInUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkFleetAnswers is how long each answer takes, and how large it is.
func BenchmarkFleetAnswers(b *testing.B) {
	for _, f := range fleets {
		db := newDatabase(testTimeout, testLifetime)
		f.register(b, db, f.connect(db))
		topic := f.topic(0, 0)
		for name, answer := range map[string]func() answer{
			"nodes":  db.nodes,
			"debug":  db.debug,
			"topics": db.topics,
			"lookup": func() answer { return bodyAnswer(db.lookup(topic).JSON()) },
		} {
			b.Run(f.String()+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				var n counter
				for b.Loop() {
					n = 0
					answer().writeTo(&n)
				}
				b.ReportMetric(float64(n), "bytes")
			})
		}
	}
}

type bodyAnswer []byte

func (a bodyAnswer) writeTo(w io.Writer) error {
	_, err := w.Write(a)
	return err
}

type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// BenchmarkLeave is how long it takes a producer of a registered fleet to
// disconnect, and a topic to be deleted. A snapshot is taken before each.
func BenchmarkLeave(b *testing.B) {
	for _, f := range fleets {
		for _, leave := range []struct {
			name string
			of   int
			do   func(db *database, producers []*producer, n int)
		}{
			{"disconnect", f.producers, func(db *database, producers []*producer, n int) { db.disconnect(producers[n]) }},
			{"delete", f.topics, func(db *database, _ []*producer, n int) { db.deleteTopic(f.topic(0, n)) }},
		} {
			b.Run(f.String()+"/"+leave.name, func(b *testing.B) {
				var db *database
				var producers []*producer
				var took pauses
				for n := 0; b.Loop(); n++ {
					if n%leave.of == 0 {
						b.StopTimer()
						db = newDatabase(testTimeout, testLifetime)
						producers = f.connect(db)
						f.register(b, db, producers)
						b.StartTimer()
					}
					db.snapshot()
					start := time.Now()
					leave.do(db, producers, n%leave.of)
					took = append(took, time.Since(start))
				}
				took.report(b)
			})
		}
	}
}

// BenchmarkRegisterBeside reports how long a registration takes while something
// else goes on that is much: a producer with a million topics disconnects, a topic
// of many producers is deleted, 20,000 wait for a topic that changes.
func BenchmarkRegisterBeside(b *testing.B) {
	for name, prepare := range map[string]func(b *testing.B, db *database) (do func()){
		"disconnect": func(b *testing.B, db *database) func() {
			f := fleet{producers: 1, topics: maxProducerRegistrations}
			producers := f.connect(db)
			f.register(b, db, producers)
			return func() { db.disconnect(producers[0]) }
		},
		"delete": func(b *testing.B, db *database) func() {
			f := fleet{producers: 100_000, topics: 1, channels: 3, same: true}
			f.register(b, db, f.connect(db))
			return func() { db.deleteTopic(f.topic(0, 0)) }
		},
		"waiting": benchmarkWaiting,
	} {
		b.Run(name, func(b *testing.B) {
			var took pauses
			for b.Loop() {
				b.StopTimer()
				db := newDatabase(testTimeout, testLifetime)
				do := prepare(b, db)
				b.StartTimer()
				took = append(took, registerWhile(db, do)...)
			}
			took.report(b)
		})
	}
}

// benchmarkWaiting has 20,000 wait for a topic, each again as soon as it has an
// answer, and returns what changes it.
func benchmarkWaiting(b *testing.B, db *database) (do func()) {
	const topic, waiters = "waited-for", 20_000
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	for range waiters {
		wg.Go(func() {
			for ctx.Err() == nil {
				db.wait(ctx, topic, db.lookup(topic).tag)
			}
		})
	}
	b.Cleanup(func() { cancel(); wg.Wait() })
	p := db.identify(testInfo(1, "waited-for"))
	return func() {
		changes := time.NewTicker(50 * time.Millisecond)
		defer changes.Stop()
		for range 10 {
			db.register(p, topic, "")
			<-changes.C
			db.unregister(p, topic, "")
			<-changes.C
		}
	}
}

// registerWhile registers one topic after the other until do returns.
func registerWhile(db *database, do func()) (took pauses) {
	p := db.identify(testInfo(2, "beside"))
	done := make(chan struct{})
	go func() { defer close(done); do() }()
	for i := 0; ; i++ {
		topic := fmt.Sprintf("beside-%d", i)
		start := time.Now()
		db.register(p, topic, "")
		took = append(took, time.Since(start))
		select {
		case <-done:
			return took
		case <-time.After(100 * time.Microsecond):
		}
	}
}
