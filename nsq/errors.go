package nsq

import "errors"

// What calls of this package fail with. Compare with errors.Is.
var (
	// ErrNotConnected says that a connection was lost, or stopped, before nsqd
	// answered: whether it took the message is not known. DisconnectFromNSQD
	// returns it for an address that is not in use.
	ErrNotConnected = errors.New("not connected")
	// ErrStopped is what a Producer answers after Stop.
	ErrStopped = errors.New("stopped")
	// ErrClosing says that a connection is being closed and takes no commands.
	ErrClosing = errors.New("closing")
	// ErrAlreadyConnected is returned by ConnectToNSQD for an address that is
	// connected, being connected or waiting to be reconnected.
	ErrAlreadyConnected = errors.New("already connected")
	// ErrOverMaxInFlight exists for programs that name it. No call returns it:
	// the shares of all connections are worked out together, within the limit.
	ErrOverMaxInFlight = errors.New("over configure max-inflight")
)

// ErrIdentify says that nsqd was reached but the two could not agree on how to
// talk. It is used as a value: errors.As with a *ErrIdentify target finds it.
type ErrIdentify struct {
	Reason string
}

// Error returns the reason, introduced as a failed IDENTIFY.
func (e ErrIdentify) Error() string { return "failed to IDENTIFY - " + e.Reason }

// ErrProtocol is the answer of an nsqd that refused a message; Reason is its
// error frame, such as `E_BAD_TOPIC PUB topic name "bad$" is not valid`. It is
// used as a value: errors.As with a *ErrProtocol target finds it.
type ErrProtocol struct {
	Reason string
}

// Error returns the reason.
func (e ErrProtocol) Error() string { return e.Reason }
