package nsq

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	textlog "github.com/seed893f581e/nsq/internal/logging"
)

// LogLevel says how important a log line is.
type LogLevel int

// The levels, least important first.
const (
	LogLevelDebug LogLevel = iota
	LogLevelInfo
	LogLevelWarning
	LogLevelError

	LogLevelMax = iota - 1
)

// String returns the three letters that stand for the level in a log line.
func (lvl LogLevel) String() string {
	switch lvl {
	case LogLevelDebug:
		return "DBG"
	case LogLevelInfo:
		return "INF"
	case LogLevelWarning:
		return "WRN"
	case LogLevelError:
		return "ERR"
	}
	return fmt.Sprintf("LogLevel(%d)", int(lvl))
}

// logger takes log lines. A *log.Logger is one.
type logger interface {
	Output(calldepth int, s string) error
}

// instances numbers the producers and consumers of the process, so that their
// log lines can be told apart.
var instances atomic.Int64

// logging is what producers and consumers embed for their SetLogger methods.
// It is safe for concurrent use.
type logging struct {
	prefix  string      // of lines: "  1 [topic/channel]"
	subject []slog.Attr // of records, the same: id, topic, channel
	to      *sinks
}

// newLogging returns logging to stderr from Info upwards, about subject, which is
// told to a *slog.Logger as attrs.
func newLogging(subject string, attrs ...slog.Attr) *logging {
	id := instances.Add(1)
	g := &logging{
		prefix:  fmt.Sprintf("%3d %s", id, subject),
		subject: append([]slog.Attr{slog.Int64("id", id)}, attrs...),
		to:      &sinks{},
	}
	g.SetLogger(log.New(os.Stderr, "", log.Flags()), LogLevelInfo)
	return g
}

// about returns logging about a part of the subject, the connection to the nsqd
// at addr. It always logs to where g does.
func (g *logging) about(addr string) *logging {
	return &logging{
		prefix:  fmt.Sprintf("%s (%s)", g.prefix, addr),
		subject: append(slices.Clone(g.subject), slog.String("nsqd", addr)),
		to:      g.to,
	}
}

// silentLogging returns logging about the connection to the nsqd at addr, to nowhere.
func silentLogging(addr string) *logging {
	g := &logging{
		prefix:  "(" + addr + ")",
		subject: []slog.Attr{slog.String("nsqd", addr)},
		to:      &sinks{},
	}
	g.SetLogger(nil, LogLevelInfo)
	return g
}

// SetLogger makes l, a *log.Logger or what has its method Output, receive the log
// lines of level lvl and above. A nil logger means silence.
func (g *logging) SetLogger(l logger, lvl LogLevel) {
	g.to.change(func(t *targets) { t.setAll(target{lines: l}, lvl) })
}

// SetSlogger makes l receive what is logged, as records with a constant message
// and attributes, in place of the lines of SetLogger. Which levels it gets is up to
// l alone, unless SetLoggerLevel is called afterwards. A nil l means silence.
func (g *logging) SetSlogger(l *slog.Logger) {
	g.to.change(func(t *targets) { t.setAll(target{records: l}, LogLevelDebug) })
}

// SetLoggerForLevel makes l receive the log lines of exactly the level lvl, as
// SetLogger does. A nil logger means silence.
func (g *logging) SetLoggerForLevel(l logger, lvl LogLevel) {
	if lvl >= 0 && lvl <= LogLevelMax {
		g.to.change(func(t *targets) { t.of[lvl] = target{lines: l} })
	}
}

// SetLoggerLevel sets the lowest level that is logged.
func (g *logging) SetLoggerLevel(lvl LogLevel) {
	g.to.change(func(t *targets) { t.level = lvl })
}

// sinks are where producers or consumers log to, at present.
type sinks struct {
	mu  sync.Mutex // serializes changes of now
	now atomic.Pointer[targets]
}

// targets are never changed once they are in use.
type targets struct {
	of    [LogLevelMax + 1]target
	level LogLevel // the lowest that is logged
}

// target is a logger of one of the two kinds, or none.
type target struct {
	lines   logger
	prefix  string // of lines, where it is not that of the logging
	records *slog.Logger
}

func (t *targets) setAll(to target, lvl LogLevel) {
	for i := range t.of {
		t.of[i] = to
	}
	t.level = lvl
}

func (s *sinks) change(f func(*targets)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var t targets
	if old := s.now.Load(); old != nil {
		t = *old
	}
	f(&t)
	s.now.Store(&t)
}

// log tells that e happened. The args are what its keys name; see printable for
// how they are shown. No lock of the package may be held: loggers may call it.
func (g *logging) log(e event, args ...any) {
	now := g.to.now.Load()
	to := now.of[e.level]
	switch {
	case e.level < now.level:
	case to.lines != nil:
		// There is nobody to tell that a log line could not be written.
		_ = to.lines.Output(2, fmt.Sprintf("%-4s %s %s", e.level, cmp.Or(to.prefix, g.prefix), fmt.Sprintf(e.text, printable(args)...)))
	case to.records != nil && to.records.Enabled(context.Background(), slogLevels[e.level]):
		_ = to.records.Handler().Handle(context.Background(), g.record(e, args))
	}
}

var slogLevels = [LogLevelMax + 1]slog.Level{
	LogLevelDebug:   slog.LevelDebug,
	LogLevelInfo:    slog.LevelInfo,
	LogLevelWarning: slog.LevelWarn,
	LogLevelError:   slog.LevelError,
}

// record is for log alone: the caller of that is the record's source.
func (g *logging) record(e event, args []any) slog.Record {
	var caller [1]uintptr
	runtime.Callers(3, caller[:]) // without Callers, record and log
	r := slog.NewRecord(time.Now(), slogLevels[e.level], cmp.Or(e.message, e.text), caller[0])
	r.AddAttrs(g.subject...)
	for i, arg := range printable(args) {
		r.AddAttrs(slog.Any(e.keys[i], arg))
	}
	return r
}

// verbatim is an error of the program, which is logged as it is.
type verbatim struct{ error }

// printable returns args as they may stand in a log. What others sent, and so any
// text and error may contain, is cut to a sane length, with everything escaped
// that is not printable; errors stay errors.
func printable(args []any) []any {
	shown := make([]any, len(args))
	for i, arg := range args {
		shown[i] = arg
		switch arg := arg.(type) {
		case verbatim:
			shown[i] = arg.error
		case error:
			if text := textlog.Printable(arg.Error()); text != arg.Error() {
				shown[i] = printableError{arg, text}
			}
		case string:
			shown[i] = textlog.Printable(arg)
		case []byte:
			shown[i] = textlog.Printable(arg)
		case *MessageID:
			shown[i] = string(arg[:])
		}
	}
	return shown
}

// printableError is an error with a text that may stand in a log.
type printableError struct {
	error
	text string
}

func (e printableError) Error() string { return e.text }
func (e printableError) Unwrap() error { return e.error }
