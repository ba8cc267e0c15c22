package nsq

import (
	"encoding/json"
	"io"
	"strconv"
	"time"

	"github.com/seed893f581e/nsq/internal/wire"
)

// The frame types of a server.
const (
	FrameTypeResponse int32 = int32(wire.FrameResponse)
	FrameTypeError    int32 = int32(wire.FrameError)
	FrameTypeMessage  int32 = int32(wire.FrameMessage)
)

// The states of a connection, for programs that name them.
const (
	StateInit = iota
	StateDisconnected
	StateConnected
)

// What a client sends first on a connection, to nsqlookupd and to nsqd. They
// must not be changed.
var (
	MagicV1 = []byte(wire.MagicV1)
	MagicV2 = []byte(wire.MagicV2)
)

// IsValidTopicName reports whether name may name a topic: 1 to 64 bytes of
// letters, digits, '.', '_' and '-', optionally followed by "#ephemeral", which
// counts towards the 64.
func IsValidTopicName(name string) bool { return wire.ValidName(name) }

// IsValidChannelName reports whether name may name a channel; the rule is that
// of topics.
func IsValidChannelName(name string) bool { return wire.ValidName(name) }

// Command is a command to nsqd or nsqlookupd. A nil Body means that the
// command has none.
type Command struct {
	Name   []byte
	Params [][]byte
	Body   []byte
}

// String returns the name and the parameters, joined by spaces.
func (c *Command) String() string {
	line := wire.AppendCommand(nil, c.Name, c.Params, nil)
	return string(line[:len(line)-1])
}

// WriteTo writes the command, with its body if it has one, in a single call of
// w.Write.
func (c *Command) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(wire.AppendCommand(nil, c.Name, c.Params, c.Body))
	return int64(n), err
}

func newCommand(body []byte, name string, params ...string) *Command {
	c := &Command{Name: []byte(name), Body: body}
	for _, p := range params {
		c.Params = append(c.Params, []byte(p))
	}
	return c
}

// withBody returns b in the form that is written with its size even when it is
// empty: without it, nsqd would take what follows as the size.
func withBody(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

func milliseconds(d time.Duration) string {
	return strconv.FormatInt(d.Milliseconds(), 10)
}

// Identify returns the command that tells the server about the client; js is
// sent as JSON.
func Identify(js map[string]any) (*Command, error) {
	body, err := json.Marshal(js)
	if err != nil {
		return nil, err
	}
	return newCommand(body, "IDENTIFY"), nil
}

// Auth returns the command that presents a secret. The error is always nil.
func Auth(secret string) (*Command, error) {
	return newCommand([]byte(secret), "AUTH"), nil
}

// Register returns the command that tells nsqlookupd of a topic, and of a
// channel unless that is empty.
func Register(topic, channel string) *Command {
	return registration("REGISTER", topic, channel)
}

// UnRegister returns the command that takes Register back.
func UnRegister(topic, channel string) *Command {
	return registration("UNREGISTER", topic, channel)
}

func registration(name, topic, channel string) *Command {
	if channel == "" {
		return newCommand(nil, name, topic)
	}
	return newCommand(nil, name, topic, channel)
}

// Ping returns the command that nsqlookupd answers with OK.
func Ping() *Command { return newCommand(nil, "PING") }

// Publish returns the command that publishes one message.
func Publish(topic string, body []byte) *Command {
	return newCommand(withBody(body), "PUB", topic)
}

// DeferredPublish returns the command that publishes a message which is
// delivered after delay, in whole milliseconds.
func DeferredPublish(topic string, delay time.Duration, body []byte) *Command {
	return newCommand(withBody(body), "DPUB", topic, milliseconds(delay))
}

// MultiPublish returns the command that publishes several messages, all or
// none of them. The error is always nil.
func MultiPublish(topic string, bodies [][]byte) (*Command, error) {
	return newCommand(wire.AppendBatch(nil, bodies), "MPUB", topic), nil
}

// Subscribe returns the command that makes a connection consume a channel.
func Subscribe(topic, channel string) *Command {
	return newCommand(nil, "SUB", topic, channel)
}

// Ready returns the command that says how many messages may be in flight on a
// connection.
func Ready(count int) *Command { return newCommand(nil, "RDY", strconv.Itoa(count)) }

// Finish returns the command that says a message is done with.
func Finish(id MessageID) *Command { return newCommand(nil, "FIN", string(id[:])) }

// Requeue returns the command that gives a message back, to be delivered again
// after delay, in whole milliseconds.
func Requeue(id MessageID, delay time.Duration) *Command {
	return newCommand(nil, "REQ", string(id[:]), milliseconds(delay))
}

// Touch returns the command that starts a message's time-out again.
func Touch(id MessageID) *Command { return newCommand(nil, "TOUCH", string(id[:])) }

// StartClose returns the command that ends delivery on a connection.
func StartClose() *Command { return newCommand(nil, "CLS") }

// Nop returns the command that does nothing, with which heartbeats are
// answered.
func Nop() *Command { return newCommand(nil, "NOP") }

// httpSize is what "HTTP", the start of a web server's answer, reads as when
// taken for a size.
const httpSize = 'H'<<24 | 'T'<<16 | 'T'<<8 | 'P'

// ReadResponse reads one size-prefixed response from r, blocking until it is
// complete. There is no limit but that of an int32; memory is taken only as bytes
// arrive.
func ReadResponse(r io.Reader) ([]byte, error) { return readResponse(r, 0) }

// readResponse is ReadResponse with at most maxSize bytes: more are refused before
// they are read. 0 sets no limit.
func readResponse(r io.Reader, maxSize int32) ([]byte, error) {
	var head [wire.SizeLen]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size, err := wire.ParseSize(head[:])
	switch {
	case err != nil:
		return nil, err
	case size < 0:
		return nil, detailed(ErrInvalidResponse, "response msg size is negative: %d", size)
	case maxSize > 0 && size == httpSize:
		return nil, ErrHTTPResponse
	case maxSize > 0 && size > maxSize:
		return nil, detailed(ErrInvalidResponse, "response msg size %d exceeds configured maximum (%d)", size, maxSize)
	}
	response, err := wire.ReadBody(r, nil, int(size))
	if err != nil {
		return nil, err
	}
	return response, nil
}

// UnpackResponse splits a response into its frame type and its data, which is
// a slice of response. The type of a response that is too short is -1.
func UnpackResponse(response []byte) (int32, []byte, error) {
	frameType, err := wire.ParseSize(response)
	if err != nil {
		return -1, nil, detailed(ErrInvalidResponse, "length of response is too small")
	}
	return frameType, response[wire.SizeLen:], nil
}

// ReadUnpackedResponse is ReadResponse followed by UnpackResponse.
func ReadUnpackedResponse(r io.Reader) (int32, []byte, error) { return readUnpackedResponse(r, 0) }

func readUnpackedResponse(r io.Reader, maxSize int32) (int32, []byte, error) {
	response, err := readResponse(r, maxSize)
	if err != nil {
		return -1, nil, err
	}
	return UnpackResponse(response)
}
