package main

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/seed893f581e/nsq/internal/logging"
)

// logger logs lines of text, as people look for them in the log of this program.
type logger struct{ l *slog.Logger }

func (l *logger) infof(format string, args ...any)  { l.printf(slog.LevelInfo, format, args...) }
func (l *logger) warnf(format string, args ...any)  { l.printf(slog.LevelWarn, format, args...) }
func (l *logger) errorf(format string, args ...any) { l.printf(slog.LevelError, format, args...) }
func (l *logger) fatalf(format string, args ...any) { l.printf(logging.LevelFatal, format, args...) }

func (l *logger) printf(level slog.Level, format string, args ...any) {
	if ctx := context.Background(); l.l.Enabled(ctx, level) {
		l.l.Log(ctx, level, fmt.Sprintf(format, args...))
	}
}
