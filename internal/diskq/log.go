package diskq

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/nsqio/go-diskqueue"
)

// A logAdapter takes what go-diskqueue logs ("DISKQUEUE(<name>): ...") to slog.
//
// It also mends one fault: when the reader has come to the end of a data file by
// the time the writer rolls to the next, go-diskqueue reads on in the finished
// file, gets EOF, takes that for damage and renames the file to .bad. It says so
// before it does so; the adapter then removes the file, which holds nothing
// unread, and swallows the complaints.
type logAdapter struct {
	log      *slog.Logger
	finished string // data file removed as above; belongs to go-diskqueue's ioLoop
}

func (a *logAdapter) logf(lvl diskqueue.LogLevel, format string, args ...any) {
	// Calls from outside ioLoop have one argument, the queue's name.
	if len(args) > 1 && (a.readToEnd(format, args) || a.aboutFinished(args[1])) {
		return
	}
	level := slogLevel(lvl)
	if a.log.Enabled(context.Background(), level) {
		a.log.Log(context.Background(), level, fmt.Sprintf(format, args...))
	}
}

// readToEnd recognizes "reading at <offset> of <file> - EOF" where the offset is
// the end of the file, and removes that file.
func (a *logAdapter) readToEnd(format string, args []any) bool {
	if len(args) != 4 || args[3] != io.EOF || !strings.Contains(format, " reading at ") {
		return false
	}
	offset, _ := args[1].(int64)
	path, _ := args[2].(string)
	fi, err := os.Stat(path)
	if err != nil || fi.Size() != offset || os.Remove(path) != nil {
		return false
	}
	a.finished = path
	return true
}

// aboutFinished recognizes the attempt to rename the removed file.
func (a *logAdapter) aboutFinished(arg any) bool {
	return a.finished != "" && (arg == a.finished || arg == a.finished+".bad")
}

func slogLevel(lvl diskqueue.LogLevel) slog.Level {
	switch lvl {
	case diskqueue.DEBUG:
		return slog.LevelDebug
	case diskqueue.INFO:
		return slog.LevelInfo
	case diskqueue.WARN:
		return slog.LevelWarn
	default:
		return slog.LevelError
	}
}
