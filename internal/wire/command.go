package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"time"
)

// MaxLineLen is the longest command line nsqd reads, its LF included.
const MaxLineLen = 16384

// maxParams is how many parameters a Line keeps; no command reads more.
const maxParams = 3

// Line is a parsed command line. Its slices alias the input.
type Line struct {
	Name   []byte // as it came: empty for an empty line or one that starts with a space
	params [maxParams][]byte
	count  int
}

// ParseLine splits a command line at every single space, and at nothing else:
// two spaces in a row have an empty parameter between them, a space at the end
// has one after it, and a tab is part of a word. The LF at its end, and one CR
// before it, are not part of the last word; neither is required. Every input
// is a line, and whether it is a command is for the caller to say.
func ParseLine(b []byte) (l Line) {
	l.Parse(b)
	return l
}

// Parse is ParseLine into l.
func (l *Line) Parse(b []byte) {
	b = bytes.TrimSuffix(b, []byte{'\n'})
	b = bytes.TrimSuffix(b, []byte{'\r'})
	*l = Line{}
	i := bytes.IndexByte(b, ' ')
	if i < 0 {
		l.Name = b
		return
	}
	l.Name, b = b[:i], b[i+1:]
	for {
		i = bytes.IndexByte(b, ' ')
		word := b
		if i >= 0 {
			word = b[:i]
		}
		if l.count < maxParams {
			l.params[l.count] = word
		}
		l.count++
		if i < 0 {
			return
		}
		b = b[i+1:]
	}
}

// ParseLineV1 splits a command line as nsqlookupd does: like ParseLine, but
// white space of any kind at its start and its end is not part of it.
func ParseLineV1(b []byte) Line { return ParseLine(bytes.TrimSpace(b)) }

// Params returns how many parameters the line had, empty ones and those that
// are not kept included.
func (l *Line) Params() int { return l.count }

// Param returns parameter i from 0. It is nil where the line has fewer or i is
// beyond what any command reads, and not nil where the parameter is empty.
func (l *Line) Param(i int) []byte {
	if i >= maxParams {
		return nil
	}
	return l.params[i]
}

// ErrNumber says that a decimal parameter holds something else than digits.
var ErrNumber = errors.New("wire: not a decimal number")

// FinLen is the length of a FIN command as clients write it.
const FinLen = len("FIN ") + MessageIDLen + len("\n")

// ParseFin returns the id of the FIN command at the start of b, and false where
// b begins with anything else, or with a FIN that only ParseLine understands.
func ParseFin(b []byte) (id uint64, ok bool) {
	if len(b) < FinLen || string(b[:4]) != "FIN " || b[FinLen-1] != '\n' {
		return 0, false
	}
	return ParseID(b[4 : FinLen-1])
}

// ParseNumber parses a decimal parameter: ASCII digits only, so a sign is
// ErrNumber; empty means 0. What does not fit an int64 is returned as the
// largest one, so that a limit check refuses or clamps it. The result is never
// negative.
func ParseNumber(b []byte) (int64, error) {
	var n int64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, ErrNumber
		}
		d := int64(c - '0')
		if n > (math.MaxInt64-d)/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + d
	}
	return n, nil
}

// Commands without a body. Topics, channels and ids are written as they are:
// the caller has checked them.

// AppendSub appends SUB: the connection consumes this channel from now on.
func AppendSub(dst []byte, topic, channel string) []byte {
	return appendLine(dst, "SUB", topic, channel)
}

// AppendRdy appends RDY: at most count messages may be in flight.
func AppendRdy(dst []byte, count int) []byte {
	dst = append(dst, "RDY "...)
	dst = strconv.AppendInt(dst, int64(count), 10)
	return append(dst, '\n')
}

// AppendFin appends FIN: the message is finished.
func AppendFin(dst []byte, id [MessageIDLen]byte) []byte {
	return appendID(dst, "FIN ", id, '\n')
}

// AppendReq appends REQ: the message is to be delivered again after delay,
// which is cut to milliseconds and taken as 0 when negative.
func AppendReq(dst []byte, id [MessageIDLen]byte, delay time.Duration) []byte {
	dst = appendID(dst, "REQ ", id, ' ')
	dst = strconv.AppendInt(dst, max(0, delay.Milliseconds()), 10)
	return append(dst, '\n')
}

// AppendTouch appends TOUCH: the message's time-out starts again.
func AppendTouch(dst []byte, id [MessageIDLen]byte) []byte {
	return appendID(dst, "TOUCH ", id, '\n')
}

// AppendCls appends CLS: no more messages, please.
func AppendCls(dst []byte) []byte { return append(dst, "CLS\n"...) }

// AppendNop appends NOP, which answers a heartbeat.
func AppendNop(dst []byte) []byte { return append(dst, "NOP\n"...) }

// Commands to nsqlookupd, all answered by one response. IDENTIFY is the fourth.

// AppendRegister appends REGISTER: this nsqd has the topic, and the channel
// unless that is empty.
func AppendRegister(dst []byte, topic, channel string) []byte {
	return appendRegistration(dst, "REGISTER", topic, channel)
}

// AppendUnregister appends UNREGISTER: this nsqd has the channel no more, or
// the topic with all its channels where channel is empty.
func AppendUnregister(dst []byte, topic, channel string) []byte {
	return appendRegistration(dst, "UNREGISTER", topic, channel)
}

func appendRegistration(dst []byte, name, topic, channel string) []byte {
	if channel == "" {
		return appendLine(dst, name, topic)
	}
	return appendLine(dst, name, topic, channel)
}

// AppendPing appends PING: this nsqd is alive.
func AppendPing(dst []byte) []byte { return append(dst, "PING\n"...) }

// Commands with a body: the line, int32 size, then size bytes.

// AppendIdentify appends IDENTIFY with a JSON object.
func AppendIdentify(dst, json []byte) []byte {
	return appendSized(append(dst, "IDENTIFY\n"...), json)
}

// AppendAuth appends AUTH with the secret.
func AppendAuth[T ~string | ~[]byte](dst []byte, secret T) []byte {
	return appendSized(append(dst, "AUTH\n"...), secret)
}

// AppendPub appends PUB with one message.
func AppendPub(dst []byte, topic string, body []byte) []byte {
	return appendSized(appendLine(dst, "PUB", topic), body)
}

// AppendDPub appends DPUB: a message that is deferred by delay, which is cut
// to milliseconds. A negative delay is written as it is, for the server to
// refuse.
func AppendDPub(dst []byte, topic string, delay time.Duration, body []byte) []byte {
	dst = append(dst, "DPUB "...)
	dst = append(dst, topic...)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, delay.Milliseconds(), 10)
	dst = append(dst, '\n')
	return appendSized(dst, body)
}

// AppendMPub appends MPUB with several messages.
func AppendMPub(dst []byte, topic string, bodies [][]byte) []byte {
	dst = appendLine(dst, "MPUB", topic)
	dst = binary.BigEndian.AppendUint32(dst, uint32(BatchLen(bodies)))
	return AppendBatch(dst, bodies)
}

// AppendCommand appends a command given by its parts. A nil body means that
// the command has none; an empty one that is not nil is written with its size.
func AppendCommand(dst, name []byte, params [][]byte, body []byte) []byte {
	dst = append(dst, name...)
	for _, p := range params {
		dst = append(dst, ' ')
		dst = append(dst, p...)
	}
	dst = append(dst, '\n')
	if body == nil {
		return dst
	}
	return appendSized(dst, body)
}

func appendLine(dst []byte, name string, params ...string) []byte {
	dst = append(dst, name...)
	for _, p := range params {
		dst = append(dst, ' ')
		dst = append(dst, p...)
	}
	return append(dst, '\n')
}

func appendID(dst []byte, name string, id [MessageIDLen]byte, end byte) []byte {
	dst = append(dst, name...)
	dst = append(dst, id[:]...)
	return append(dst, end)
}

func appendSized[T ~string | ~[]byte](dst []byte, body T) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(body)))
	return append(dst, body...)
}
