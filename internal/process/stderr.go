package process

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sync"
	"time"
)

// patience is how long a program may take to do what takes no time.
const patience = 30 * time.Second

// maxStderr is how much of the end of what a process writes is kept.
const maxStderr = 64 << 10

// stderr keeps the end of what a process writes to stderr and looks out for the
// addresses that it listens on.
type stderr struct {
	all io.Writer // gets everything; nil for none

	mu        sync.Mutex // what follows
	text      []byte
	seen      int               // of text: where no address is looked for any more
	addresses map[string]string // by protocol
	found     chan struct{}     // closed, and replaced, when there is another one
}

var listeningLine = regexp.MustCompile(`(?m): (TCP|HTTP): listening on (\S+)$`)

func (e *stderr) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.text = append(e.text, b...)
	if len(e.addresses) < 2 {
		e.findLocked()
	}
	if excess := len(e.text) - maxStderr; excess > 0 {
		e.text = append(e.text[:0], e.text[excess:]...)
		e.seen = max(0, e.seen-excess)
	}
	if e.all != nil {
		return e.all.Write(b)
	}
	return len(b), nil
}

func (e *stderr) findLocked() {
	end := bytes.LastIndexByte(e.text, '\n') + 1
	for _, m := range listeningLine.FindAllSubmatch(e.text[e.seen:end], -1) {
		if e.addresses == nil {
			e.addresses = make(map[string]string)
		}
		e.addresses[string(m[1])] = string(m[2])
		close(e.found)
		e.found = make(chan struct{})
	}
	e.seen = end
}

// Stderr returns the end of what the process has written to stderr.
func (p *Process) Stderr() string {
	p.stderr.mu.Lock()
	defer p.stderr.mu.Unlock()
	return string(p.stderr.text)
}

// Listening waits until the process, an nsqd or something that says so in its
// words, listens for all of these protocols: "TCP", "HTTP". It returns the
// addresses.
func (p *Process) Listening(ctx context.Context, protocols ...string) ([]string, error) {
	timeout := time.After(patience)
	for {
		p.stderr.mu.Lock()
		found := p.stderr.found
		var addresses []string
		for _, protocol := range protocols {
			addresses = append(addresses, p.stderr.addresses[protocol])
		}
		p.stderr.mu.Unlock()
		if !slices.Contains(addresses, "") {
			return addresses, nil
		}
		select {
		case <-found:
		case <-p.Done:
			return nil, &Error{p}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-timeout:
			return nil, fmt.Errorf("%s does not listen after %v; it wrote to stderr:\n%s", p.Name, patience, p.Stderr())
		}
	}
}
