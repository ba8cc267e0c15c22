package logging

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"
)

// at returns a record with a fixed time, so that lines can be compared whole.
func at(level slog.Level, message string, args ...any) slog.Record {
	r := slog.NewRecord(time.Date(2026, 11, 21, 19, 33, 5, 464851999, time.Local), level, message, 0)
	r.Add(args...)
	return r
}

func line(t *testing.T, r slog.Record) string {
	t.Helper()
	var out bytes.Buffer
	if err := NewHandler(&out, "[nsqd] ", slog.LevelDebug).Handle(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestLineHasTheKnownForm(t *testing.T) {
	for level, word := range map[slog.Level]string{
		slog.LevelDebug - 1: "DEBUG",
		slog.LevelDebug:     "DEBUG",
		slog.LevelInfo:      "INFO",
		slog.LevelInfo + 1:  "INFO",
		slog.LevelWarn:      "WARNING",
		slog.LevelError:     "ERROR",
		LevelFatal:          "FATAL",
		LevelFatal + 1:      "FATAL",
	} {
		got := line(t, at(level, "TCP: listening on 127.0.0.1:4150"))
		want := "[nsqd] 2026/11/21 19:33:05.464851 " + word + ": TCP: listening on 127.0.0.1:4150\n"
		if got != want {
			t.Errorf("level %d: got %q, want %q", level, got, want)
		}
	}
}

func TestTimeIsLocal(t *testing.T) {
	r := at(slog.LevelInfo, "text")
	local := line(t, r)
	r.Time = r.Time.In(time.FixedZone("far", 13*3600))
	if got := line(t, r); got != local {
		t.Errorf("got %q, want %q", got, local)
	}
}

type secret struct{}

func (secret) LogValue() slog.Value { return slog.StringValue("resolved") }

type nobody struct{ name string }

func (n *nobody) Error() string { return n.name } // panics on nil

func TestValuesAreQuotedWhenTheyNeedIt(t *testing.T) {
	var nilError *nobody
	for _, c := range []struct {
		value any
		want  string
	}{
		{"orders#ephemeral", "orders#ephemeral"},
		{"grün", "grün"},
		{"", `""`},
		{"two words", `"two words"`},
		{"a=b", `"a=b"`},
		{`say "hi"`, `"say \"hi\""`},
		{"line\nINFO: forged", `"line\nINFO: forged"`},
		{"\x1b[31m", `"\x1b[31m"`},
		{"bad\xffutf8", `"bad\xffutf8"`},
		{[]byte("  V2"), `"  V2"`},
		{-5, "-5"},
		{uint64(1) << 63, "9223372036854775808"},
		{0.25, "0.25"},
		{true, "true"},
		{90 * time.Second, "1m30s"},
		{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "2026-01-02T03:04:05Z"},
		{errors.New("broken pipe"), `"broken pipe"`},
		{netip.MustParseAddrPort("127.0.0.1:4150"), "127.0.0.1:4150"},
		{secret{}, "resolved"},
		{nil, "<nil>"},
		{nilError, "<nil>"},
	} {
		got := line(t, at(slog.LevelInfo, "text", "key", c.value))
		if want := " INFO: text key=" + c.want + "\n"; !strings.HasSuffix(got, want) {
			t.Errorf("%#v: got %q, want it to end in %q", c.value, got, want)
		}
	}
}

func TestMessageStaysOnItsLine(t *testing.T) {
	got := line(t, at(slog.LevelInfo, "desired \"magic\" '\nV\x00\xff' grün"))
	if want := ` INFO: desired "magic" '\nV\x00\xff' grün` + "\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want it to end in %q", got, want)
	}
}

func TestAttributesAndGroups(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(NewHandler(&out, "", slog.LevelInfo))
	log = log.With("client", "10.0.0.1:5000").WithGroup("topic").With("name", "a b").WithGroup("empty")
	first, second := log.With("from", 1), log.With("from", 2)
	first.Info("one", slog.Group("g", "x", 1, "y", 2))
	second.Info("two", slog.Group("", "inline", true), slog.Attr{})

	want := regexp.MustCompile(`^\S+ \S+ INFO: one client=10\.0\.0\.1:5000 topic\.name="a b" topic\.empty\.from=1 topic\.empty\.g\.x=1 topic\.empty\.g\.y=2
\S+ \S+ INFO: two client=10\.0\.0\.1:5000 topic\.name="a b" topic\.empty\.from=2 topic\.empty\.inline=true
$`)
	if !want.Match(out.Bytes()) {
		t.Errorf("got %s", out.String())
	}
}

// What slog expects of every handler; the lines are read back into nested maps.
func TestSlogRules(t *testing.T) {
	var out bytes.Buffer
	field := regexp.MustCompile(`(\S+)=(\S+)`)
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out.Reset()
		return NewHandler(&out, "", slog.LevelInfo)
	}, func(*testing.T) map[string]any {
		head, rest, _ := strings.Cut(out.String(), ": ")
		result := map[string]any{}
		if date, level, ok := cutLast(head, " "); ok {
			result[slog.TimeKey], result[slog.LevelKey] = date, level
		} else {
			result[slog.LevelKey] = head
		}
		result[slog.MessageKey], _, _ = strings.Cut(strings.TrimSuffix(rest, "\n"), " ")
		for _, m := range field.FindAllStringSubmatch(rest, -1) {
			into, path := result, strings.Split(m[1], ".")
			for _, group := range path[:len(path)-1] {
				if into[group] == nil {
					into[group] = map[string]any{}
				}
				into = into[group].(map[string]any)
			}
			into[path[len(path)-1]] = m[2]
		}
		return result
	})
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

func TestLevelChangesAtRunTime(t *testing.T) {
	var out bytes.Buffer
	var level slog.LevelVar
	log := slog.New(NewHandler(&out, "", &level)).With("k", "v")
	log.Debug("hidden")
	if out.Len() != 0 {
		t.Errorf("debug is off, yet got %q", out.String())
	}
	level.Set(slog.LevelDebug)
	log.Debug("seen")
	if !strings.Contains(out.String(), "DEBUG: seen") {
		t.Errorf("debug is on, yet got %q", out.String())
	}
	level.Set(LevelFatal)
	out.Reset()
	log.Error("hidden")
	if out.Len() != 0 {
		t.Errorf("only fatal is on, yet got %q", out.String())
	}
}

// lines counts writes and keeps those that are not one whole line.
type lines struct {
	writes int
	bad    [][]byte
}

func (l *lines) Write(b []byte) (int, error) { // no lock: the handler must serialize
	l.writes++
	if bytes.Count(b, []byte("\n")) != 1 || !bytes.HasSuffix(b, []byte("\n")) {
		l.bad = append(l.bad, bytes.Clone(b))
	}
	return len(b), nil
}

func TestOneWritePerLineFromManyGoroutines(t *testing.T) {
	var out lines
	log := slog.New(NewHandler(&out, "[nsqd] ", slog.LevelInfo))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			derived := log.With("client", "10.0.0.1")
			for i := range 100 {
				derived.Info("text", "i", i)
				log.Info("text", "long", strings.Repeat("x", i*1000))
			}
		})
	}
	wg.Wait()
	if out.writes != 1600 || len(out.bad) != 0 {
		t.Errorf("%d writes, want 1600; not a line: %q", out.writes, out.bad)
	}
}

type brokenPipe struct{ writes int }

func (b *brokenPipe) Write([]byte) (int, error) { b.writes++; return 0, io.ErrClosedPipe }

func TestUnwritableOutputIsSurvived(t *testing.T) {
	out := new(brokenPipe)
	log := slog.New(NewHandler(out, "", slog.LevelInfo))
	log.Info("lost")
	log.Info("lost, too")
	if out.writes != 2 {
		t.Errorf("%d writes, want 2", out.writes)
	}
}

func TestDisabledLevelAllocatesNothing(t *testing.T) {
	log := slog.New(NewHandler(io.Discard, "", slog.LevelInfo))
	ctx, topic, depth := t.Context(), strings.Repeat("t", 10), len(t.Name())*1000
	if n := testing.AllocsPerRun(100, func() {
		log.LogAttrs(ctx, slog.LevelDebug, "text", slog.String("topic", topic), slog.Int("depth", depth))
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func BenchmarkHandle(b *testing.B) {
	log := slog.New(NewHandler(io.Discard, "[nsqd] ", slog.LevelInfo)).With("client", "10.0.0.1:5000")
	b.ReportAllocs()
	for b.Loop() {
		log.LogAttrs(b.Context(), slog.LevelInfo, "TOPIC: created", slog.String("topic", "orders"), slog.Int("depth", 100000))
	}
}

func BenchmarkDisabled(b *testing.B) {
	log := slog.New(NewHandler(io.Discard, "[nsqd] ", slog.LevelInfo))
	b.ReportAllocs()
	for b.Loop() {
		log.LogAttrs(b.Context(), slog.LevelDebug, "TOPIC: created", slog.String("topic", "orders"), slog.Int("depth", 100000))
	}
}
