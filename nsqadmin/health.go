package nsqadmin

import "errors"

var (
	errNotPolling = errors.New("the loop that asks the daemons has stood still for more than a minute")
	errFirstRound = errors.New("starting: the daemons have not been asked yet")
)

// Live returns why the console is of no use any more, nil if it still is.
// It waits for nothing.
func (n *NSQAdmin) Live() error {
	if err := n.life.Live(); err != nil {
		return err
	}
	if !n.poller.IsAlive() {
		return errNotPolling
	}
	return nil
}

// Ready returns why requests should go elsewhere, nil if they should not. Daemons
// that cannot be reached are for the console to show, no reason to hide it.
func (n *NSQAdmin) Ready() error {
	if err := n.life.Ready(); err != nil {
		return err
	}
	if !n.poller.HasAsked() {
		return errFirstRound
	}
	return n.Live()
}
