package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/seed893f581e/nsq/internal/process"
	"github.com/seed893f581e/nsq/nsq"
)

const (
	topic   = "demo"
	channel = "archive" // not ephemeral: it outlives nsqd

	// silence is how long nothing has to arrive, after everything was
	// published, for what is missing to be given up.
	silence = 10 * time.Second

	// deferral is the delay of the messages that are to be deferred while nsqd
	// is restarted.
	deferral = 3 * time.Second

	// grace is how long a process may take to stop before it is killed.
	grace = 5 * time.Second
)

// job is one demonstration.
type job struct {
	bin      string // directory of the programs
	lines    int
	nsqdArgs []string
	restart  bool
	out      io.Writer

	dataPath  string
	addr      string // of nsqd
	processes []*process.Process
	nsqd      *process.Process
	tail      *process.Process
	arriving  chan string // the lines of nsq_tail; closed at their end
	tally     *tally
}

// run runs the demonstration to its end and reports whether all lines arrived.
// When it returns, every process has ended.
func (j *job) run(ctx context.Context) (ok bool, err error) {
	sources, err := goSources()
	if err != nil {
		return false, err
	}
	text, err := sourceLines(sources, j.lines)
	if err != nil {
		return false, err
	}
	j.tally = newTally(text)
	if j.dataPath, err = os.MkdirTemp("", "nsq_demo"); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(j.dataPath)) }()

	took, err := j.runProcesses(ctx)
	switch {
	case ctx.Err() != nil: // whatever else went wrong then
		return false, fmt.Errorf("%w; %d of %d lines had arrived", context.Cause(ctx), j.tally.count, len(text))
	case err != nil:
		return false, err
	}
	j.say("sent", "%d lines, sha256 %.16s...", len(text), checksum(text))
	j.say("arrived", "%d lines and %d duplicates, sha256 %.16s...", j.tally.count, j.tally.duplicates, checksum(j.tally.arrived))
	verdict, ok := j.tally.verdict(took)
	fmt.Fprintln(j.out, verdict)
	return ok, nil
}

// runProcesses starts all processes, sends the lines and stops the processes.
// It returns how long sending and receiving took.
func (j *job) runProcesses(ctx context.Context) (took time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer j.waitForAll()
	defer cancel()
	if err := j.startNSQD(ctx, "127.0.0.1:0"); err != nil {
		return 0, err
	}
	j.say("nsqd", "runs on %s and keeps its data in %s", j.addr, j.dataPath)
	if err := j.startTail(ctx); err != nil {
		return 0, err
	}
	j.say("nsq_tail", "reads the topic %q, on the channel %q", topic, channel)

	start := time.Now()
	if err := j.send(ctx, j.tally.sent); err != nil {
		return 0, j.withReason(err)
	}
	took = time.Since(start)
	return took, j.stop(ctx)
}

// withReason adds what became of nsqd to the failure of another process, which
// can only be noticed a moment earlier.
func (j *job) withReason(err error) error {
	failed, ok := errors.AsType[*process.Error](err)
	if !ok || failed.Process == j.nsqd {
		return err
	}
	select {
	case <-j.nsqd.Done:
		if j.nsqd.Err != nil {
			return errors.Join(&process.Error{Process: j.nsqd}, err)
		}
	case <-time.After(time.Second):
	}
	return err
}

func (j *job) say(who, format string, args ...any) {
	fmt.Fprintf(j.out, "%-9s %s\n", who, fmt.Sprintf(format, args...))
}

// send publishes the text and collects what arrives.
func (j *job) send(ctx context.Context, text []string) error {
	if j.restart {
		half, err := j.sendHalf(ctx, text)
		if err != nil {
			return err
		}
		text = text[half:]
	}
	publisher, err := j.publish(ctx, text)
	if err != nil {
		return err
	}
	if err := j.collect(ctx, publisher, len(j.tally.sent)); err != nil {
		return err
	}
	return publisher.Wait(ctx) // it may have got every line across and yet fail
}

// sendHalf publishes half of the text and restarts nsqd while most of that is
// on its way. It returns how much half is.
func (j *job) sendHalf(ctx context.Context, text []string) (half int, err error) {
	half = len(text) / 2
	deferred := min(half/10, 500)
	publisher, err := j.publish(ctx, text[:half-deferred])
	if err != nil {
		return 0, err
	}
	// From here on nobody reads what nsq_tail prints: it waits with messages in
	// flight, and nsqd keeps the rest.
	if err := j.collect(ctx, publisher, len(text)/10); err != nil {
		return 0, err
	}
	if err := publisher.Wait(ctx); err != nil {
		return 0, err
	}
	if err := j.publishDeferred(text[half-deferred : half]); err != nil {
		return 0, err
	}
	if err := j.nsqd.Stop(ctx); err != nil {
		return 0, err
	}
	j.say("nsqd", "was stopped: of %d lines it had accepted, %d had arrived; %d more are deferred by %v",
		half, j.tally.count, deferred, deferral)
	if err := j.startNSQD(ctx, j.addr); err != nil {
		return 0, err
	}
	j.say("nsqd", "was started again on the same data")
	return half, nil
}

// publish starts to_nsq with part of the text.
func (j *job) publish(ctx context.Context, text []string) (*process.Process, error) {
	stdin := strings.Join(text, "\n") + "\n"
	j.say("to_nsq", "publishes %d lines, %.1f MB, of Go's source code", len(text), float64(len(stdin))/1e6)
	return j.start(ctx, "to_nsq", strings.NewReader(stdin), nil, "--topic="+topic, "--nsqd-tcp-address="+j.addr)
}

// publishDeferred publishes lines that nsqd is to deliver later.
func (j *job) publishDeferred(text []string) error {
	p, err := nsq.NewProducer(j.addr, nsq.NewConfig())
	if err != nil {
		return err
	}
	p.SetLogger(nil, nsq.LogLevelError)
	defer p.Stop()
	for _, line := range text {
		if err := p.DeferredPublish(topic, deferral, []byte(line)); err != nil {
			return err
		}
	}
	return nil
}

// collect takes arriving lines until there are enough, or until nothing has
// arrived for a while after the publisher has ended.
func (j *job) collect(ctx context.Context, publisher *process.Process, enough int) error {
	published := publisher.Done
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	for j.tally.count < enough {
		select {
		case line, ok := <-j.arriving:
			if !ok {
				<-j.tail.Done
				return &process.Error{Process: j.tail}
			}
			j.tally.add(line)
			quiet.Reset(silence)
		case <-published:
			if publisher.Err != nil {
				return &process.Error{Process: publisher}
			}
			published = nil
			quiet.Reset(silence)
		case <-quiet.C:
			if published == nil {
				return nil
			}
			quiet.Reset(silence)
		case <-j.nsqd.Done:
			return &process.Error{Process: j.nsqd}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// stop stops nsq_tail, takes what it still had to print, and stops nsqd.
func (j *job) stop(ctx context.Context) error {
	if err := j.tail.Terminate(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	for line := range j.arriving { // ends with ctx, too
		j.tally.add(line)
	}
	if err := j.tail.Wait(ctx); err != nil {
		return err
	}
	return j.nsqd.Stop(ctx)
}

// startNSQD starts nsqd at addr and waits until it listens.
func (j *job) startNSQD(ctx context.Context, addr string) error {
	args := append([]string{
		"--data-path=" + j.dataPath,
		"--tcp-address=" + addr,
		"--http-address=127.0.0.1:0",
		"--broadcast-address=127.0.0.1",
	}, j.nsqdArgs...)
	p, err := j.start(ctx, "nsqd", nil, nil, args...)
	if err != nil {
		return err
	}
	j.nsqd = p
	addresses, err := p.Listening(ctx, "TCP")
	if err == nil {
		j.addr = addresses[0]
	}
	return err
}

// startTail starts nsq_tail, whose lines then come out of j.arriving. When ctx
// ends they are read no more.
func (j *job) startTail(ctx context.Context) error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	j.tail, err = j.start(ctx, "nsq_tail", nil, w, "--topic="+topic, "--channel="+channel, "--nsqd-tcp-address="+j.addr)
	w.Close() // the process has its own
	if err != nil {
		r.Close()
		return err
	}
	j.arriving = make(chan string)
	go func() {
		defer r.Close()
		defer close(j.arriving)
		br := bufio.NewReader(r)
		for {
			line, err := br.ReadString('\n')
			if err != nil {
				return
			}
			select {
			case j.arriving <- strings.TrimSuffix(line, "\n"):
			case <-ctx.Done():
				return
			}
		}
	}()
	return nil
}

func (j *job) start(ctx context.Context, name string, stdin io.Reader, stdout *os.File, args ...string) (*process.Process, error) {
	p, err := process.Start(ctx, process.Command{Path: process.In(j.bin, name), Args: args, Stdin: stdin, Stdout: stdout, Grace: grace})
	if err == nil {
		j.processes = append(j.processes, p)
	}
	return p, err
}

func (j *job) waitForAll() {
	for _, p := range j.processes {
		<-p.Done
	}
}
