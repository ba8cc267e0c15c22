package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// redrawEvery is how often a person sees something new.
const redrawEvery = 200 * time.Millisecond

// progress shows how far publishing has come, in a line that a goroutine of its
// own draws. What is written to it appears above that line. A nil *progress
// shows nothing.
type progress struct {
	messages, offset atomic.Int64

	size  int64 // of the input, 0 if that is not known
	start time.Time
	end   func() // ends the goroutine and waits for it

	mu     sync.Mutex // what follows, and writing to stderr
	stderr io.Writer
	bar    *progressbar.ProgressBar
	ended  bool
}

// startProgress shows progress through stdin on stderr, or returns nil if that
// is not a terminal.
func startProgress(stdin, stderr *os.File) *progress {
	if !term.IsTerminal(int(stderr.Fd())) {
		return nil
	}
	p := &progress{size: remaining(stdin), start: time.Now(), stderr: stderr}
	length := p.size
	if length == 0 {
		length = -1 // not known to the bar either
	}
	p.bar = progressbar.NewOptions64(length,
		progressbar.OptionSetWriter(stderr),
		progressbar.OptionSetDescription(p.description()),
		progressbar.OptionShowBytes(true),
		progressbar.OptionUseIECUnits(true),
		progressbar.OptionShowCount(),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionShowElapsedTimeOnFinish(),
		progressbar.OptionSetPredictTime(p.size > 0),
		progressbar.OptionFullWidth(),
		progressbar.OptionSetSpinnerChangeInterval(0), // it would start a goroutine that nobody can wait for
	)
	stop := make(chan struct{})
	var drawing sync.WaitGroup
	drawing.Go(func() { p.drawUntil(stop) })
	p.end = func() {
		close(stop)
		drawing.Wait()
	}
	return p
}

// remaining returns how much there is to read, or 0 if that is not known.
func remaining(f *os.File) int64 {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	offset, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0
	}
	return max(0, info.Size()-offset)
}

// done adds messages, and says how much of the input is dealt with.
func (p *progress) done(messages int, offset int64) {
	if p == nil {
		return
	}
	p.messages.Add(int64(messages))
	p.offset.Store(offset)
}

// stop leaves the last state on the screen. Nothing is drawn any more when it
// returns.
func (p *progress) stop() {
	if p != nil {
		p.end()
	}
}

func (p *progress) drawUntil(stop <-chan struct{}) {
	ticker := time.NewTicker(redrawEvery)
	defer ticker.Stop()
	for {
		p.draw(false)
		select {
		case <-ticker.C:
		case <-stop:
			p.draw(true)
			return
		}
	}
}

// draw draws the line, maybe for the last time. That the terminal does not take
// it makes no difference to what is published.
func (p *progress) draw(last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	offset := p.offset.Load()
	if p.size > 0 {
		offset = min(offset, p.size) // the file may have grown
	}
	_ = p.bar.Set64(offset)
	p.bar.Describe(p.description())
	if last {
		p.ended = true
		_, _ = io.WriteString(p.stderr, "\n")
	}
}

func (p *progress) description() string {
	n := p.messages.Load()
	return fmt.Sprintf("%d messages, %.0f/s", n, float64(n)/time.Since(p.start).Seconds())
}

// Write writes a log line.
func (p *progress) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		_ = p.bar.Clear()
	}
	return p.stderr.Write(line)
}
