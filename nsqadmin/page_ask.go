package nsqadmin

import (
	"context"
	"time"

	"github.com/seed893f581e/nsq/nsqadmin/internal/watch"
)

// askTimeout is how long a page waits for nodes that it asks itself.
const askTimeout = 800 * time.Millisecond

// viewWith returns a view in which something is known. What is not may be new:
// the daemons are asked before it is said to be unknown.
func (s *httpServer) viewWith(ctx context.Context, known func(*watch.View) bool) (*watch.View, bool) {
	v := s.n.poller.View()
	if known(v) {
		return v, true
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	s.n.poller.Refresh(ctx)
	v = s.n.poller.View()
	return v, known(v)
}
