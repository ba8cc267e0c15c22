package nsqd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/seed893f581e/nsq/internal/diskspace"
	"github.com/seed893f581e/nsq/internal/httpapi"
	"github.com/seed893f581e/nsq/internal/wire"
)

func badRequest(code string) error { return httpapi.Error{Status: http.StatusBadRequest, Code: code} }

func tooLarge(code string) error {
	return httpapi.Error{Status: http.StatusRequestEntityTooLarge, Code: code}
}

// pub publishes the body as one message. The topic is created only once
// nothing is wrong with the request.
func (s *httpServer) pub(r *http.Request) (any, error) {
	if err := s.auth.mayPublish(r); err != nil {
		return nil, err
	}
	payload, err := readMessage(r, s.n.opts.MaxMsgSize)
	if err != nil {
		return nil, err
	}
	if len(payload) == wire.SizeLen {
		return nil, badRequest("MSG_EMPTY")
	}
	q, topic, err := newTopicParam(r)
	if err != nil {
		return nil, err
	}
	deferral, err := deferParam(q, s.n.opts.MaxDeferTimeout)
	if err != nil {
		return nil, err
	}
	return s.publish(topic, payload, 1, deferral)
}

// mpub publishes several messages: lines, or a batch as in MPUB.
func (s *httpServer) mpub(r *http.Request) (any, error) {
	if err := s.auth.mayPublish(r); err != nil {
		return nil, err
	}
	limit := s.n.opts.MaxBodySize
	if r.ContentLength > limit {
		return nil, tooLarge("BODY_TOO_BIG")
	}
	q, topic, err := newTopicParam(r)
	if err != nil {
		return nil, err
	}
	body, readErr := readBody(r, limit)
	if int64(len(body)) > limit {
		return nil, tooLarge("BODY_TOO_BIG")
	}
	var payload []byte
	var count int
	if s.isBinary(q) {
		payload, count, err = parseBatch(body, limit, s.n.opts.MaxMsgSize)
	} else {
		payload, count, err = splitLines(body, s.n.opts.MaxMsgSize)
	}
	if err == nil && readErr != nil {
		err = errCutBody
	}
	if err != nil {
		return nil, err
	}
	return s.publish(topic, payload, count, 0)
}

func (s *httpServer) publish(topic string, payload []byte, count int, deferral time.Duration) (any, error) {
	e := s.n.env
	began := e.now()
	if err := s.n.topics.publish([]byte(topic), payload, count, deferral); err != nil {
		e.publishFailed(err)
		return nil, diskError(err)
	}
	ended := e.now()
	e.publishLatency.Stripe(uint64(ended)).Observe(time.Duration(ended-began), 1)
	return wire.OK, nil
}

// diskError says why messages or changes could not be kept: EXITING only where
// that is the reason. Other failures of the disk are 503 as well, which clients
// have always been given and know as one to retry.
func diskError(err error) error {
	switch {
	case errors.Is(err, errExiting):
		return httpapi.Exiting
	case errors.Is(err, errDraining):
		return httpapi.Error{Status: http.StatusServiceUnavailable, Code: "DRAINING"}
	case errors.Is(err, errLoading):
		return errLoadingHTTP
	case errors.Is(err, errNameTaken):
		return httpapi.Error{Status: http.StatusConflict, Code: "NAME_TAKEN_IN_OTHER_CASE", Err: err}
	case diskspace.IsFull(err):
		return httpapi.Error{Status: http.StatusInsufficientStorage, Code: "DISK_FULL", Err: err}
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return httpapi.Error{Status: http.StatusServiceUnavailable, Code: "TOO_MANY_OPEN_FILES", Err: err}
	default:
		return httpapi.Error{Status: http.StatusServiceUnavailable, Code: "DISK_ERROR", Err: err}
	}
}

// errLoadingHTTP is the answer to requests that come too early.
var errLoadingHTTP = httpapi.Error{Status: http.StatusServiceUnavailable, Code: "LOADING"}

// errCutBody is for a body that ended early or stalled, mostly because the
// client went away: no matter for the log.
var errCutBody = httpapi.Error{Status: http.StatusInternalServerError, Code: "INTERNAL_ERROR"}

// readMessage returns the body as a payload of one message of up to limit
// bytes, possibly empty.
func readMessage(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, tooLarge("MSG_TOO_BIG")
	}
	if r.ContentLength >= 0 {
		payload, err := wire.ReadToPayload(r.Body, nil, int(r.ContentLength))
		if err != nil {
			return nil, errCutBody
		}
		return payload, nil
	}
	body, err := readBody(r, limit)
	if int64(len(body)) > limit {
		return nil, tooLarge("MSG_TOO_BIG")
	}
	if err != nil {
		return nil, errCutBody
	}
	return wire.AppendToPayload(make([]byte, 0, wire.SizeLen+len(body)), body), nil
}

// readBody reads the whole body; it must not be announced as larger than
// limit. Where a chunked body exceeds limit, more than limit bytes are
// returned, and the rest is not read. With an error it returns what did arrive.
func readBody(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength >= 0 {
		return wire.ReadBody(r.Body, nil, int(r.ContentLength))
	}
	return io.ReadAll(io.LimitReader(r.Body, limit+1))
}

// parseBatch returns the payload of a binary body. What follows its last
// message is ignored.
func parseBatch(body []byte, limit, maxMessage int64) (payload []byte, count int, err error) {
	count, payload, rest, err := wire.ParseBatch(body, int(limit), int(maxMessage))
	if e := asWireError(err); e != nil {
		return nil, 0, tooLarge(strings.TrimPrefix(e.Code, "E_"))
	}
	if len(rest) > 0 {
		payload = bytes.Clone(payload) // which must not keep the rest in memory
	}
	return payload, count, err
}

// splitLines returns the payload of a text body: a message for each line that
// is not empty. Only LF ends a line.
func splitLines(body []byte, maxMessage int64) (payload []byte, count int, err error) {
	size := 0
	for line := range bytes.SplitSeq(body, []byte{'\n'}) {
		if int64(len(line)) > maxMessage {
			return nil, 0, tooLarge("MSG_TOO_BIG")
		}
		if len(line) > 0 {
			size += wire.SizeLen + len(line)
			count++
		}
	}
	payload = make([]byte, 0, size)
	for line := range bytes.SplitSeq(body, []byte{'\n'}) {
		if len(line) > 0 {
			payload = wire.AppendToPayload(payload, line)
		}
	}
	return payload, count, nil
}

// isBinary reports the mode of /mpub. Any unknown value means binary, too.
func (s *httpServer) isBinary(q httpapi.Query) bool {
	value, ok := q.Lookup("binary")
	if !ok || q.Is("binary", "false", "0") {
		return false
	}
	if !q.Is("binary", "true", "1") {
		s.n.log.Warn(fmt.Sprintf("HTTP: mpub: binary=%.100q is neither true nor false, taken for true", value))
	}
	return true
}

// deferParam returns how long channels hold the message back: 0 where it is
// not asked for.
func deferParam(q httpapi.Query, limit time.Duration) (time.Duration, error) {
	value, ok := q.Lookup("defer")
	if !ok {
		return 0, nil
	}
	ms, err := strconv.ParseInt(value, 10, 64)
	if err != nil || ms < 0 || ms > limit.Milliseconds() {
		return 0, badRequest("INVALID_DEFER")
	}
	return time.Duration(ms) * time.Millisecond, nil
}
