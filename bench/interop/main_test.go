package interop_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed893f581e/nsq/bench/interop"
	"github.com/seed893f581e/nsq/bench/interop/gonsq"
	"github.com/seed893f581e/nsq/bench/interop/ours"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// Both programs must stay the same.
func TestProgramsDifferInTheirImportOnly(t *testing.T) {
	files, err := filepath.Glob("gonsq/*.go")
	must(t, err)
	for _, file := range files {
		name := filepath.Base(file)
		if name == "doc.go" {
			continue
		}
		theirs, err := os.ReadFile(file)
		must(t, err)
		want := bytes.Replace(theirs, []byte("\npackage gonsq\n"), []byte("\npackage ours\n"), 1)
		want = bytes.Replace(want, []byte(`"github.com/nsqio/go-nsq"`), []byte(`"github.com/seed893f581e/nsq/nsq"`), 1)
		if got, err := os.ReadFile("ours/" + name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("ours/%s is not what go generate makes (error: %v)", name, err)
		}
	}
}

// A pair is what a test runs with.
type pair struct {
	name               string
	producer, consumer interop.Library
}

var pairs = []pair{
	{"go-nsq to go-nsq", gonsq.Library{}, gonsq.Library{}},
	{"go-nsq to ours", gonsq.Library{}, ours.Library{}},
	{"ours to go-nsq", ours.Library{}, gonsq.Library{}},
	{"ours to ours", ours.Library{}, ours.Library{}},
}

// A scenario is a test with one of the pairs.
type scenario struct {
	*testing.T
	pair

	mu     sync.Mutex
	events []string
}

// inEveryPair runs a scenario with all pairs of libraries. All must note the
// same, namely what is wanted, one event a line.
func inEveryPair(t *testing.T, want string, run func(s *scenario)) {
	t.Helper()
	for _, p := range pairs {
		runPair(t, p, want, run)
	}
}

// inBoth runs a scenario with each of the libraries, which must note the same,
// namely what is wanted.
func inBoth(t *testing.T, want string, run func(s *scenario)) {
	t.Helper()
	runPair(t, pair{"go-nsq", gonsq.Library{}, gonsq.Library{}}, want, run)
	runPair(t, pair{"ours", ours.Library{}, ours.Library{}}, want, run)
}

func runPair(t *testing.T, p pair, want string, run func(s *scenario)) {
	t.Helper()
	t.Run(p.name, func(t *testing.T) {
		s := &scenario{T: t, pair: p}
		run(s)
		if got, want := s.noted(), strings.TrimSpace(want); got != want {
			t.Errorf("got:\n%s\nwant:\n%s", got, want)
		}
	})
}

// note adds an event to the result.
func (s *scenario) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, fmt.Sprintf(format, args...))
}

func (s *scenario) noted() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.events, "\n")
}

// sort makes events from here on independent of their order.
func (s *scenario) sort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.events)
}

// await waits until so many events are noted.
func (s *scenario) await(n int) {
	s.Helper()
	// go-nsq may leave one of several connections without RDY for five seconds.
	nsqtest.EventuallyWithin(s, 30*time.Second, fmt.Sprint(n, " events"), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.events) >= n
	})
}

func (s *scenario) newProducer(addr string) interop.Producer {
	s.Helper()
	p, err := s.producer.NewProducer(addr, interop.Setup{})
	must(s, err)
	s.Cleanup(p.Stop)
	return p
}

// newConsumer returns a consumer with one handler, not yet connected; it is
// stopped at the end.
func (s *scenario) newConsumer(topic string, options map[string]any, h interop.Handler) interop.Consumer {
	s.Helper()
	r, err := s.consumer.NewConsumer(topic, "ch", interop.Setup{Options: options}, h, 1)
	must(s, err)
	s.Cleanup(func() { s.stop(r) })
	return r
}

func (s *scenario) stop(r interop.Consumer) {
	s.Helper()
	r.Stop()
	select {
	case <-r.Stopped():
	case <-time.After(20 * time.Second):
		s.Error("the consumer did not stop")
	}
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
