package interop_test

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/seed893f581e/nsq/bench/interop"
	"github.com/seed893f581e/nsq/internal/nsqtest"
)

// logged is what a library logs.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) add(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

func (l *logged) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lines)
}

var (
	linePrefix = regexp.MustCompile(`^([A-Z]{3})  {1,3}[0-9]+ \[[^]]+\] `)
	quotedText = regexp.MustCompile(`Handler returned error|attempted \d+ times, giving up|exiting backoff|backing off for|backoff timeout expired|truncation possible`)
)

// quoted returns the lines that programs are known to look for, one below the
// other, without what is different each time.
func (l *logged) quoted(addr string) string {
	var all []string
	for _, line := range l.all() {
		if !quotedText.MatchString(line) {
			continue
		}
		line = linePrefix.ReplaceAllString(line, "$1 ")
		line = strings.ReplaceAll(messageID.ReplaceAllString(line, "ID"), addr, "ADDR")
		all = append(all, regexp.MustCompile(`\b\d+\.\d+(m?s)\b`).ReplaceAllString(line, "about $1"))
	}
	return strings.Join(all, "\n")
}

func TestLogOfGivenUpMessage(t *testing.T) {
	inBoth(t, `
WRN (ADDR) max RDY count 3 < consumer max in flight 10, truncation possible
WRN msg ID attempted 2 times, giving up
`, func(s *scenario) {
		opts := nsqtest.Options(s)
		opts.MaxRdyCount = 3
		d := nsqtest.Start(s, opts)
		log := &logged{}
		r, err := s.consumer.NewConsumer("t", "ch", interop.Setup{
			Options: map[string]any{"max_in_flight": 10, "max_attempts": 1},
			Log:     log.add,
		}, interop.Handler{
			Handle: func(m interop.Message) error {
				m.RequeueWithoutBackoff(0)
				return nil
			},
		}, 1)
		must(s, err)
		s.Cleanup(func() { s.stop(r) })
		must(s, r.ConnectToNSQD(d.TCPAddr()))
		must(s, s.newProducer(d.TCPAddr()).Publish("t", []byte("x")))
		awaitEmpty(s, d, "t")
		nsqtest.Eventually(s, "a line", func() bool { return strings.Contains(log.quoted(d.TCPAddr()), "giving up") })
		s.note("%s", log.quoted(d.TCPAddr()))
	})
}
