package nsqd

import (
	"slices"
	"sync"
	"sync/atomic"
)

// health is what keeps the broker from keeping messages: the sources that fail
// now, each with its latest error. A source is well again when that very thing
// works again, or is gone, not because another one does. It is safe for
// concurrent use.
type health struct {
	failing atomic.Int32 // so that the usual report, that all is well, costs no lock

	mu      sync.Mutex
	sources []failingSource // in the order in which they began to fail
}

type failingSource struct {
	name string
	err  error
}

// metadataHealth is the source that stands for nsqd.dat. The others are disk
// queues, by their names, which contain no space.
const metadataHealth = "metadata file"

// set says how a source fares: nil that it works, or is gone.
func (h *health) set(source string, err error) {
	if err == nil && h.failing.Load() == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.sources, func(s failingSource) bool { return s.name == source })
	switch {
	case err == nil && i >= 0:
		h.sources = slices.Delete(h.sources, i, i+1)
	case err != nil && i >= 0:
		h.sources[i].err = err
	case err != nil:
		h.sources = append(h.sources, failingSource{source, err})
	}
	h.failing.Store(int32(len(h.sources)))
}

// Err returns the error of the source that has been failing for the longest
// time, nil if there is none.
func (h *health) Err() error {
	if h.failing.Load() == 0 {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.sources) == 0 {
		return nil
	}
	return h.sources[0].err
}
