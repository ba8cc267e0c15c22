package nsq

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed893f581e/nsq/internal/wire"
)

// What calls of this package fail with, beside errors of the network, of TLS, of
// files and of a context, which errors.As and errors.Is find as well, and the
// types below. Some come with details in the text, so compare with errors.Is;
// those that are returned as they are stay comparable by ==.
var (
	// ErrNotConnected says that a connection was lost, or stopped, before nsqd
	// answered: whether it took the message is not known. A Conn returns it before
	// Connect, and DisconnectFromNSQD for an address that is not in use.
	ErrNotConnected = errors.New("not connected")
	// ErrStopped is what a Producer answers after Stop.
	ErrStopped = errors.New("stopped")
	// ErrNoNSQD is what a MultiProducer answers when it was given no nsqd, and found
	// none.
	ErrNoNSQD = errors.New("no nsqd to publish to")
	// ErrDraining says that an nsqd takes no messages any more, as it is about to stop,
	// or was told so. It is an ErrProtocol of CodePubFailed, CodeMPubFailed or
	// CodeDPubFailed, and the message was not taken: other nsqds may take it, which a
	// MultiProducer finds out by itself.
	ErrDraining = errors.New("nsqd is draining")
	// ErrClosing says that a connection is being closed and takes no commands.
	ErrClosing = errors.New("closing")
	// ErrAlreadyConnected is returned by ConnectToNSQD for an address that is
	// connected, being connected or waiting to be reconnected, and by the Connect
	// of a Conn but for the first.
	ErrAlreadyConnected = errors.New("already connected")
	// ErrOverMaxInFlight exists for programs that name it. No call returns it:
	// the shares of all connections are worked out together, within the limit.
	ErrOverMaxInFlight = errors.New("over configure max-inflight")

	// ErrConsumerStopped is what a Consumer answers after Stop when it is told to
	// connect.
	ErrConsumerStopped = errors.New("consumer stopped")
	// ErrAbandoned is what StopContext of a Consumer returns if handlers did not
	// answer what was in flight in time: nsqd delivers it again.
	ErrAbandoned = errors.New("stopped without waiting any longer for handlers")
	// ErrNoHandlers says that a Consumer was told to connect before it had one.
	ErrNoHandlers = errors.New("no handlers")
	// ErrInvalidTopicName and ErrInvalidChannelName are those of NewConsumer. A
	// Producer sends other invalid names to nsqd, which refuses them with
	// CodeBadTopic, but none with a space or a line break: it returns
	// ErrInvalidTopicName.
	ErrInvalidTopicName   = errors.New("invalid topic name")
	ErrInvalidChannelName = errors.New("invalid channel name")
	// ErrMissingPort and ErrInvalidAddress refuse the address of an nsqlookupd:
	// without a port, or with a port or a scheme of no use.
	ErrMissingPort    = errors.New("missing port")
	ErrInvalidAddress = errors.New("invalid address of an nsqlookupd")
	// ErrOnlyLookupd says that the last nsqlookupd cannot be disconnected from.
	ErrOnlyLookupd = errors.New("cannot disconnect from only remaining nsqlookupd HTTP address")

	// ErrNoNewConfig says that a Config was not made by NewConfig.
	ErrNoNewConfig = errors.New("Config{} must be created with NewConfig()") //nolint:staticcheck // users look for this text

	// ErrAuthRequired says that nsqd asks for a secret and AuthSecret is empty.
	ErrAuthRequired = errors.New("Auth Required") //nolint:staticcheck // users look for this text
	// ErrAuthenticating says that showing the secret failed; an ErrProtocol beside
	// it is what nsqd thinks of it.
	ErrAuthenticating = errors.New("Error authenticating") //nolint:staticcheck // users look for this text
	// ErrNoTLS says that TLS was asked for and nsqd does not offer it.
	ErrNoTLS = errors.New("nsqd does not offer TLS")

	// ErrInvalidResponse says that what came is not what the protocol has in this
	// place: its size or type is impossible, or it confirms no layer.
	ErrInvalidResponse = errors.New("invalid response")
	// ErrHTTPResponse says that a web server answered where an nsqd was expected.
	ErrHTTPResponse = errors.New("unexpected HTTP response, a nsqd TCP endpoint is required")
	// ErrShortMessage is that of DecodeMessage.
	ErrShortMessage = errors.New("not enough data to decode valid message")

	// ErrInvalidMetric says that a Metric cannot be written: what it or one of its
	// labels is called is not allowed, or taken.
	ErrInvalidMetric = errors.New("invalid metric")
)

// ErrIdentify says that nsqd was reached but the two could not agree on how to
// talk. It is used as a value: errors.As with a *ErrIdentify target finds it. What
// it came from, such as an ErrProtocol or an error of TLS, can be found behind it.
type ErrIdentify struct {
	Reason string

	cause *error // a pointer, so that values can be compared whatever the cause
}

func newErrIdentify(cause error) ErrIdentify {
	return ErrIdentify{Reason: cause.Error(), cause: &cause}
}

// Error returns the reason, introduced as a failed IDENTIFY.
func (e ErrIdentify) Error() string { return "failed to IDENTIFY - " + e.Reason }

// Is reports whether target is an ErrIdentify with the same Reason.
func (e ErrIdentify) Is(target error) bool {
	other, ok := target.(ErrIdentify)
	return ok && other.Reason == e.Reason
}

// Unwrap returns what the failure came from, nil if that is not known.
func (e ErrIdentify) Unwrap() error {
	if e.cause == nil {
		return nil
	}
	return *e.cause
}

// ErrProtocol is the answer of an nsqd that refused a command; Reason is its
// error frame, such as `E_BAD_TOPIC PUB topic name "bad$" is not valid`. It is
// used as a value: errors.As with a *ErrProtocol target finds it. To tell one
// reason from another, use errors.Is with an ErrorCode.
type ErrProtocol struct {
	Reason string
}

// Error returns the reason.
func (e ErrProtocol) Error() string { return e.Reason }

// Code returns the code that the reason begins with.
func (e ErrProtocol) Code() ErrorCode {
	code, _, _ := strings.Cut(e.Reason, " ")
	return ErrorCode(code)
}

// Is reports whether target is the code of e, or the ErrDraining that e is.
func (e ErrProtocol) Is(target error) bool {
	if target == ErrDraining { //nolint:errorlint // it is what others are compared with
		return wire.IsDraining(e.Reason)
	}
	code, ok := target.(ErrorCode)
	return ok && code == e.Code()
}

// ErrorCode is the kind of an ErrProtocol, to be used with errors.Is:
//
//	if errors.Is(err, nsq.CodeBadTopic) {
type ErrorCode string

// The codes of nsqd. After all but CodeFinFailed, CodeReqFailed and
// CodeTouchFailed it closes the connection.
const (
	CodeBadProtocol    ErrorCode = wire.BadProtocol    // not the protocol of nsqd
	CodeInvalid        ErrorCode = wire.Invalid        // unknown, or not allowed now, or with invalid parameters
	CodeBadBody        ErrorCode = wire.BadBody        // a body with an invalid size or content
	CodeBadTopic       ErrorCode = wire.BadTopic       // an invalid name of a topic
	CodeBadChannel     ErrorCode = wire.BadChannel     // an invalid name of a channel
	CodeBadMessage     ErrorCode = wire.BadMessage     // a message that is empty or too big
	CodeIdentifyFailed ErrorCode = wire.IdentifyFailed // TLS or compression could not be begun
	CodeSubFailed      ErrorCode = wire.SubFailed      // such as too many consumers
	CodePubFailed      ErrorCode = wire.PubFailed      // nsqd could not keep the message
	CodeMPubFailed     ErrorCode = wire.MPubFailed     // nor several
	CodeDPubFailed     ErrorCode = wire.DPubFailed     // nor a deferred one
	CodeAuthFirst      ErrorCode = wire.AuthFirst      // a secret must be shown before
	CodeAuthFailed     ErrorCode = wire.AuthFailed     // no auth server could be asked about the secret
	CodeAuthDisabled   ErrorCode = wire.AuthDisabled   // nsqd asks for no secrets
	CodeAuthError      ErrorCode = wire.AuthError      // the answer about a secret could not be sent
	CodeUnauthorized   ErrorCode = wire.Unauthorized   // the secret does not allow it
	CodeFinFailed      ErrorCode = wire.FinFailed      // the message is not in flight any more
	CodeReqFailed      ErrorCode = wire.ReqFailed      // the message is not in flight any more
	CodeTouchFailed    ErrorCode = wire.TouchFailed    // the message is not in flight any more
)

// Error returns the code.
func (c ErrorCode) Error() string { return string(c) }

// OptionError is what Config.Set and Config.Validate return about an option.
type OptionError struct {
	Option string // the name of the option for Set, or that of the field
	Value  any    // what is no use
	Err    error  // why
}

// Error returns the text of Err, which names the option or what the value names.
func (e *OptionError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *OptionError) Unwrap() error { return e.Err }

// detailedError is an error that has a text of its own, which programs may know,
// and is of a kind.
type detailedError struct {
	kind error
	text string
}

// detailed returns an error of the given kind, with a text that need not repeat
// that of the kind.
func detailed(kind error, format string, args ...any) error {
	return &detailedError{kind, fmt.Sprintf(format, args...)}
}

func (e *detailedError) Error() string { return e.text }
func (e *detailedError) Unwrap() error { return e.kind }
