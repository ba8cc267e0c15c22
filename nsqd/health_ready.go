package nsqd

import "errors"

// Live returns why the process is of no use any more and should be started again:
// the failure of one of its loops. It is nil while it loads, serves, drains or
// stops. It waits for nothing.
func (n *NSQD) Live() error { return n.life.Live() }

// Ready returns why messages should be published elsewhere, nil if there is no
// reason: nsqd is loading, draining or stopping, or cannot keep messages on disk.
// It waits for nothing.
func (n *NSQD) Ready() error {
	if n.env.phaseNow() == phaseLoading {
		return errLoading
	}
	if r := n.drain.current(); r != nil {
		return r
	}
	if err := n.life.Ready(); err != nil {
		return err
	}
	if err := n.env.health.Err(); err != nil {
		return errors.New(healthText(err))
	}
	return n.space.Err()
}
