package history

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"runtime"
	"slices"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

// one is a round of one key.
func one(k Key, s Sample) iter.Seq2[Key, Sample] { return maps.All(map[Key]Sample{k: s}) }

func wantPoints(t *testing.T, what string, got, want []float64) {
	t.Helper()
	same := func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func last(list []float64, n int) []float64 { return list[len(list)-n:] }

func TestPointsAreOfTenSeconds(t *testing.T) {
	nan := math.NaN()
	s := NewStore(start, 0)
	k := Key{Topic: "t", Channel: "c"}
	at := func(d time.Duration) time.Time { return start.Add(d) }
	s.Add(at(0), one(k, Sample{Depth: 1, Publish: nan, Finish: nan}))
	s.Add(at(11*time.Second), one(k, Sample{Depth: 5, InFlight: 1, Deferred: 2, Publish: 10, Finish: nan}))
	s.Add(at(13*time.Second), one(k, Sample{Depth: 4, InFlight: 2, Deferred: 3, Publish: 20, Finish: 7}))
	s.Add(at(15*time.Second), one(k, Sample{Depth: 3, InFlight: 3, Deferred: 4, Publish: nan, Finish: 9}))
	s.Add(at(41*time.Second), one(k, Sample{Depth: 2, Publish: math.Inf(1), Finish: 1}))

	got := s.Series(at(45*time.Second), k)
	wantPoints(t, "the last value of a step, and gaps", last(got.Depth, 6), []float64{nan, 1, 3, nan, nan, 2})
	wantPoints(t, "in flight", last(got.InFlight, 4), []float64{3, nan, nan, 0})
	wantPoints(t, "deferred", last(got.Deferred, 4), []float64{4, nan, nan, 0})
	wantPoints(t, "the mean of what is known of a rate", last(got.Publish, 5), []float64{nan, 15, nan, nan, nan})
	wantPoints(t, "finish rate", last(got.Finish, 5), []float64{nan, 8, nan, nan, 1})
	if want := at(-3550 * time.Second); !got.From.Equal(want) || got.Step != Step || len(got.Depth) != Steps {
		t.Errorf("%d points from %v in steps of %v, want %d from %v", len(got.Depth), got.From, got.Step, Steps, want)
	}
	wantPoints(t, "later, the last points are not known", last(s.Series(at(65*time.Second), k).Depth, 3), []float64{2, nan, nan})
	wantPoints(t, "another key", last(s.Series(at(45*time.Second), Key{Topic: "t"}).Depth, 1), []float64{nan})
}

func TestClockThatGoesBack(t *testing.T) {
	s := NewStore(start, 0)
	s.Add(start.Add(time.Minute), one(Key{}, Sample{Depth: 1}))
	s.Add(start.Add(-time.Minute), one(Key{}, Sample{Depth: 2}))
	wantPoints(t, "the last point", last(s.Series(start.Add(time.Minute), Key{}).Depth, 2), []float64{math.NaN(), 2})
}

// Whatever steps were filled and skipped, the ring holds what a plain map of
// steps does.
func TestRingKeepsTheLastHour(t *testing.T) {
	for _, gap := range []int{1, 2, 7, 100, Steps - 1, Steps, Steps + 1, 3 * Steps} {
		s := NewStore(start, 0)
		model := make(map[int]float64)
		step := 5
		for i := range 3*Steps/gap + 5 {
			now := start.Add(time.Duration(step) * Step)
			s.Add(now, one(Key{}, Sample{Depth: int64(i)}))
			model[step] = float64(i)
			want := make([]float64, 0, Steps)
			for n := step - Steps + 1; n <= step; n++ {
				v, ok := model[n]
				if !ok {
					v = math.NaN()
				}
				want = append(want, v)
			}
			wantPoints(t, fmt.Sprintf("every %d steps, after %d", gap, i), s.Series(now, Key{}).Depth, want)
			step += gap
		}
	}
}

func TestSparkIsTheMeanOfItsPart(t *testing.T) {
	nan := math.NaN()
	s := NewStore(start, 0)
	for i := range 9 { // a minute and a half
		s.Add(start.Add(time.Duration(i)*Step), one(Key{}, Sample{Depth: int64(i), Finish: nan}))
	}
	now := start.Add(8*Step + time.Second)
	wantPoints(t, "points of a minute", last(s.Spark(now, Key{}, Depth, 60), 3), []float64{nan, 1, 5.5})
	hour := start.Add(time.Hour - time.Second)
	wantPoints(t, "points from the start, after an hour", s.SparkFromStart(hour, Key{}, Depth, 60)[:3], []float64{2.5, 7, nan})
	wantPoints(t, "a minute later", s.SparkFromStart(hour.Add(time.Minute), Key{}, Depth, 60)[:2], []float64{7, nan})
	wantPoints(t, "points of a step, as there are no more", s.SparkFromStart(now, Key{}, Depth, 9), []float64{0, 1, 2, 3, 4, 5, 6, 7, 8})
	wantPoints(t, "points of two steps, back to the start", s.SparkFromStart(now, Key{}, Depth, 6), []float64{nan, 0, 1.5, 3.5, 5.5, 7.5})
	wantPoints(t, "points of a step", last(s.Spark(now, Key{}, Depth, Steps), 3), []float64{6, 7, 8})
	wantPoints(t, "a value that is not known", last(s.Spark(now, Key{}, Finish, 60), 1), []float64{nan})
	wantPoints(t, "a key that is not known", last(s.Spark(now, Key{Node: "n"}, Depth, 60), 1), []float64{nan})
}

func TestStoreIsBounded(t *testing.T) {
	s := NewStore(start, 3)
	round := func(names ...string) iter.Seq2[Key, Sample] {
		return func(yield func(Key, Sample) bool) {
			for _, name := range names {
				if !yield(Key{Topic: name}, Sample{Depth: 1}) {
					return
				}
			}
		}
	}
	s.Add(start, round("a", "b", "c", "d", "e"))
	if s.Len() != 3 || s.LeftOut() != 2 {
		t.Errorf("%d series, %d left out, want 3 and 2", s.Len(), s.LeftOut())
	}
	s.Add(start.Add(time.Minute), round("b", "c"))
	if s.Len() != 3 || s.LeftOut() != 0 {
		t.Errorf("%d series, %d left out, want 3 and 0", s.Len(), s.LeftOut())
	}
	s.Add(start.Add(time.Hour-time.Second), round("d"))
	if got := s.Spark(start.Add(time.Hour-time.Second), Key{Topic: "a"}, Depth, Steps)[0]; got != 1 {
		t.Errorf("the deleted topic's point of an hour ago: %v, want 1", got)
	}
	s.Add(start.Add(time.Hour), round("d", "b"))
	if s.Len() != 3 || s.LeftOut() != 0 {
		t.Errorf("when the deleted topic was forgotten: %d series, %d left out, want 3 and 0", s.Len(), s.LeftOut())
	}
	s.Add(start.Add(5*time.Hour), round())
	if s.Len() != 0 {
		t.Errorf("%d series when nothing was added for hours, want none", s.Len())
	}
}

// The figures of the package comment.
func TestMemory(t *testing.T) {
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	s := NewStore(start, 0)
	const topics, channels = 100, 100
	round := func(yield func(Key, Sample) bool) {
		for i := range topics {
			for j := range channels {
				if !yield(Key{Topic: fmt.Sprint("topic-", i), Channel: fmt.Sprint("channel-", j)}, Sample{}) {
					return
				}
			}
		}
	}
	for i := range Steps / 36 {
		s.Add(start.Add(time.Duration(i*36)*Step), round)
	}
	s.Add(start.Add(time.Hour-time.Second), round)
	perSeries := (heap() - before) / (topics * channels)
	t.Logf("%d series of an hour: %d bytes each", s.Len(), perSeries)
	if perSeries < 9200 || perSeries > 10200 {
		t.Errorf("a series takes %d bytes, the package comment says 9.7 KB", perSeries)
	}
	runtime.KeepAlive(s)
}

func BenchmarkAdd(b *testing.B) {
	keys := make([]Key, 2500)
	for i := range keys {
		keys[i] = Key{Topic: fmt.Sprint("topic-", i%500), Channel: fmt.Sprint("channel-", i)}
	}
	s := NewStore(start, 0)
	now := start
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(2 * time.Second)
		s.Add(now, func(yield func(Key, Sample) bool) {
			for _, k := range keys {
				if !yield(k, Sample{Depth: 1, Publish: 2}) {
					return
				}
			}
		})
	}
}

func BenchmarkSpark(b *testing.B) {
	s := NewStore(start, 0)
	for i := range Steps {
		s.Add(start.Add(time.Duration(i)*Step), one(Key{}, Sample{Depth: int64(i)}))
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Spark(start.Add(time.Hour), Key{}, Depth, 60)
	}
}
