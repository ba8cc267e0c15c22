package wire

// Error codes. Clients match on them, so they never change.
const (
	BadProtocol    = "E_BAD_PROTOCOL"
	Invalid        = "E_INVALID"
	BadBody        = "E_BAD_BODY"
	BadTopic       = "E_BAD_TOPIC"
	BadChannel     = "E_BAD_CHANNEL"
	BadMessage     = "E_BAD_MESSAGE"
	IdentifyFailed = "E_IDENTIFY_FAILED"
	SubFailed      = "E_SUB_FAILED"
	PubFailed      = "E_PUB_FAILED"
	MPubFailed     = "E_MPUB_FAILED"
	DPubFailed     = "E_DPUB_FAILED"
	AuthFirst      = "E_AUTH_FIRST"
	AuthFailed     = "E_AUTH_FAILED"
	AuthDisabled   = "E_AUTH_DISABLED"
	AuthError      = "E_AUTH_ERROR"
	Unauthorized   = "E_UNAUTHORIZED"
	FinFailed      = "E_FIN_FAILED"
	ReqFailed      = "E_REQ_FAILED"
	TouchFailed    = "E_TOUCH_FAILED"
)

// Draining is the reason for which an nsqd that is to stop refuses to publish. It
// never changes, so that clients can go elsewhere without taking it for a fault.
const Draining = "draining"

// PublishFailed returns the error of a command that publishes, which all clients
// know by its code.
func PublishFailed(command, reason string, cause error) *Error {
	code := map[string]string{"PUB": PubFailed, "MPUB": MPubFailed, "DPUB": DPubFailed}[command]
	return NewError(code, command+" failed "+reason, cause)
}

// IsDraining reports whether the text of an error frame is the refusal of an nsqd
// that drains.
func IsDraining(text string) bool {
	switch text {
	case PubFailed + " PUB failed " + Draining, MPubFailed + " MPUB failed " + Draining, DPubFailed + " DPUB failed " + Draining:
		return true
	}
	return false
}

// Fatal reports whether the server closes the connection after an error of
// this code: all but the three that speak of one message do.
func Fatal(code string) bool {
	switch code {
	case FinFailed, ReqFailed, TouchFailed:
		return false
	}
	return true
}

// Error is what a client is told: an error frame that reads "<Code> <Desc>",
// or only the code where there is no description.
type Error struct {
	Code string
	Desc string
	Err  error // cause, for the log only: never sent
}

// NewError returns an error of the given code. cause may be nil.
func NewError(code, desc string, cause error) *Error {
	return &Error{Code: code, Desc: desc, Err: cause}
}

// Error returns the text of the error frame.
func (e *Error) Error() string {
	if e.Desc == "" {
		return e.Code
	}
	return e.Code + " " + e.Desc
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Fatal reports whether the connection closes once the frame is written.
func (e *Error) Fatal() bool { return Fatal(e.Code) }

// ParseError splits the data of an error frame at its first space into code
// and description, as copies; without a space all of it is the code.
func ParseError(data []byte) *Error {
	for i, c := range data {
		if c == ' ' {
			return &Error{Code: string(data[:i]), Desc: string(data[i+1:])}
		}
	}
	return &Error{Code: string(data)}
}
