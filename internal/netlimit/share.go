package netlimit

import (
	"fmt"
	"log/slog"
)

// Shares are the connections of a daemon: those of TCP clients, and those of
// HTTP and HTTPS together.
type Shares struct {
	TCP, HTTP *Group
	Size      int // how many there are for both together
}

// Share shares out the connections that --max-connections and the limit of open
// files allow, and logs how many that is; max 0 asks for all of them. TCP is
// assured of half; HTTP of some, so that a health check gets through when
// clients have taken all the others.
func Share(max int, log *slog.Logger) (Shares, error) {
	size, by, err := Bound(max)
	if err != nil {
		return Shares{}, err
	}
	if max > size {
		log.Warn(fmt.Sprintf("--max-connections %d is more than %s allows: at most %d connections are served at a time", max, by, size))
	} else {
		log.Info(fmt.Sprintf("at most %d connections are served at a time, by %s", size, by))
	}
	pool := NewPool(size, by, log)
	return Shares{
		Size: size,
		TCP:  pool.Group("TCP", size/2),
		HTTP: pool.Group("HTTP", min(httpShare, size/8)),
	}, nil
}

const httpShare = 16
