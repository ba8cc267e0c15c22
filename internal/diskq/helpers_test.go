package diskq

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed893f581e/nsq/internal/logging/loggingtest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// Records of these tests are "record 0123 xxx"; the header is what precedes the
// second space.
const headerLen = len("record 0123")

func plausible(header []byte) bool {
	digits, ok := bytes.CutPrefix(header, []byte("record "))
	return ok && !bytes.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' })
}

func record(i int) string { return fmt.Sprintf("record %04d %s", i, strings.Repeat("x", i%50)) }

func records(from, to int) []string {
	var s []string
	for i := from; i < to; i++ {
		s = append(s, record(i))
	}
	return s
}

// Read appends copies of what Take gives to dst.
func (q *Queue) Read(dst [][]byte, n, maxBytes int) ([][]byte, error) {
	err := q.Take(n, maxBytes, func(rec []byte) { dst = append(dst, bytes.Clone(rec)) })
	return dst, err
}

func testOptions(dir string) Options {
	return Options{
		Dir:             dir,
		MaxBytesPerFile: 1 << 20,
		HeaderLen:       headerLen,
		Plausible:       plausible,
		SyncEvery:       1 << 30, // leave the meta file stale unless a test wants otherwise
		SyncTimeout:     time.Hour,
		OpenFiles:       100,
		Logger:          slog.New(slog.DiscardHandler),
	}
}

// quickOptions are for tests that close many queues: they do not wait for fsync.
func quickOptions(dir string) Options {
	o := testOptions(dir)
	o.disk = &faultyDisk{quick: true}
	return o
}

// openStore returns a store whose sync goroutine runs, openQuiet one that has
// none: there everything is made durable when the test says so.
func openStore(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := OpenStore(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func openQuiet(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := newStore(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newQueue returns a queue in a quiet store of its own.
func newQueue(t testing.TB, name string, o Options) *Queue {
	t.Helper()
	return useQueue(t, openQuiet(t, o), name)
}

func useQueue(t testing.TB, s *Store, name string) *Queue {
	q := s.Queue(name)
	t.Cleanup(func() { q.Close() })
	return q
}

func reopen(t testing.TB, name string, o Options) *Queue {
	t.Helper()
	q := newQueue(t, name, o)
	if err := q.Open(); err != nil {
		t.Fatalf("Open: %v", err)
	}
	return q
}

func batch(recs ...string) *Batch {
	var b Batch
	for _, r := range recs {
		b.End(append(b.Begin(), r...))
	}
	return &b
}

func putAll(t testing.TB, q *Queue, recs []string) {
	t.Helper()
	for _, r := range recs {
		if err := q.Put(batch(r)); err != nil {
			t.Fatalf("Put: %v", err)
		}
	}
}

func putBatch(t testing.TB, q *Queue, recs []string) {
	t.Helper()
	if err := q.Put(batch(recs...)); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

// take reads up to limit records.
func take(t testing.TB, q *Queue, limit int) []string {
	t.Helper()
	recs, err := q.Read(nil, limit, 1<<30)
	if err != nil {
		t.Errorf("Read: %v", err)
	}
	var s []string
	for _, r := range recs {
		s = append(s, string(r))
	}
	return s
}

// takeAll reads until nothing is counted any more.
func takeAll(t testing.TB, q *Queue) []string {
	t.Helper()
	var all []string
	for q.Depth() > 0 {
		recs := take(t, q, 1000)
		if len(recs) == 0 && q.Depth() > 0 {
			t.Fatalf("nothing read, %d counted", q.Depth())
		}
		all = append(all, recs...)
	}
	return all
}

func mustSync(t testing.TB, q *Queue) {
	t.Helper()
	if err := q.sync(); err != nil {
		t.Fatalf("sync: %v", err)
	}
}

func mustClose(t testing.TB, q *Queue) {
	t.Helper()
	if err := q.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func wantDepth(t testing.TB, q *Queue, want int) {
	t.Helper()
	if got := q.Depth(); got != int64(want) {
		t.Errorf("Depth() = %d, want %d", got, want)
	}
}

func wantRecords(t testing.TB, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got %d records %.300s, want %d %.300s", len(got), fmt.Sprintf("%q", got), len(want), fmt.Sprintf("%q", want))
	}
}

func wantFiles(t testing.TB, dir string, want ...string) {
	t.Helper()
	if names := dirNames(t, dir); !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
}

// wantHealthy opens the queue, expects these records and that it works on: more
// can be put, and nothing is set aside or complained about from then on.
func wantHealthy(t testing.TB, name string, o Options, want []string) {
	t.Helper()
	q := reopen(t, name, o)
	wantDepth(t, q, len(want))
	mustClose(t, q)

	var log loggingtest.Buffer
	o.Logger = log.Logger(slog.LevelWarn)
	q = reopen(t, name, o)
	wantDepth(t, q, len(want))
	more := records(2000, 2020)
	putAll(t, q, more)
	wantDepth(t, q, len(want)+len(more))
	wantRecords(t, takeAll(t, q), slices.Concat(want, more))
	mustClose(t, q)
	if s := log.String(); s != "" {
		t.Errorf("a mended queue logged %s", s)
	}
}

// crash copies what is on disk while the queue is open, as if the process had
// been killed now, and returns options for the copy.
func crash(t testing.TB, o Options) Options {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "crashed")
	if err := os.CopyFS(dir, os.DirFS(o.Dir)); err != nil {
		t.Fatal(err)
	}
	o.Dir = dir
	return o
}

// recordOffset is where record(i) lies in a file that begins with record(0).
func recordOffset(i int) int64 { return int64(len(encoded(records(0, i)))) }

func encoded(recs []string) []byte {
	var b []byte
	for _, r := range recs {
		b = binary.BigEndian.AppendUint32(b, uint32(len(r)))
		b = append(b, r...)
	}
	return b
}

func text(n int64) string { return strconv.FormatInt(n, 10) }

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func dirNames(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
