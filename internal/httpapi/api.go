// Package httpapi is what the HTTP APIs of the daemons have in common: handlers
// that return a value or an error, the two forms of answers, the access log,
// and a server that no peer can hold up. It knows nothing of the daemons.
//
// The server is net/http's. Where there are routes for requests that come in
// great numbers (Server.V1Direct), a front stands before it (front.go), which
// serves such requests itself as long as nothing else comes on their connection,
// for half the cost: no goroutine watches the peer meanwhile, and little is made
// anew for each. A head in any but the ordinary form (front_head.go) is
// net/http's to judge, and so is the connection from then on.
package httpapi

import (
	"io"
	"net/http"
	"net/url"
	"strings"
)

// A Handler answers one request, with a value or an error. A nil value is an
// empty answer, a string is sent as text and anything else as JSON. An error
// that is no Error is told to the client as INTERNAL_ERROR. A path's variables
// are in the request's context (httprouter.ParamsFromContext).
type Handler func(r *http.Request) (any, error)

// JSON is a value that is encoded already.
type JSON []byte

// Stream is a value that writes itself as JSON, in pieces. It is for V1, and
// for answers that are too large for memory: its length is not announced. An
// error is one of w.
type Stream func(w io.Writer) error

// Written is a value that writes the answer by itself, its type and length too. It is
// for V1.
type Written func(w http.ResponseWriter)

// Tagged is a value that is sent with an ETag, and an error likewise when it is
// returned beside one. It is for V1.
type Tagged struct {
	ETag  string
	Value any
}

// Error is what a client is told: a status and a code in the body.
type Error struct {
	Status    int
	Code      string // INVALID_TOPIC, ...; clients match on it, so it never changes
	Challenge string // the WWW-Authenticate header of a 401
	Err       error  // cause, for the log only: never sent
}

// Error returns the code and the cause.
func (e Error) Error() string {
	if e.Err == nil {
		return e.Code
	}
	return e.Code + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e Error) Unwrap() error { return e.Err }

// Exiting is the answer to requests that come while the daemon stops.
var Exiting = Error{Status: http.StatusServiceUnavailable, Code: "EXITING"}

// maxPlainQuery is up to which length a query is looked through for each parameter,
// rather than once for all of them.
const maxPlainQuery = 1 << 10

// Query holds the parameters of a request.
type Query struct {
	text    string     // as in the URL, where it is short and nothing is escaped
	escaped url.Values // otherwise
}

// ParseQuery returns the parameters in the URL; a form in the body is not
// looked at. The error is the 400 INVALID_REQUEST for the client.
func ParseQuery(r *http.Request) (Query, error) {
	text := r.URL.RawQuery
	if len(text) < maxPlainQuery && !strings.ContainsAny(text, "%+;") {
		return Query{text: text}, nil
	}
	values, err := url.ParseQuery(text)
	if err != nil {
		return Query{}, Error{Status: http.StatusBadRequest, Code: "INVALID_REQUEST"}
	}
	return Query{escaped: values}, nil
}

// Lookup returns the first value of a parameter, and whether it is there at
// all: it may be empty.
func (q Query) Lookup(name string) (value string, ok bool) {
	if values := q.escaped[name]; len(values) > 0 {
		return values[0], true
	}
	for one := range strings.SplitSeq(q.text, "&") {
		if key, value, _ := strings.Cut(one, "="); key == name && one != "" {
			return value, true
		}
	}
	return "", false
}

// Is reports whether a parameter is there and is one of the given words.
func (q Query) Is(name string, words ...string) bool {
	value, ok := q.Lookup(name)
	for _, w := range words {
		if ok && value == w {
			return true
		}
	}
	return false
}
