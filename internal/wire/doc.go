// Package wire is the only place that knows bytes: frames, responses, command lines,
// command bodies, the message header, the rules for names and the error codes
// of the NSQ protocol. Server and client share it; encoder and decoder of one
// thing stand side by side in one file.
//
// All integers are big-endian. Functions named Append… append to dst and
// return the extended slice, as the standard library's do, and allocate only
// when dst has no room. Parsers return slices of their input: they stay valid
// as long as the input does. Nothing here is safe for concurrent use on the
// same slices, and nothing keeps state.
package wire

// What a client sends first on a connection, before any command.
const (
	MagicV1 = "  V1" // nsqlookupd
	MagicV2 = "  V2" // nsqd
)

// Response frames that are not JSON.
const (
	OK        = "OK"
	CloseWait = "CLOSE_WAIT"
	Heartbeat = "_heartbeat_"
)
