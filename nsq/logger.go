package nsq

import (
	"fmt"
	"log"
	"os"
	"sync"
	"sync/atomic"
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
	prefix string // "  1 [topic/channel]"

	mu      sync.RWMutex // loggers, level
	loggers [LogLevelMax + 1]logger
	level   LogLevel
}

// newLogging returns logging to stderr from Info upwards, about subject.
func newLogging(subject string) *logging {
	l := &logging{prefix: fmt.Sprintf("%3d %s", instances.Add(1), subject)}
	l.SetLogger(log.New(os.Stderr, "", log.Flags()), LogLevelInfo)
	return l
}

// SetLogger makes l receive the log lines of level lvl and above. A nil logger
// means silence.
func (g *logging) SetLogger(l logger, lvl LogLevel) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.loggers {
		g.loggers[i] = l
	}
	g.level = lvl
}

// SetLoggerForLevel makes l receive the log lines of exactly the level lvl. A
// nil logger means silence.
func (g *logging) SetLoggerForLevel(l logger, lvl LogLevel) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if lvl >= 0 && lvl <= LogLevelMax {
		g.loggers[lvl] = l
	}
}

// SetLoggerLevel sets the lowest level that is logged.
func (g *logging) SetLoggerLevel(lvl LogLevel) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.level = lvl
}

func (g *logging) logf(lvl LogLevel, format string, args ...any) {
	g.mu.RLock()
	l, enabled := g.loggers[lvl], lvl >= g.level
	g.mu.RUnlock()
	if l == nil || !enabled {
		return
	}
	// There is nobody to tell that a log line could not be written.
	_ = l.Output(2, fmt.Sprintf("%-4s %s %s", lvl, g.prefix, fmt.Sprintf(format, args...)))
}
