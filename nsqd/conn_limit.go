package nsqd

import (
	"fmt"
	"log/slog"

	"github.com/seed893f581e/nsq/internal/netlimit"
)

// connLimit counts connections: those of clients, and those of HTTP and HTTPS
// together.
type connLimit struct {
	tcp, http *netlimit.Group
}

// newConnLimit shares out the connections that the options and the limit of
// open files allow. Clients are assured of half of them; HTTP of some, so that
// a health check gets through when clients have taken all the others.
func newConnLimit(max int, log *slog.Logger) (connLimit, error) {
	size, by, err := netlimit.Bound(max)
	if err != nil {
		return connLimit{}, err
	}
	if max > size {
		log.Warn(fmt.Sprintf("--max-connections %d is more than %s allows: at most %d connections are served at a time", max, by, size))
	} else {
		log.Info(fmt.Sprintf("at most %d connections are served at a time, by %s", size, by))
	}
	pool := netlimit.NewPool(size, by, log)
	return connLimit{
		tcp:  pool.Group("TCP", size/2),
		http: pool.Group("HTTP", min(httpShare, size/8)),
	}, nil
}

const httpShare = 16
