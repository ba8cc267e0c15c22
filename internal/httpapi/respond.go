package httpapi

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

const (
	typeJSON = "application/json; charset=utf-8"
	typeText = "text/plain; charset=utf-8"

	versionHeader = "X-Nsq-Content-Type" // as it is sent
	version       = "nsq; version=1.0"
)

// versionValues is never changed: it is part of many headers.
var versionValues = []string{version}

// setVersion sets the header that tells the form of the answer.
func setVersion(h http.Header) { h[versionHeader] = versionValues }

// respondV1 answers in the form of "nsq; version=1.0": errors are JSON.
func (s *Server) respondV1(w http.ResponseWriter, r *http.Request, value any, err error) {
	setVersion(w.Header())
	if tagged, ok := value.(Tagged); ok {
		w.Header().Set("ETag", tagged.ETag)
		value = tagged.Value
	}
	if stream, ok := value.(Stream); ok && err == nil {
		w.Header().Set("Content-Type", typeJSON)
		stream(w) // a peer that went away is no matter of ours
		return
	}
	if written, ok := value.(Written); ok && err == nil {
		written(w)
		return
	}
	contentType, body := "", []byte(nil)
	if err == nil {
		contentType, body, err = encode(value)
	}
	status := http.StatusOK
	if err != nil {
		e := s.explain(r, err)
		status, contentType, body = e.Status, typeJSON, encodeCode(e.Code)
		if e.Challenge != "" {
			w.Header().Set("WWW-Authenticate", e.Challenge)
		}
	}
	respond(w, status, contentType, body)
}

// encodeCode returns the body of an error. What a code has of another daemon's
// answer may be anything.
func encodeCode(code string) []byte {
	body, _ := json.Marshal(struct { // a string always has a form in JSON
		Message string `json:"message"`
	}{code})
	return body
}

// respondPlain answers with text, also for errors.
func (s *Server) respondPlain(w http.ResponseWriter, r *http.Request, value any, err error) {
	contentType, body := "", []byte(nil)
	if err == nil {
		contentType, body, err = encode(value)
	}
	status := http.StatusOK
	if err != nil {
		e := s.explain(r, err)
		status, contentType, body = e.Status, typeText, []byte(e.Code)
	}
	respond(w, status, contentType, body)
}

// explain turns any error into what the client is told, and logs its cause.
func (s *Server) explain(r *http.Request, err error) Error {
	e := asError(err)
	switch {
	case e.Err != nil:
		s.logLimited(r, slog.LevelError, "HTTP: request failed", e)
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden: // somebody's configuration is wrong, or worse
		s.logLimited(r, slog.LevelWarn, "HTTP: request refused", e)
	}
	return e
}

// asError returns what the client is told of any error.
func asError(err error) Error {
	if e, ok := errors.AsType[Error](err); ok {
		return e
	}
	return Error{Status: http.StatusInternalServerError, Code: "INTERNAL_ERROR", Err: err}
}

// logLimited logs one failure of a kind in a second.
func (s *Server) logLimited(r *http.Request, level slog.Level, text string, e Error) {
	left, ok := s.failures.admit(e.Code, time.Now())
	if !ok {
		return
	}
	args := []any{"method", r.Method, "path", cut(r.URL.Path), "client", r.RemoteAddr, "code", e.Code}
	if e.Err != nil {
		args = append(args, "error", e.Err)
	}
	if left > 0 {
		args = append(args, "more of them before", left)
	}
	s.config.Log.Log(r.Context(), level, text, args...)
}

// encode returns a value as it goes into the body.
func encode(value any) (contentType string, body []byte, err error) {
	switch v := value.(type) {
	case nil:
		return "", nil, nil
	case string:
		return typeText, []byte(v), nil
	case JSON:
		return typeJSON, v, nil
	default:
		body, err = json.Marshal(v)
		return typeJSON, body, err
	}
}

// respond writes the whole answer. An empty one has no type.
func respond(w http.ResponseWriter, status int, contentType string, body []byte) {
	if len(body) > 0 {
		w.Header().Set("Content-Type", contentType)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body) // a peer that went away is no matter of ours
}
