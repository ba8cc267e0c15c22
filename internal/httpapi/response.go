package httpapi

import (
	"io"
	"net/http"
	"time"
)

// A response notes the status, and which route the request took.
type response struct {
	http.ResponseWriter
	status int    // 0 until one was sent
	route  string // the path of it, "" for none
}

// noteRoute notes the route with the response below w.
func noteRoute(w http.ResponseWriter, path string) {
	for {
		switch inner := w.(type) {
		case *response:
			inner.route = path
			return
		case interface{ Unwrap() http.ResponseWriter }:
			w = inner.Unwrap()
		default:
			return
		}
	}
}

// guard returns what a handler gets in place of w and r. Reads of the body have
// deadlines: what stalls is an error, what is slow is not, within maxBodyTime.
func guard(w http.ResponseWriter, r *http.Request) (*response, *http.Request) {
	resp := &response{ResponseWriter: w}
	if r.Body != http.NoBody {
		control := http.NewResponseController(w)
		control.SetReadDeadline(time.Now().Add(bodyTimeout)) // also for a body that only the server discards
		inner := r.Body
		r = r.WithContext(r.Context()) // a copy: the server must find its own body to see whether to discard it
		r.Body = &body{inner, control, time.Now().Add(maxBodyTime)}
	}
	return resp, r
}

func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// body is a request's body with a deadline for each read.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	until   time.Time // when all of it must have come
}

func (b *body) Read(p []byte) (int, error) {
	b.control.SetReadDeadline(bodyDeadline(time.Now(), b.until))
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.control.SetReadDeadline(time.Time{}) // the server watches the connection while the handler works
	}
	return n, err
}

// bodyDeadline returns until when a read of a body may wait that begins now.
func bodyDeadline(now, until time.Time) time.Time {
	deadline := now.Add(bodyTimeout)
	if deadline.After(until) {
		return until
	}
	return deadline
}
